# SIGKILL of the scheduler in the middle of a job: the run is adopted, its output is whole, its end
# is recorded once.
stack a
setting EXTRA_CONF_DIRS ./jobs
start

lines() { grep -cs "$1" "$log/slow.log" || :; }
reached() { [ "$(lines "^line $1\$")" = "$round" ]; }

for round in $(seq "$E2E_ROUNDS"); do
    say "round $round"
    tender run slow >/dev/null
    wait_for 30 "some output" reached 3
    container=$(container_of slow)
    crash
    is "the running container" "$container" "$(container_of slow)"
    wait_for 60 "the record" finished slow "$round"
    tender runs --json --job slow --limit 1 | holds "the record" '.[0].outcome == "failed" and .[0].exit_code == 3'
    is "number of lines" $((20 * round)) "$(lines '^line ')"
    is "the last 20 lines" "$(seq -f 'line %g' 20)" "$(grep '^line ' "$log/slow.log" | tail -n 20)"
    is "end markers" "$round" "$(lines '^slow finished   END_TIME=')"
done

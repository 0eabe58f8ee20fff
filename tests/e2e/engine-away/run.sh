# The engine's socket is closed for half a minute, and later the engine hangs: containers go on all
# the while. No line, code or occurrence is lost, nothing runs twice; what a command inside a
# service says meanwhile is lost, and told so.
# shellcheck source=tests/e2e/engine.sh
. "$E2E/engine.sh"
clean() { engine_clean; }
engine_up "$E2E_IMAGE" debian:trixie-slim
engine_relay

stack a
mkdir -p "$log/marks"
setting EXTRA_CONF_DIRS ./jobs
COMPOSE_PROJECT_NAME=$project compose -f "$checkout/docker-compose.yml" up -d worker >"$E2E_TMP/up" 2>&1 ||
    fail "up: $(cat "$E2E_TMP/up")"
start

runs() { tender runs --json --job "$1" --limit 100; } # job
marks() { cat "$log/marks/$1" 2>/dev/null || :; }      # job
marked() { marks "$1" | grep -q "^$2\$"; }             # job line
succeeded() { [ "$(runs "$1" | jq 'map(select(.outcome == "succeeded")) | length')" -ge "$2" ]; } # job number
said() { grep -qs "^$2\$" "$log/$1.log"; }             # job line
outcome() { # job outcome, and the code where the job gave one
    runs "$1" | holds "$1" 'length == 1 and .[0].outcome == $outcome and ($code == "" or .[0].exit_code == ($code | tonumber))' \
        --arg outcome "$2" --arg code "${3:-}"
}
lines() { # job number: each once, in order
    is "output of $1" "$(seq -f 'line %g' "$2")" "$(grep '^line ' "$log/$1.log")"
}
# What the jobs themselves have noted, against the records: every instant since the first has one
# record; what ran has run once and its output is whole.
whole() { # job
    local all
    all=$(runs "$1")
    holds "instants of $1" '[.[] | if .skipped_count then empty else .planned_for end] | length == (unique | length)' <<<"$all"
    holds "outcomes of $1" 'all(.[]; .outcome == "succeeded" or .outcome == "skipped" or .outcome == null)' <<<"$all"
    is "runs of $1 that began twice" "" "$(marks "$1" | sort | uniq -d)"
    jq -r '.[] | select(.outcome == "succeeded") | .id' <<<"$all" | sort >"$E2E_TMP/recorded"
    marks "$1" | sort >"$E2E_TMP/begun"
    is "runs of $1 without a mark" "" "$(comm -23 "$E2E_TMP/recorded" "$E2E_TMP/begun")"
    while read -r run; do
        is "output of $run" "$(printf "$run line %d\n" 1 2 3)" "$(grep "^$run line " "$log/$1.log")"
    done <"$E2E_TMP/recorded"
}
# None is missing: each instant since the first has its record, or is counted as skipped.
none_missing() { # job
    runs "$1" | holds "instants of $1" '
        [.[] | .planned_for, .skipped_since | values | sub("[.+].*"; "Z") | fromdate] as $at
        | (map(.skipped_count // 1) | add) == (($at | max) - ($at | min)) / 4 + 1'
}
meanwhile() { # job outcome: of what was due while the socket was closed
    runs "$1" | holds "$1 of meanwhile" 'def at: sub("[.+].*"; "Z") | fromdate;
        any(.[]; .outcome == $outcome and (.planned_for | at) > $begin and (.skipped_since // .planned_for | at) <= $begin + 30)' \
        --arg outcome "$2" --argjson begin "$begin"
}
passed() { [ "$(date +%s)" -ge $((begin + $1)) ]; } # seconds

wait_for 60 "a run" succeeded often 1
say "closed for 30 s"
for job in long ends inside talks; do tender run "$job" >/dev/null; done
for job in long ends; do wait_for 60 "$job to begin" marked "$job" begun; done
wait_for 60 "the command" said inside begun
wait_for 60 "the other" said talks "line 3"
begin=$(date +%s)
relay_close
wait_for 60 "ends to end meanwhile" marked ends ended
wait_for 60 "its time" passed 28
marked long ended && fail "long has ended too early"
before=$(marks often | wc -l)
wait_for 60 "its time" passed 30
is "runs that began meanwhile" "$before" "$(marks often | wc -l)"
relay_open
wait_for 60 "ends" outcome ends failed 3
wait_for 60 "inside" outcome inside failed 5
wait_for 60 "talks" outcome talks lost
runs talks | holds "what is missing" '.[0].output_note | contains("may go on")'
wait_for 60 "long" outcome long succeeded 0
lines ends 24
lines long 80
wait_for 60 "what waited meanwhile" meanwhile often succeeded
wait_for 60 "what was skipped meanwhile" meanwhile alone skipped

say "hangs for 10 s"
tender run short >/dev/null
wait_for 60 "short to begin" said short "line 3"
begin=$(date +%s)
engine_signal STOP
wait_for 60 "its time" passed 10
engine_signal CONT
wait_for 60 "short" outcome short failed 4
lines short 12
for job in often alone; do
    whole "$job"
    none_missing "$job"
done

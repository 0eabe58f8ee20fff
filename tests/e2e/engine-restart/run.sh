# The engine restarts, crashes, and comes back: what it took away is interrupted, never a success,
# and repeated where the job says so; what ended by itself or by hand keeps its outcome. The
# scheduler lives in that engine and comes back with it.
# shellcheck source=tests/e2e/engine.sh
. "$E2E/engine.sh"
clean() { engine_clean; }
engine_up "$E2E_IMAGE" debian:trixie-slim

stack a
mkdir -p "$log/marks"
setting EXTRA_CONF_DIRS ./jobs
start
deploy

active=(obeys peaceful repeated inside)
said() { grep -cs "^$2\$" "$log/$1.log" || :; }                 # job line
has_begun() { [ "$(said "$1" begun)" = "$2" ]; }                 # job times
in_the_gap() { # what
    say "$1"
    rm -f "$log/marks/again"
    begun=$((begun + 1))
    for job in "${active[@]}"; do tender run "$job" >/dev/null; done
    tender run short --wait >/dev/null || :
    for job in obeys peaceful inside; do wait_for 60 "$job to begin" has_begun "$job" "$begun"; done
    wait_for 60 "the mark" test -e "$log/marks/again"
}
begun=0

newest() { tender runs --json --job "$1" --limit "$2"; } # job number
ended() { # job outcome code
    newest "$1" 1 | holds "$1" '.[0].outcome == $outcome and .[0].exit_code == $code' --arg outcome "$2" --argjson code "$3"
}
interrupted() { # job
    newest "$1" 1 | holds "$1" '.[0].outcome == "interrupted"'
}
repeated() { newest repeated 2 | holds "repeated" 'map(.outcome) == ["succeeded", "interrupted"]'; }
outcomes() {
    wait_for 120 "the scheduler to come back" ready
    wait_for 60 "obeys to be interrupted" ended obeys interrupted 143
    wait_for 60 "peaceful to be interrupted" ended peaceful interrupted 0
    wait_for 60 "the exec to be interrupted" interrupted inside
    wait_for 60 "one repetition" repeated
    ended short failed 3
    for job in obeys peaceful inside; do is "runs of $job" "$begun" "$(tender runs --json --job "$job" | jq length)"; done
    wait_for 60 "no container of a run to be left" no_runs
}

in_the_gap "an orderly restart"
engine_signal TERM
wait_for 60 "the engine to be gone" refuses
engine_back
outcomes
is "last words of obeys" 1 "$(said obeys bye)"
is "last words of peaceful" 1 "$(said peaceful bye)"
newest obeys 1 | holds "its output is whole" '.[0].output_note == null'

docker stop -t 1 "$(service web)" >/dev/null
in_the_gap "a crash"
engine_signal KILL
wait_for 60 "the engine to be gone" refuses
engine_back
outcomes
for job in obeys peaceful inside; do
    newest "$job" 1 | holds "output of $job" '.[0].output_note | startswith("output incomplete")'
done

say "services that the crash left down"
down_is() { tender status --json | holds "reasons" "$@"; }
runs_is() { is "whether $1 runs" "$2" "$(docker inspect -f '{{.State.Running}}' "$(service "$1")")"; } # service truth
wait_for 60 "worker to be named" down_is 'any(.reasons[]; .code == "services-down" and (.what | contains("worker") and (contains("web") | not)))'
runs_is worker false
setting SCHEDULER_REVIVE true
tender reload >/dev/null
wait_for 60 "worker to run" runs_is worker true
wait_for 60 "the reason to be gone" down_is 'all(.reasons[]; .code != "services-down")'
runs_is web false # a person had stopped it

say "killed by hand while no scheduler is there"
tender run obeys >/dev/null
wait_for 60 "obeys to begin" has_begun obeys $((begun + 1))
docker stop "$(scheduler)" >/dev/null
docker kill "$(container_of obeys)" >/dev/null
docker start "$(scheduler)" >/dev/null
wait_for 60 "the scheduler to be back" ready
wait_for 60 "obeys to have failed" ended obeys failed 137

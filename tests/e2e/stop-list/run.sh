# Services that a job stops during its run come back: in their order, with their own grace, after
# SIGKILLs of the scheduler at any moment, a `tender stop`, and never where they were down before.
stack a
setting EXTRA_CONF_DIRS ./jobs
start
stack_compose() { compose -p "$project" -f "$checkout/docker-compose.yml" "$@"; }
(cd "$checkout" && stack_compose up -d) >/dev/null 2>&1

up() { is "state of $1" true "$(docker inspect -f '{{.State.Running}}' "$(service "$1")")"; }
down() { is "state of $1" false "$(docker inspect -f '{{.State.Running}}' "$(service "$1")")"; }
both_up() { up web && up worker; }
both_down() { down web && down worker; }
idle() { tender status --json | holds "nothing runs" '.running == [] and .waiting == []'; }
last() { tender runs --json --job "$1" --limit 1 | jq -r '.[0].outcome'; }

wait_for 30 "the services" both_up

say "down during the run, and up after it, in order"
since=$(instant)
tender run dump --wait >/dev/null &
wait_for 60 "both to be down" both_down
wait $!
wait_for 60 "both to be up" both_up
moves=$(docker events --since "$since" --until "$(instant)" --filter type=container --filter event=die --filter event=start \
    --filter "label=com.docker.compose.project=$project" --format '{{.Action}} {{index .Actor.Attributes "com.docker.compose.service"}}' | tr '\n' ',')
is "what happened to the services" "die web,die worker,start worker,start web," "$moves"

kills=$(docker events --since "$since" --until "$(instant)" --filter type=container --filter event=kill \
    --filter "container=$(service web)" --format '{{.TimeNano}} {{.Actor.Attributes.signal}}')
is "its signals" "15 9" "$(awk '{ print $2 }' <<<"$kills" | xargs)"
seconds=$(awk 'NR == 1 { t = $1 } END { print int(($1 - t) / 1e9) }' <<<"$kills")
[ "$seconds" -ge 2 ] && [ "$seconds" -lt 8 ] || fail "web had $seconds s, not its own 3 s"

say "what is down stays down"
docker stop -t 1 "$(service worker)" >/dev/null
ends_with_code 0 tender run dump --wait
up web
down worker
docker start "$(service worker)" >/dev/null

for round in $(seq "$((3 * E2E_ROUNDS))"); do
    say "round $round: SIGKILL at any moment"
    runs=$(tender runs --json --job dump --limit 1000 | jq length)
    tender run dump >/dev/null
    sleep "$(awk -v r="$RANDOM" 'BEGIN { print r / 32768 * 9 }')" # the moment is the point
    crash
    wait_for 90 "the run to end" finished dump "$((runs + 1))"
    wait_for 20 "the services to be up" both_up
    wait_for 60 "the end of it all" idle
    is "outcome" succeeded "$(last dump)"
    both_up
done

say "the run ends while no scheduler looks: within 10 s of its start they are up"
tender run dump >/dev/null
wait_for 60 "both to be down" both_down
wait_for 60 "the run's container" container_of dump
run=$(container_of dump)
docker stop -t 1 "$(scheduler)" >/dev/null
docker wait "$run" >/dev/null
both_down
start
wait_for 10 "the services to be up" both_up

say "tender stop: with a SIGKILL right after its answer"
id=$(tender run long)
wait_for 60 "web to be down" down web
wait_for 60 "the run's container" container_of long
ends_with_code 0 tender stop long
crash
wait_for 60 "its end" finished long 1
is "outcome" cancelled "$(last long)"
wait_for 10 "web to be up" up web
ends_with_code 1 tender stop "$id"
contains "its error" "has ended already: cancelled" "$(cat "$E2E_TMP/err")"
ends_with_code 1 tender stop long
ends_with_code 2 tender stop logn
contains "its error" 'did you mean "long"' "$(cat "$E2E_TMP/err")"

say "a run that waits never begins"
tender run long >/dev/null
wait_for 60 "web to be down" down web
waiting=$(tender run dump 2>"$E2E_TMP/waits")
contains "why it waits" "the run waits: the lock stack, held by long" "$(cat "$E2E_TMP/waits")"
tender stop "$waiting" --wait --json | holds "the answer" '.id == $id and .waited and .outcome == "cancelled"' --arg id "$waiting"
up worker
tender stop long --wait --json | holds "the answer" '.outcome == "cancelled" and (.waited | not)'
wait_for 10 "web to be up" up web

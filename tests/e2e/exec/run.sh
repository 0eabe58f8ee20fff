# Commands in running containers: all of their processes end with them, the service goes on and is
# still started by the engine when it crashes later; what is lost is told and never repeated.
stack a
setting EXTRA_CONF_DIRS ./jobs
COMPOSE_PROJECT_NAME=$project compose -f "$checkout/docker-compose.yml" up -d --scale many=3 >"$E2E_TMP/up" 2>&1 ||
    fail "up: $(cat "$E2E_TMP/up")"
target=$(service target)
start

processes() { docker top "$target" -eo pid,args | grep -cE '(sleep|env) (-i sleep )?70[0-9][0-9]$' || :; }
none() { [ "$(processes)" = 0 ]; }
some() { [ "$(processes)" -gt 0 ]; }
last() { # job filter
    tender runs --json --job "$1" --limit 1 | holds "the run of $1" ".[0] | $2"
}
logged() { grep -qs "$2" "$log/$1.log"; } # job text
signals() { docker ps -aq --filter "label=tender.stack=$project" --filter label=tender.role=signal; }

before=$(docker inspect -f '{{.State.StartedAt}}' "$target")
for job in held direct bare; do
    say "timeout of $job"
    tender run "$job" >/dev/null
    wait_for 60 "the processes of $job" some
    wait_for 90 "the end of $job" finished "$job" 1
    last "$job" '.outcome == "timed-out"'
    is "processes left by $job" 0 "$(processes)"
    is "signal containers left by $job" "" "$(signals)"
done
logged held "got TERM" || fail "held was not told: $(cat "$log/held.log")"
logged direct "got TERM" || fail "direct was not told: $(cat "$log/direct.log")"
is "start of the target" "$before" "$(docker inspect -f '{{.State.StartedAt}}' "$target")"

say "a holder that is stopped by hand"
tender run lost >/dev/null
wait_for 60 "the command" logged lost begun
docker stop -t 60 "$(container_of lost)" >/dev/null
wait_for 60 "the end" finished lost 1
wait_for 30 "the command's end" none

say "a scheduler that is killed"
tender run lines >/dev/null
wait_for 60 "some output" logged lines "line 3"
crash
wait_for 60 "the record" finished lines 1
last lines '.outcome == "failed" and .exit_code == 3'
is "the output" "$(seq -f 'line %g' 12)" "$(grep '^line ' "$log/lines.log")"

say "a holder that is killed, and one that is removed"
tender run lost >/dev/null
wait_for 60 "the command" some
sigkill "$(container_of lost)"
wait_for 60 "the record" finished lost 2
last lost '.outcome == "lost" and (.output_note | contains("may go on"))'
docker exec "$target" sh -c 'kill -KILL $(grep -la 7010 /proc/[0-9]*/cmdline | cut -d/ -f3)' 2>/dev/null || : # itself, too
wait_for 30 "the command's end" none
tender run lost >/dev/null
wait_for 60 "the command" some
docker rm -f "$(container_of lost)" >/dev/null
wait_for 60 "the record" finished lost 3
last lost '.outcome == "lost" and (.output_note | contains("may go on"))'
some || fail "the command ended with its holder"

say "a scheduler that is killed over a direct command"
tender run lost-direct >/dev/null
wait_for 60 "the command" logged lost-direct begun
crash
wait_for 60 "the record" finished lost-direct 1
last lost-direct '.outcome == "lost" and (.output_note | contains("output incomplete"))'
is "begun" 1 "$(grep -c begun "$log/lost-direct.log")"

say "targets"
for job in absent absent-direct; do
    tender run "$job" >/dev/null
    wait_for 60 "the record" finished "$job" 1
    last "$job" '.outcome == "could-not-start"'
done
well=$(docker ps -q --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.service=many | sed -n 2p)
docker exec "$well" touch /ready
is_well() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$well")" = healthy ]; }
wait_for 60 "one that is well" is_well
tender run healthiest >/dev/null
wait_for 60 "the record" finished healthiest 1
logged healthiest "^$(docker inspect -f '{{.Config.Hostname}}' "$well")\$" || fail "not the healthy one: $(cat "$log/healthiest.log")"
tender run every >/dev/null
wait_for 60 "the record" finished every 1
is "containers" 3 "$(grep -cE '^[0-9a-f]{12}$' "$log/every.log")"

say "a service that was signalled and then crashes"
docker run --rm --network none --read-only --pid "container:$target" \
    --cap-drop ALL --cap-add KILL --cap-add SYS_PTRACE --cap-add DAC_READ_SEARCH \
    -e TENDER_SIGNAL="{\"main\":{\"container\":\"$target\",\"signal\":\"HUP\"}}" --entrypoint tender "$E2E_IMAGE" job signal
said() { docker logs "$target" 2>&1 | grep -q "$1"; }
wait_for 30 "the signal" said "got HUP"
docker exec "$target" sh -c 'kill -USR1 1'
wait_for 30 "the crash" said crash
started_again() { [ "$(docker inspect -f '{{.State.Running}} {{.RestartCount}}' "$target")" = "true 1" ]; }
wait_for 60 "the engine to start the service" started_again

# One-off containers of services: with what the last good deploy has kept, and before there was one;
# adopted by the next scheduler like any other run.
stack a
setting EXTRA_CONF_DIRS ./jobs
setting GREETING hello

peek() { ends_with_code 0 tender run peek --wait "$@"; cat "$E2E_TMP/out"; }

say "a stack that somebody else has brought up"
(cd "$checkout" && GREETING=hello compose -p "$project" up -d) >"$E2E_TMP/up" 2>&1 || fail "$(cat "$E2E_TMP/up")"
start
said=$(peek)
contains "what it saw" "greeting=hello once= in /data" "$said"
contains "the volume" "written by web" "$said"
contains "the network" "said by worker" "$said"
is "containers of the service" "$(service web)" "$(docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$project" --filter label=own=yes)"

say "after a deploy"
deploy # adopts
release 2
deploy
committed 1
before=$(services)
contains "environment of this run" "greeting=hello once=upon in /data" "$(peek -e ONCE=upon)"
is "containers" "$before" "$(services)"
ends_with_code 0 tender run tool --wait
contains "a service of a profile" "said by the tool" "$(cat "$E2E_TMP/out")"
contains "a later action" "after hello" "$(docker exec "$(service web)" cat /data/after)"

say "what was deployed is what runs"
sed -i 's/GREETING=.*/GREETING=changed/' "$checkout/env.local"
tender reload >/dev/null
contains "the kept environment" "greeting=hello" "$(peek)"

say "a service that is not there"
tender check --json | holds "the warning" '[.problems[] | select(.job == "nowhere") | [.severity, .value]] == [["warning", "wep"]]'
ends_with_code 1 tender run nowhere --wait
tender runs --json --job nowhere | holds "the record" '.[0].outcome == "could-not-start" and (.[0].reason | contains("wep"))'

say "the very container"
tender run slow --dry-run | holds "the container" '.image != "" and .ports == [] and .env.GREETING == "hello" and .labels["tender.oneoff"] == "web"'

say "a scheduler that is killed"
lines() { grep -cs "$1" "$log/slow.log" || :; }
reached() { [ "$(lines "^line $1\$")" = 1 ]; }
tender run slow >/dev/null
wait_for 60 "some output" reached 10
container=$(container_of slow)
docker inspect "$container" | holds "its ports and labels" \
    '.[0] | (.HostConfig.PortBindings // {}) == {} and .Config.Labels["tender.oneoff"] == "web" and .Config.Labels.own == "yes"
        and (.Config.Labels | keys | any(startswith("com.docker.compose")) | not) and .Config.Labels["tender.on-change"] == null
        and (.NetworkSettings.Networks | map(.Aliases // [] | index("web")) | all(. == null))'
crash
is "the running container" "$container" "$(container_of slow)"
docker exec "$(service web)" touch /data/go
wait_for 60 "the record" finished slow 1
tender runs --json --job slow | holds "the record" '.[0].outcome == "failed" and .[0].exit_code == 3'
is "its lines" "$(seq -f 'line %g' 20)" "$(grep '^line ' "$log/slow.log")"
is "containers" "$before" "$(services)"

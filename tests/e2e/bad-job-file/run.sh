# A job file with an error takes nothing with it: what is good runs, what is refused is named.
stack a
setting EXTRA_CONF_DIRS "./bad ./good"
start

ends_with_code 64 tender check
contains "what check says" "bad/jobs.yml:3" "$(cat "$E2E_TMP/out" "$E2E_TMP/err")"
contains "what check says" "image" "$(cat "$E2E_TMP/out" "$E2E_TMP/err")"

ends_with_code 64 tender jobs --json
holds "jobs" 'map(.name) | contains(["good", "autodeploy", "logrotate"]) and (contains(["bad"]) | not)' <"$E2E_TMP/out"
contains "stderr of jobs" "bad/jobs.yml" "$(cat "$E2E_TMP/err")"

tender status --json | holds "status" '.health == "degraded" and any(.refused[]; contains("bad/jobs.yml"))'
ends_with_code 0 tender health
ends_with_code 0 tender run good --wait
contains "its log" "done" "$(cat "$log/good.log")"
deploy
serves 1
is "restarts of the scheduler" 0 "$(docker inspect -f '{{.RestartCount}}' "$(scheduler)")"

say "mended while it runs"
sed -i s/imagine/image/ "$work/bad/jobs.yml"
push "Mend the job file"
deploy
wait_for 30 "the job that was refused" ends_with_code 0 tender run bad --wait
tender status --json | holds "status" '.refused == []'

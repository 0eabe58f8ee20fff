# A push is deployed, only the service that it changes is touched; with nothing new, nothing is
# written on the engine at all.
stack a
start

say "first deploy"
deploy
serves 1
committed 1
worker=$(service worker)

say "a push"
release 2
before=$(services)
verdict behind
plan | holds "plan" '[.services[] | select(.action != "none") | .name] == ["web"]'
is "containers after plan" "$before" "$(services)"
deploy
serves 2
committed 2
is "commit of the checkout" "$(head_of "$work")" "$(head_of "$checkout")"
is "worker, which did not change" "$worker" "$(service worker)"
tender deploys --json --limit 1 | holds "the record" '.[0].to[$path] == $commit' \
    --arg path "$checkout" --arg commit "$(head_of "$work")"
for marker in "==========" "autodeploy START_TIME=" "autodeploy finished START_TIME=" "autodeploy finished   END_TIME="; do
    contains "the log" "$marker" "$(cat "$log/autodeploy.log")"
done

say "a push that changes a mounted file only"
web=$(service web)
echo two >"$work/worker.conf"
push "Another setting for the worker"
deploy
is "the file in the worker" two "$(docker exec "$(service worker)" cat /worker.conf)"
is "web, which did not change" "$web" "$(service web)"

say "nothing new"
before=$(services)
tender reload >/dev/null # the look that a deploy ends with is over
since=$(instant)
deploy
is "writes on the engine" "" "$(writes "$since" autodeploy)"
is "containers" "$before" "$(services)"
committed 3
verdict up-to-date

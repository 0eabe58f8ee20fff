# A version that does not become well is rolled back and remembered; the next one is deployed.
stack a
start
deploy
commit=$(head_of "$checkout")
worker=$(service worker)

say "a bad version"
release bad-2
ends_with_code 1 tender run autodeploy --wait
serves 1
outcome_of_deploy rolled-back
tender deploys --json --limit 1 | holds "the record" '.[0].to[$path] == $commit and (.[0].reason | contains("web"))' \
    --arg path "$checkout" --arg commit "$(head_of "$work")"
is "commit of the checkout" "$commit" "$(head_of "$checkout")"
is "worker, which did not change" "$worker" "$(service worker)"

say "it is not tried again"
before=$(services)
tender reload >/dev/null # the look that a deploy ends with is over
since=$(instant)
code tender run autodeploy --wait >/dev/null
is "writes on the engine" "" "$(writes "$since" autodeploy)"
is "containers" "$before" "$(services)"
tender deploys --json | holds "deploys" 'length == 2'

say "the next version"
release 3
deploy
serves 3
committed 2

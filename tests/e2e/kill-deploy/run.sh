# SIGKILL of the scheduler, of the deploy itself, of both, in the middle of a deploy: it is finished,
# and recorded once.
stack a
start
deploy
version=1

switched() { # the new container is there, and not well yet
    [[ $(docker inspect -f '{{.Config.Env}}' "$(service web)") == *"VERSION=slow-$version"* ]]
}
under_way() { container_of autodeploy; }

scheduler_dies() { crash; }
deploy_dies() { sigkill "$(container_of autodeploy)"; }
both_die() {
    deploy_dies
    crash
}

survives() { # how
    say "$1, version $version"
    "$1"
    wait_for 120 "the deploy to be finished" committed "$version"
    serves "slow-$version"
    outcome_of_deploy committed
    is "commit of the checkout" "$(head_of "$work")" "$(head_of "$checkout")"
    tender deploys --json | holds "deploys, each once" 'length == $n and (map(.id) | unique | length) == $n' --argjson n "$version"
    wait_for 30 "every run to have a record" all_recorded
}
all_recorded() {
    tender runs --json --job autodeploy --limit 100 | holds "runs" \
        'all(.[]; .outcome != null) and (group_by([.planned_for, .attempt]) | all(length == 1))'
}

begin() { # until
    version=$((version + 1))
    release "slow-$version"
    tender run autodeploy >/dev/null
    wait_for 60 "the deploy to be so far" "$1"
}

for how in scheduler_dies deploy_dies both_die; do
    begin switched
    survives "$how"
done

# At any moment, for the long run.
for round in $(seq 2 "$E2E_ROUNDS"); do
    begin under_way
    moment=$((RANDOM % 70))
    say "round $round: after $moment tenths of a second"
    sleep "$((moment / 10)).$((moment % 10))"
    if ! under_way >/dev/null; then survives true; continue; fi
    case $((RANDOM % 3)) in
        0) survives scheduler_dies ;;
        1) survives deploy_dies ;;
        2) survives both_die ;;
    esac
done

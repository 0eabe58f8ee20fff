# Two stacks on one host, with the same jobs on the same schedules: both are deployed, and neither
# touches the other's containers.
for name in a b; do
    stack "$name"
    setting EXTRA_CONF_DIRS ./jobs
    setting AUTODEPLOY_PLATFORM_FREQUENCY "@every 5s"
    start
done

for name in a b; do
    use "$name"
    say "first deploy of $name, by its schedule"
    wait_for 60 "version 1 of $name" serves 1
done

say "a push to a"
use b
before=$(services)
use a
release 2
wait_for 60 "version 2 of a" serves 2
use b
is "containers of b" "$before" "$(services)"

say "a push to b"
release 2
wait_for 60 "version 2 of b" serves 2

say "recovery of a leaves a run of b alone"
ends_with_code 0 tender run long
wait_for 20 "the run in b" container_of long
run=$(container_of long)
use a
crash
use b
is "the run in b" "$run" "$(container_of long)"
wait_for 60 "its record" finished long 1
tender runs --json --job long | holds "its record" '.[0].outcome == "succeeded"'
contains "its log" whole "$(cat "$log/long.log")"

for name in a b; do
    use "$name"
    say "runs of $name"
    tender runs --json --limit 1000 | holds "containers of $name" \
        'all(.[]; .container == null or (.container | startswith("tender-" + $project + "-")))' --arg project "$project"
    # The schedule is faster than the engine under load: what was skipped has a record, too.
    tender runs --json --job beat --limit 1000 | holds "runs of beat" \
        'length > 5 and (group_by(.planned_for) | all(length == 1)) and all(.[]; .outcome | IN("succeeded", "skipped", null))'
    # Nothing new may begin while the case ends.
    printf 'export AUTODEPLOY_PLATFORM_FREQUENCY=@yearly EXTRA_CONF_DIRS=\n' >>"$checkout/env.local"
    ends_with_code 0 tender reload
done

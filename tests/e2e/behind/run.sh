# A stack that contains the service `scheduler`: a deploy leaves that one out, brings up all others,
# and says that the scheduler is behind.
stack a
cat >>"$work/docker-compose.yml" <<'YML'

  scheduler:
    image: debian:trixie-slim
    init: true
    command: [sleep, infinity]
YML
push "The scheduler as a service of the stack"
git -C "$checkout" pull -q
start

say "first deploy"
deploy
serves 1
own() { docker ps -aq --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.service=scheduler; }
is "containers of the service scheduler" "" "$(own)"
tender deploys --json | holds "the record" '.[0].scheduler_behind and (.[0].services | index("scheduler") | not)'
tender status --json | holds "status" '.health == "degraded" and any(.reasons[]; .code == "scheduler-behind")'

say "its definition changes, and so does web"
scheduler_compose ps -q scheduler >/dev/null
before=$(scheduler)
sed -i 's/command: \[sleep, infinity\]$/command: [sleep, "9999"]/' "$work/docker-compose.yml"
release 2
plan | holds "plan" 'any(.services[]; .name == "scheduler" and .action == "leave-out")'
deploy
serves 2
is "containers of the service scheduler" "" "$(own)"
is "the scheduler at work" "$before" "$(scheduler)"
contains "the log" "leave out scheduler" "$(cat "$log/autodeploy.log")"

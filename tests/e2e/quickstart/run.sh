# The README's way in, from a clean clone: up, up --push, up --down.
clone=$E2E_TMP/$E2E_RUN-clone
project=$E2E_RUN-clone-demo
port=$(shuf -i 20000-29999 -n 1)
clean() { (cd "$clone" && deployment/up --down >/dev/null 2>&1); }
up() { SCHEDULER_IMAGE=$E2E_IMAGE DEMO_PORT=$port deployment/up "$@"; }
page() { curl -fsS -m 5 "http://127.0.0.1:$port/"; }
demo() { compose exec -T scheduler tender "$@"; }

mkdir "$clone"
git -C "$ROOT" ls-files -z --cached --others --exclude-standard | (cd "$ROOT" && tar --null -T - -cf -) | tar -C "$clone" -xf -
cd "$clone"

say "up"
up
is "the page" "version 1" "$(page)"
contains "the log" "autodeploy finished" "$(cat .demo/log/autodeploy.log)"
demo deploys --json | holds "deploys" 'length == 1 and .[0].outcome == "committed"'
demo jobs --json | holds "jobs" 'map(.name) | contains(["autodeploy", "logrotate", "hello"])'
ends_with_code 0 demo run hello --wait
contains "its log" "hello, it is" "$(cat .demo/log/hello.log)"

say "up --push"
up --push
is "the page" "version 2" "$(page)"
demo deploys --json | holds "deploys" 'length == 2 and .[0].outcome == "committed"'

say "up again"
up
is "the page" "version 2" "$(page)"

say "up --down"
up --down
[ ! -e .demo ] && [ ! -e .env ] || fail "files stay behind: $(ls -A)"
is "containers" "" "$(docker ps -aq --filter "name=$E2E_RUN-clone")"
is "networks" "" "$(docker network ls -q --filter "name=$E2E_RUN-clone")"
is "volumes" "" "$(docker volume ls -q --filter "name=$E2E_RUN-clone")"
is "images" "" "$(docker images --format '{{.Repository}}' | grep -F "$E2E_RUN-clone" || :)"

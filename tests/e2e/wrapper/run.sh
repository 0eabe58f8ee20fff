# A main checkout with a compose wrapper of its own: the wrapper brings the services up, in a
# container of its own, and a version that fails is rolled back through it, too.
stack a
cat >"$work/birdhouse-compose.sh" <<'SH'
#!/bin/sh
set -e
cd "$COMPOSE_DIR"
echo "wrapper: $*"
exec $DOCKER_COMPOSE -p "$COMPOSE_PROJECT_NAME" "$@"
SH
chmod +x "$work/birdhouse-compose.sh"
push "A wrapper"
git -C "$checkout" pull -q
start

said() { contains "the log" "$1" "$(cat "$log/autodeploy.log")"; }

say "first deploy"
deploy
serves 1
said "wrapper: up -d web worker"

say "a push"
worker=$(service worker)
release 2
deploy
serves 2
is "worker, which did not change" "$worker" "$(service worker)"

say "a bad version"
release bad
ends_with_code 1 tender run autodeploy --wait
outcome_of_deploy rolled-back
serves 2
is "worker, which did not change" "$worker" "$(service worker)"

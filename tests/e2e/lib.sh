# shellcheck shell=bash
# Sourced by every case. The runner gives
#   ROOT       the checkout of Tender
#   E2E_IMAGE  the image under test
#   E2E_RUN    prefix of everything that this run of the tests makes on the engine
#   E2E_TMP    folder of the case; the engine sees it at the same path
#   E2E_ROUNDS how often a case that kills things does so
set -euo pipefail

E2E=$ROOT/tests/e2e
SOCKET=${DOCKER_SOCKET:-/var/run/docker.sock}
stacks=() # that this case made
unset COMPOSE_DIR COMPOSE_FILE COMPOSE_PROJECT_NAME BIRDHOUSE_LOCAL_ENV BIRDHOUSE_LOG_DIR

# --- saying and asserting -------------------------------------------------------------------------

say() { printf '  %s\n' "$*"; }
fail() { printf '  FAILED: %s\n' "$*" >&2; exit 1; }

is() { # what expected actual
    [ "$2" = "$3" ] || fail "$1: expected: $2
  but it is: $3"
}

# Evaluates a jq filter on standard input, which must hold.
holds() { # what filter [jq arguments]
    local what=$1 filter=$2 document
    shift 2
    document=$(cat)
    jq -e "$@" "$filter" <<<"$document" >/dev/null || fail "$what: not so: $filter
  of: $document"
}

contains() { # what word text
    case $3 in *"$2"*) ;; *) fail "$1: no '$2' in: $3" ;; esac
}

# The exit code of a command; its output goes to $E2E_TMP/out and $E2E_TMP/err.
code() {
    local code=0
    "$@" >"$E2E_TMP/out" 2>"$E2E_TMP/err" || code=$?
    echo "$code"
}

ends_with_code() { # code command…
    local expected=$1 got
    shift
    got=$(code "$@")
    [ "$got" = "$expected" ] || fail "$*: expected exit code $expected, got $got
$(sed 's/^/    | /' "$E2E_TMP/out" "$E2E_TMP/err")"
}

# Polls what can be seen from outside. Assertions serve as conditions, too.
wait_for() { # seconds what command…
    local deadline=$(($(date +%s) + $1)) what=$2
    shift 2
    until ("$@") >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$deadline" ] || fail "waited in vain for $what"
        sleep 0.2
    done
}

# --- a stack --------------------------------------------------------------------------------------

compose() {
    if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}

# Makes the stack the one that all other functions mean.
use() { # name
    project=$E2E_RUN-$1
    dir=$E2E_TMP/$1
    remote=$dir/remote.git
    work=$dir/work # where people work
    checkout=$dir/stack # what is deployed
    log=$dir/log
}

# A bare remote with the files of tests/e2e/stack and those of the case's own folder `stack`, a clone
# to work in, the checkout with its env.local.
stack() { # name
    use "$1"
    stacks+=("$1")
    mkdir -p "$log"
    repo "$remote" "$work"
    cp -R "$E2E/stack/." "$work/"
    [ ! -d "$CASE/stack" ] || cp -R "$CASE/stack/." "$work/"
    push "Version 1"
    git clone -q "$remote" "$checkout"
    cat >"$checkout/env.local" <<EOF
export COMPOSE_PROJECT_NAME=$project
export BIRDHOUSE_LOG_DIR=$log
export AUTODEPLOY_PLATFORM_FREQUENCY=@yearly
export SCHEDULER_GATE_SOAK=1s
export SCHEDULER_GATE_TIMEOUT=12s
export SCHEDULER_PROBE_DIRS=$remote
EOF
}

setting() { # NAME VALUE
    echo "export $1='$2'" >>"$checkout/env.local"
}

repo() { # bare clone
    git init -q --bare "$1"
    git -C "$1" symbolic-ref HEAD refs/heads/main
    git clone -q "$1" "$2" 2>/dev/null
    git -C "$2" symbolic-ref HEAD refs/heads/main
    git -C "$2" config user.name e2e
    git -C "$2" config user.email e2e@localhost
    git -C "$2" config commit.gpgsign false
}

push() { # message [clone]
    local at=${2:-$work}
    git -C "$at" add -A
    git -C "$at" commit -qm "$1"
    git -C "$at" push -q origin HEAD:main
}

release() { # version
    sed -i "s/VERSION: .*/VERSION: \"$1\"/" "$work/docker-compose.yml"
    push "Version $1"
}

head_of() { git -C "$1" rev-parse HEAD; } # checkout

# --- its scheduler --------------------------------------------------------------------------------

# docker-compose for the scheduler: the compose file that is shipped.
scheduler_compose() {
    COMPOSE_DIR=$checkout BIRDHOUSE_LOCAL_ENV='' BIRDHOUSE_LOG_DIR=$log DOCKER_SOCKET=$SOCKET SCHEDULER_IMAGE=$E2E_IMAGE \
        compose -p "$project-scheduler" -f "$ROOT/docker-compose.yml" "$@"
}

scheduler() { # id of its container
    docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$project-scheduler" \
        --filter label=com.docker.compose.service=scheduler
}

tender() { docker exec "$(scheduler)" tender "$@"; }

ready() { tender status --json; }

start() {
    scheduler_compose up -d --no-build >"$E2E_TMP/compose" 2>&1 || fail "up of the scheduler: $(cat "$E2E_TMP/compose")"
    wait_for 60 "the scheduler to be ready" ready
}

stop() { scheduler_compose down "$@" >/dev/null 2>&1; }

pid_of() { docker inspect -f '{{.State.Pid}}' "$1"; } # container

# As a crash: from outside of the engine, so that its restart policy holds.
sigkill() { # container
    local pid
    pid=$(pid_of "$1")
    [ "$pid" -gt 0 ] || fail "nothing to kill: $1 does not run"
    if [ "$(id -u)" = 0 ]; then kill -KILL "$pid"; else sudo -n kill -KILL "$pid"; fi
}

started_since() { # instant; of the scheduler
    [[ $(docker inspect -f '{{.State.StartedAt}} {{.State.Running}}' "$(scheduler)") > "$1" ]] && ready
}

# SIGKILL of the scheduler; its restart policy brings it back.
crash() {
    local now
    now=$(date -u +%Y-%m-%dT%H:%M:%S.%N)
    sigkill "$(scheduler)"
    wait_for 60 "the scheduler to come back" started_since "$now"
}

deploy() { ends_with_code 0 tender run autodeploy --wait; }

committed() { # number of deploys
    tender deploys --json | holds "deploys" 'map(select(.outcome == "committed")) | length == $n' --argjson n "$1"
}

outcome_of_deploy() { # word: of the newest
    tender deploys --json --limit 1 | holds "the last deploy" '.[0].outcome == $word' --arg word "$1"
}

plan() { tender plan --json || :; } # that something is blocked is an exit code, too

verdict() { # word: of the main checkout
    plan | holds "plan" '.checkouts[0].verdict == $word' --arg word "$1"
}

finished() { # job number-of-runs
    tender runs --json --job "$1" | holds "runs of $1" \
        'length == $n and all(.[]; .outcome != null)' --argjson n "$2"
}

# --- what runs ------------------------------------------------------------------------------------

services() { # all containers of the stack, with everything that a deploy could change of them
    local ids
    ids=$(docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$project")
    # shellcheck disable=SC2086 # ids are words
    [ -z "$ids" ] || docker inspect -f '{{.Name}} {{.Id}} {{.State.StartedAt}} {{.State.Running}} {{.RestartCount}}' $ids | sort
}

service() { # name: id of its one container
    local ids
    ids=$(docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$project" \
        --filter "label=com.docker.compose.service=$1")
    [ "$(wc -w <<<"$ids")" = 1 ] || fail "service $1 has not one container but: $ids"
    echo "$ids"
}

serves() { # version: the one container of web has it and is well
    local state
    state=$(docker inspect -f '{{range .Config.Env}}{{println .}}{{end}}{{.State.Health.Status}}' "$(service web)")
    contains "environment of web" "VERSION=$1
" "$state"
    is "health of web" healthy "$(tail -n 1 <<<"$state")"
}

container_of() { # job: id of the container of its run, while there is one
    docker ps -q --no-trunc --filter "label=tender.stack=$project" --filter "label=tender.job=$1" | grep . | head -n 1
}

instant() { date +%s.%N; }

# Everything that was written on the engine since then, but for the run of the job itself: its
# container, that container's network and mounts. (The engine says "volume create" of a volume that
# is there whenever a container is created that mounts it.)
writes() { # instant job
    docker events --since "$1" --until "$(instant)" --format '{{json .}}' | jq -rs --arg stack "$project" --arg job "$2" '
        def its_run: .Actor.Attributes | .["tender.stack"] == $stack and .["tender.job"] == $job and .["tender.parent"] == null;
        (map(select(.Type == "container" and its_run) | .Actor.ID) | unique) as $own
        | .[]
        | select(.Action | test("^(exec_|attach|health_status)") | not)
        | select((.Type == "volume" and .Action == "create" and .Actor.ID == $stack + "-scheduler_tender-state") | not)
        | select(([.Actor.ID, .Actor.Attributes.container] - $own) | length == 2)
        | "\(.Type) \(.Action) \(.Actor.Attributes.name // .Actor.ID)"'
}

# --- the end --------------------------------------------------------------------------------------

diagnose() {
    echo "  --- $project: containers"
    docker ps -a --filter "name=$project" --format '  {{.Names}}  {{.Image}}  {{.Status}}'
    if [ -z "$(scheduler)" ]; then return; fi
    echo "  --- scheduler"
    docker logs --tail 60 "$(scheduler)" 2>&1 | sed 's/^/  | /'
    for what in status "runs --limit 5" "deploys --limit 3"; do
        echo "  --- tender $what"
        # shellcheck disable=SC2086 # arguments are words
        timeout 20 docker exec "$(scheduler)" tender $what --json 2>&1 | sed 's/^/  | /'
    done
    for file in "$log"/*.log; do
        [ -f "$file" ] || continue
        echo "  --- $file"
        tail -n 60 "$file" | sed 's/^/  | /'
    done
}

no_runs() { ! docker ps -aq --filter "label=tender.stack=$project" | grep -q .; }

# What Tender must have taken away by itself.
leftovers() {
    if [ -n "$(scheduler)" ]; then
        (wait_for 20 "Tender to take its containers away" no_runs) || return 1
    fi
    local odd
    odd=$(docker ps -a --filter "label=com.docker.compose.project=$project" --format '{{.Names}}' | grep -E '^[0-9a-f]{12}_' || :)
    [ -z "$odd" ] || { echo "  half-recreated containers: $odd"; return 1; }
    odd=$(git -C "$checkout" status --porcelain)
    [ -z "$odd" ] || [ -n "${dirty:-}" ] || { echo "  the checkout is dirty: $odd"; return 1; }
}

remove() { # docker-object-kind filter
    local ids
    case $1 in
        container) ids=$(docker ps -aq --filter "$2") && set -- rm -fv ;;
        network) ids=$(docker network ls -q --filter "$2") && set -- network rm ;;
        volume) ids=$(docker volume ls -q --filter "$2") && set -- volume rm ;;
        image) ids=$(docker images --format '{{.Repository}}:{{.Tag}}' "$2") && set -- rmi ;;
    esac
    # shellcheck disable=SC2086 # ids are words
    [ -z "$ids" ] || docker "$@" $ids >/dev/null 2>&1 || :
}

# What the case made, and what its deploys keep on purpose.
destroy() {
    stop -v -t 5
    remove container "label=tender.stack=$project"
    remove container "label=tender.compose-dir=$checkout" # probes of a scheduler that was killed
    for kind in container network volume; do remove "$kind" "label=com.docker.compose.project=$project"; done
    remove image "tender/$project/*"
}

at_end() {
    local status=$?
    trap - EXIT
    set +e
    for name in "${stacks[@]}"; do
        use "$name"
        [ "$status" != 0 ] || leftovers || status=1
    done
    for name in "${stacks[@]}"; do
        use "$name"
        [ "$status" = 0 ] || diagnose
        destroy
    done
    if declare -F clean >/dev/null; then clean; fi # of the case
    exit "$status"
}
trap at_end EXIT
trap 'exit 124' INT TERM

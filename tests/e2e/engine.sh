# shellcheck shell=bash
# Sourced by cases that stop the engine: gives them one of their own, in a container. After
# `engine_up` every docker command of the case, and the scheduler, speak to that one.

bed=$E2E_RUN-engine
bed_image=tender-e2e-engine # kept: it takes long to build
bed_socket=$E2E_TMP/engine/docker.sock
host() { env -u DOCKER_HOST docker "$@"; } # the engine that ours lives on
engine_clean() { host rm -fv "$bed" >/dev/null 2>&1; }

answers() { timeout 5 docker version >/dev/null 2>&1; }
refuses() { ! answers; }

engine_up() { # image…: that it needs
    mkdir "$E2E_TMP/engine"
    DOCKER_BUILDKIT=0 docker build -q -t "$bed_image" "$E2E/engine" >/dev/null 2>&1
    # As much as this machine can give: --privileged would ask for more where it is a guest itself.
    docker run -d --name "$bed" --cap-add ALL --cap-drop SYS_RESOURCE --device-cgroup-rule 'a *:* rwm' \
        --cgroupns private --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
        --security-opt systempaths=unconfined --tmpfs /tmp --tmpfs /run -v /var/lib/docker \
        -v "$E2E_TMP:$E2E_TMP" "$bed_image" "$bed_socket" >/dev/null
    export DOCKER_HOST=unix://$bed_socket
    SOCKET=/var/run/docker.sock
    wait_for 60 "an engine of our own" answers
    host save "$@" | docker load -q >/dev/null
    say "engine $(docker version -f '{{.Server.Version}}, API {{.Server.APIVersion}}')"
}

engine_signal() { # signal
    host exec "$bed" sh -c "kill -$1 $(cat "$bed_socket.pid")"
}

engine_away() { # signal: until engine_back
    touch "$bed_socket.stay"
    engine_signal "$1"
    wait_for 60 "the engine to be gone" refuses
}

engine_back() {
    rm -f "$bed_socket.stay"
    wait_for 90 "the engine to be back" answers
}

# The process of a container by its number on the host.
pid_of() { # container
    local inner
    inner=$(docker inspect -f '{{.State.Pid}}' "$1")
    for status in /proc/[0-9]*/status; do
        awk -v pid="$inner" '/^Pid:/ { own = $2 } /^NSpid:/ && NF == 4 && $3 == pid { print own }' "$status" 2>/dev/null || :
    done | while read -r own; do
        if grep -q "$1" "/proc/$own/cgroup" 2>/dev/null; then echo "$own"; fi
    done | head -n 1
}

# The scheduler's way to the engine is a relay, whose socket stays while what is behind it goes.
engine_relay() {
    SOCKET=/var/run/relay.sock
    # -t: one that has said its last word may still listen.
    host exec -d "$bed" sh -c "echo \$\$ >$SOCKET.pid; exec socat -t 86400 UNIX-LISTEN:$SOCKET,fork UNIX-CONNECT:/var/run/docker.sock"
    wait_for 30 "the relay" host exec "$bed" test -S "$SOCKET"
}

relay_close() { # breaks its connections, and every later one as well
    host exec "$bed" sh -c "mv /var/run/docker.sock /var/run/away.sock
        relay=\$(cat $SOCKET.pid); kill -KILL \$(cat /proc/\$relay/task/\$relay/children)"
}

relay_open() { host exec "$bed" mv /var/run/away.sock /var/run/docker.sock; }

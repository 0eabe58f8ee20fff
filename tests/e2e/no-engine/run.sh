# No engine, no right to speak to it, a wrong path: one clear line, and an exit code to act upon.
stack a

# The scheduler's command in a container with these options, without compose's restarts.
serve() { # docker-run-option…
    docker run --rm --name "$project-serve" --read-only --tmpfs /tmp --tmpfs /var/lib/tender:mode=1777 \
        -v "$checkout:$checkout:ro" -v "$log:$log" -e COMPOSE_DIR="$checkout" "$@" "$E2E_IMAGE" serve
}
clean() { docker rm -f "$project-serve" >/dev/null 2>&1; }

one_line() { # code words docker-run-option…
    local code=$1 words=$2
    shift 2
    ends_with_code "$code" timeout 30 bash -c 'serve "$@"' serve "$@"
    is "lines on stderr" 1 "$(wc -l <"$E2E_TMP/err")"
    contains "the line" "$words" "$(cat "$E2E_TMP/err")"
    say "$(cat "$E2E_TMP/err")"
}
export -f serve
export project checkout log E2E_IMAGE

say "no socket"
one_line 69 /var/run/docker.sock

say "a socket that nobody listens at"
perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 1) or die' "$E2E_TMP/dead.sock"
one_line 69 /var/run/docker.sock -v "$E2E_TMP/dead.sock:/var/run/docker.sock"

say "a socket without permission"
chmod 777 "$log"
one_line 69 ermission -v "$SOCKET:/var/run/docker.sock" --user 65534:65534

say "a wrong path"
one_line 64 "$dir/nowhere" -v "$SOCKET:/var/run/docker.sock" -e COMPOSE_DIR="$dir/nowhere"

say "without an engine: everything that needs none"
without() { docker run --rm --network none -v "$checkout:$checkout:ro" -e COMPOSE_DIR="$checkout" "$E2E_IMAGE" "$@"; }
for command in check jobs next config; do ends_with_code 0 without "$command"; done

# A configuration that changes, breaks and mends while the scheduler runs. env.local and the jobs lie
# in a private checkout that the scheduler's own container does not see.
stack a
private=$dir/private
cp -R "$CASE/private" "$private"
mv "$checkout/env.local" "$private/env.local"
ln -s "$private/env.local" "$checkout/env.local"
setting EXTRA_CONF_DIRS "$private/jobs"
setting SCHEDULER_CONFIG_POLL 0
setting GREETING one
start

since() { tender status --json | jq -er .configured_at; }
newer_than() { [ "$(since)" != "$1" ]; }
health() { tender status --json | holds "status" '.health == $health' --arg health "$1"; }
reason() { # code words
    tender status --json | holds "reasons" \
        '.health == "degraded" and any(.reasons[]; .code == $code and (.what | contains($words)))' --arg code "$1" --arg words "$2"
}
set_to() { sed -i "s/^export $1=.*/export $1='$2'/" "$private/env.local"; }
reload() { # filter: of what it says
    ends_with_code 0 tender reload --json
    holds "what reload says" "$1" <"$E2E_TMP/out"
}
greets() { # with what a container that begins now greets
    ends_with_code 0 tender run greet --wait
    is "the greeting" "greeting $1" "$(cat "$E2E_TMP/out")"
}

health ok
greets one

say "a signal"
before=$(since)
set_to GREETING two
docker exec "$(scheduler)" sh -c 'kill -HUP 1'
wait_for 60 "the signal to take effect" newer_than "$before"
greets two

say "a command"
set_to GREETING three
printf -- '- {name: added, schedule: "@daily", image: debian:trixie-slim, command: [true]}\n' >>"$private/jobs/jobs.yml"
reload '.added == ["added"] and .changed == ["greet"] and .removed == [] and .refused == []'
before=$(since)
reload '.added == [] and .changed == [] and .removed == []'
is "the configuration that is the same" "$before" "$(since)"
greets three

say "a job that is removed while it runs"
tender run slow >/dev/null
lines() { grep -cs '^line ' "$log/slow.log" || :; }
begun() { [ "$(lines)" -ge 3 ]; }
wait_for 30 "some output" begun
container=$(container_of slow)
sed -i '/^# slow/,/^# end/d' "$private/jobs/jobs.yml"
reload '.removed == ["slow"] and .added == [] and .changed == []'
is "its container" "$container" "$(container_of slow)"
ends_with_code 2 tender run slow
wait_for 60 "its end and that of the action after it" finished slow 2
tender runs --json --job slow | holds "its records" 'all(.[]; .outcome == "succeeded") and (map(.part) | sort) == [0, 1]'
is "number of lines" 20 "$(lines)"
contains "its log" "and after" "$(cat "$log/slow.log")"

say "a change that nobody tells of"
setting SCHEDULER_CONFIG_POLL 2s
reload '.settings == ["SCHEDULER_CONFIG_POLL"]'
before=$(since)
set_to GREETING four
wait_for 60 "the change to be found" newer_than "$before"
greets four

say "a conf dir that vanishes"
mv "$private/jobs" "$private/away"
ends_with_code 64 tender reload
contains "what reload says" "has vanished" "$(cat "$E2E_TMP/err")"
reason config-unreadable "$private/jobs"
greets four
mv "$private/away" "$private/jobs"
wait_for 60 "it to be found again" health ok

say "a syntax error"
cp "$private/env.local" "$dir/good"
before=$(since)
echo 'if then' >>"$private/env.local"
set_to GREETING five
ends_with_code 64 tender reload
reason config-unreadable "env.local"
greets four
is "the mode of the last good one" 600 "$(docker exec "$(scheduler)" stat -c %a /var/lib/tender/last-good-configuration.json)"

say "a start with it"
crash
tender status --json | holds "jobs" '[.jobs[].name] | contains(["greet", "added", "autodeploy"])'
reason config-unreadable "in force is the one of"
is "the configuration" "$before" "$(since)"
greets four
ends_with_code 0 tender health

say "mended"
sed -i '/^if then/d' "$private/env.local"
wait_for 60 "the configuration to be found good" health ok
greets five

say "what needs a restart"
set_to COMPOSE_PROJECT_NAME "$project-other"
ends_with_code 64 tender reload
reason restart-needed "$project-other"
greets five
set_to COMPOSE_PROJECT_NAME "$project"
wait_for 60 "it to be put back" health ok
is "restarts of the scheduler" 1 "$(docker inspect -f '{{.RestartCount}}' "$(scheduler)")"

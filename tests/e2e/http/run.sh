# Requests as jobs: to a service by its name, and what their exit codes mean for further attempts.
stack a
setting EXTRA_CONF_DIRS ./jobs
start
deploy

say "a request that is answered as expected"
ends_with_code 0 tender run health --wait
contains "the answer" "POST /health?api_key=hunter2 HTTP/1.1, token hunter2" "$(cat "$E2E_TMP/out")"
contains "the line about it" "POST http://web:8000/health?api_key=***: 200 OK after" "$(cat "$log/health.log")"

say "another status"
ends_with_code 1 tender run busy --wait
wait_for 60 "the second attempt" finished busy 2
tender runs --json --job busy | holds "the records" 'map(.exit_code) == [1, 1] and map(.attempt) == [2, 1]'
contains "the line about it" "503 was not expected, but 200-299" "$(cat "$log/busy.log")"

say "nobody answers"
ends_with_code 69 tender run absent --wait
tender runs --json --job absent | holds "one attempt: its code is none of those" 'map(.exit_code) == [69]'

say "secrets stay where they are"
for form in "jobs --json" "explain health" "run health --dry-run"; do
    # shellcheck disable=SC2086 # words
    case $(tender $form) in *hunter2*) fail "$form shows a token" ;; esac
done

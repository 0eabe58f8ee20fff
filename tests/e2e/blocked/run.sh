# A checkout that cannot be moved is reported, and the stack stays as it is.
stack a
start
deploy
before=$(services)

blocked() { # verdict code
    say "$1"
    ends_with_code "$2" tender run autodeploy --wait
    verdict "$1"
    contains "the log" "$1" "$(cat "$log/autodeploy.log")"
    is "containers" "$before" "$(services)"
    committed 1
}

release 2
echo local >>"$checkout/worker.conf"
blocked dirty 3
git -C "$checkout" checkout -q worker.conf

touch "$checkout/untracked"
blocked dirty 3
rm "$checkout/untracked"

git -C "$checkout" -c user.name=e2e -c user.email=e2e@localhost commit -q --allow-empty -m "Made here"
blocked diverged 3
git -C "$checkout" reset -q --hard HEAD~

git -C "$checkout" remote set-url origin https://127.0.0.1:1/gone.git
blocked unknown 69
git -C "$checkout" remote set-url origin "$remote"

say "all in order again"
deploy
serves 2
committed 2

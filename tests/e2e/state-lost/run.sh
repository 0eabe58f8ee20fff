# The state volume is deleted, then somebody pushes: the stack is adopted as it is, the push is
# deployed, and the steps of a first deploy do not run again.
stack a
mkdir "$checkout/marks"
sed -i 's|^    environment:|    volumes: ["./marks:/marks"]\n&|' "$work/docker-compose.yml"
push "A place for marks"
git -C "$checkout" pull -q
start
deploy
serves 1
marks() { cat "$checkout/marks/first" 2>/dev/null || :; }
before_marks=$(marks)
is "marks of the first deploy" first "$before_marks"
before=$(services)

say "the state is deleted"
stop -v
is "the state volume" "" "$(docker volume ls -q --filter "name=$project-scheduler")"
start

say "nothing new: adopted, nothing touched"
deploy
is "containers" "$before" "$(services)"
is "marks of the first deploy" "$before_marks" "$(marks)"

say "deleted again, and a push"
stop -v
worker=$(service worker)
release 2
start
code tender run autodeploy --wait >/dev/null
deploy
serves 2
is "commit of the checkout" "$(head_of "$work")" "$(head_of "$checkout")"
is "worker, which did not change" "$worker" "$(service worker)"
is "marks of the first deploy" "$before_marks" "$(marks)"

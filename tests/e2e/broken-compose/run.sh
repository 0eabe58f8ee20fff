# What is wrong with a new version is found before anything of the running one is touched.
stack a
start
deploy
before=$(services)
commit=$(head_of "$checkout")
cp "$work/docker-compose.yml" "$E2E_TMP/good.yml"

refused() { # what
    say "$1"
    push "$1"
    ends_with_code 1 tender run autodeploy --wait
    is "containers" "$before" "$(services)"
    is "commit of the checkout" "$commit" "$(head_of "$checkout")"
    committed 1
}

echo 'services: {web: [' >"$work/docker-compose.yml"
refused "not YAML"

sed 's/restart:/restrat:/' "$E2E_TMP/good.yml" >"$work/docker-compose.yml"
refused "not a compose file"

sed 's/image: .*/image: tender-e2e.invalid\/none:1/' "$E2E_TMP/good.yml" >"$work/docker-compose.yml"
refused "no such image"

say "mended"
cp "$E2E_TMP/good.yml" "$work/docker-compose.yml"
release 2
deploy
serves 2
committed 2

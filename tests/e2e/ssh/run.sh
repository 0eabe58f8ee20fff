# Two checkouts over a real sshd, each with a key that opens its own repo only.
sshd=$E2E_RUN-sshd
clean() {
    docker rm -fv "$sshd" >/dev/null 2>&1
    docker rmi "$sshd" >/dev/null 2>&1
}

stack a
keys=$dir/keys extra=$dir/extra extra_work=$dir/extra-work
mkdir "$keys"

repo "$dir/extra.git" "$extra_work"
mkdir "$extra_work/conf"
extra_release() { # version
    cat >"$extra_work/conf/docker-compose-extra.yml" <<EOF
services:
  web: {environment: {EXTRA: "$1"}}
EOF
    push "Extra $1" "$extra_work"
}
extra_release 1
git clone -q "$dir/extra.git" "$extra"

say "a server with two keys"
DOCKER_BUILDKIT=0 docker build -q -t "$sshd" "$CASE" >/dev/null 2>&1
key() { # checkout repo
    ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$keys/$1_deploy_key"
    echo "restrict,command=\"git upload-pack $2\" $(cat "$keys/$1_deploy_key.pub")" >>"$dir/authorized_keys"
}
key stack "$remote"
key extra "$dir/extra.git"
docker run -d --name "$sshd" -v "$dir:$dir:ro" -v "$dir/authorized_keys:/home/git/.ssh/authorized_keys:ro" "$sshd" >/dev/null
address=$(docker inspect -f '{{.NetworkSettings.IPAddress}}' "$sshd")
git -C "$checkout" remote set-url origin "ssh://git@$address$remote"
git -C "$extra" remote set-url origin "git@$address:$dir/extra.git"
wait_for 20 "sshd" bash -c "exec 3<>/dev/tcp/$address/22"

setting AUTODEPLOY_EXTRA_REPOS "$extra"
setting EXTRA_CONF_DIRS "$extra/conf"
setting AUTODEPLOY_DEPLOY_KEY_ROOT_DIR "$keys"
sed -i '/SCHEDULER_PROBE_DIRS/d' "$checkout/env.local"
start

serves_extra() { contains "environment of web" "EXTRA=$1" "$(docker inspect -f '{{.Config.Env}}' "$(service web)")"; }

say "first deploy"
deploy
serves 1
serves_extra 1

say "a push to both"
release 2
extra_release 2
deploy
serves 2
serves_extra 2
is "commit of the checkout" "$(head_of "$work")" "$(head_of "$checkout")"
is "commit of the extra checkout" "$(head_of "$extra_work")" "$(head_of "$extra")"
tender deploys --json --limit 1 | holds "the record" '.[0].to | length == 2'

say "a push to the extra checkout only"
extra_release 3
deploy
serves 2
serves_extra 3

say "without the key of one"
mv "$keys/extra_deploy_key" "$keys/away"
before=$(services)
release 3
ends_with_code 69 tender run autodeploy --wait
plan | holds "plan" '[.checkouts[].verdict] == ["behind", "unknown"]'
is "containers" "$before" "$(services)"
mv "$keys/away" "$keys/extra_deploy_key"

say "a server with another host key"
docker exec "$sshd" sh -c 'rm /etc/ssh/ssh_host_* && ssh-keygen -q -A && kill -HUP 1'
ends_with_code 69 tender run autodeploy --wait
plan | holds "plan" 'all(.checkouts[]; .verdict == "unknown" and (.reason | test("host key")))'
is "containers" "$before" "$(services)"

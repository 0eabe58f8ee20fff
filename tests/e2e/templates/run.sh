# A stack without a wrapper of its own: templates and hooks of its conf dirs are Tender's business.
stack a
setting EXTRA_CONF_DIRS ./conf/site
site=$checkout/conf/site/site.conf
owner=$(id -u)
if [ "$owner" = 0 ]; then # so that files of root are told from those of the owner
    owner=1234
    chown -R 1234:1234 "$remote" "$checkout"
    export GIT_CONFIG_GLOBAL=$E2E_TMP/gitconfig
    git config --global safe.directory '*'
fi
start

site_is() { # text: of the file, here and in the service
    is "the rendered file" "$1" "$(cat "$site")"
    is "the rendered file in web" "$1" "$(docker exec "$(service web)" cat /site.conf)"
    is "owner of the rendered file" "$owner" "$(stat -c %u "$site")"
    is "git status" "" "$(git -C "$checkout" status --porcelain)"
}

hooked() { is "the hooks that ran" "$1" "$(cat "$log/hooks" 2>/dev/null)"; rm -f "$log/hooks"; }

includes() { contains "environment of web" "BY_INCLUDE=$1 by the include" "$(docker inspect -f '{{.Config.Env}}' "$(service web)")"; }

unchanged() {
    tender plan --json | holds "plan of an unchanged vector" \
        '.rendered == [] and ([.services[] | select(.action != "none")] == [])'
}

say "first deploy"
deploy
serves 1
site_is 'name=one note= host=$host'
hooked "pre one in $checkout
post one"
includes one
unchanged

say "another default and another template"
inode=$(stat -c %i "$site")
worker=$(service worker)
sed -i 's/:-one/:-two/' "$work/conf/site/default.env"
echo 'more=yes' >>"$work/conf/site/site.conf.template"
push "Two"
tender plan --json | holds "plan" '.rendered == [$site] and .services != null' --arg site "$site"
site_is 'name=one note= host=$host'
deploy
site_is 'name=two note= host=$host
more=yes'
is "inode of the rendered file" "$inode" "$(stat -c %i "$site")"
is "worker, which did not change" "$worker" "$(service worker)"
hooked "pre two in $checkout
post two"
includes two
unchanged

say "a change of env.local alone is drift until the next deploy"
setting SITE_NOTE mine
tender plan --json | holds "plan" '.rendered == [$site]' --arg site "$site"
deploy
site_is 'name=two note= host=$host
more=yes'
ends_with_code 0 tender run autodeploy --wait -e AUTODEPLOY_FORCE=1
site_is 'name=two note=mine host=$host
more=yes'
is "inode of the rendered file" "$inode" "$(stat -c %i "$site")"
rm -f "$log/hooks"

say "a required variable without a value"
before=$(services)
head=$(head_of "$checkout")
sed -i "s/^VARS=.*/VARS='\$SITE_NAME \$SITE_OWNER'/" "$work/conf/site/default.env"
release 2
ends_with_code 1 tender run autodeploy --wait
contains "the log" "required variable SITE_OWNER is not set" "$(cat "$log/autodeploy.log")"
is "containers" "$before" "$(services)"
is "commit of the checkout" "$head" "$(head_of "$checkout")"

say "a hook that fails"
sed -i "s/^VARS=.*/VARS='\$SITE_NAME'/" "$work/conf/site/default.env"
sed -i 's/:-two/:-three/' "$work/conf/site/default.env"
echo 'exit 7' >>"$work/conf/site/pre-docker-compose-up"
release 3
ends_with_code 1 tender run autodeploy --wait
outcome_of_deploy rolled-back
contains "the log" "pre-docker-compose-up ended with 7" "$(cat "$log/autodeploy.log")"
hooked "pre three in $checkout"
is "containers" "$before" "$(services)"
is "commit of the checkout" "$head" "$(head_of "$checkout")"
site_is 'name=two note=mine host=$host
more=yes'
is "inode of the rendered file" "$inode" "$(stat -c %i "$site")"

say "a version that is rolled back"
sed -i '/^exit 7/d' "$work/conf/site/pre-docker-compose-up"
release bad-4
ends_with_code 1 tender run autodeploy --wait
outcome_of_deploy rolled-back
serves 1
site_is 'name=two note=mine host=$host
more=yes'
is "inode of the rendered file" "$inode" "$(stat -c %i "$site")"
hooked "pre three in $checkout
post three"

say "the next version"
release 5
deploy
serves 5
site_is 'name=three note=mine host=$host
more=yes'
includes three

# Reads lines of shell code from its input, runs each in this one shell, and answers with the whole
# environment: NUL-separated pairs on 3, then a record `=<event> <status>`; a NUL on 5 ends what the
# line said on standard error. Whatever is run sees an empty input and says nothing on its output.
exec 4<&0 3>&1 5>&2 </dev/null >/dev/null
__tender_dir=$PWD
__tender_nl='
'
__tender_cat=$(command -v cat)
__tender_env=$(command -v env)
if ! "$__tender_env" -0 >/dev/null 2>&1; then __tender_env=; fi
__tender_dump() {
    if [ -n "$__tender_env" ]; then
        "$__tender_env" -0 >&3
    else
        "$__tender_cat" /proc/self/environ >&3
    fi
    printf '%s\000' "=$1 $2" >&3
    printf '\000' >&5
}
trap '__tender_dump exit $?' EXIT
set -a
while IFS= read -r __tender_line <&4; do
    eval "$__tender_line"
    __tender_status=$?
    # Options, folder and redirections of one file are not those of the next.
    set +eufvxC -a
    exec </dev/null >/dev/null 2>&5
    cd "$__tender_dir" || exit
    __tender_dump ok "$__tender_status"
done
trap - EXIT

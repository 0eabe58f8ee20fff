# Read by a shell from a pipe, and followed by the code that it is to run. Nothing here needs a
# program, a variable or an open file: those are at the mercy of what is run. It answers on pipes
# that it opens by their path: on @OUT@ all variables, the exported ones, and how it went, each ended
# by a NUL; on @TOLD@ each file that bash begins to read; a NUL ends what belongs to one answer on
# @TOLD@ and @ERR@. Special builtins (`set`, `export`, `.`) cannot be hidden by functions, others can.
exec </dev/null >/dev/null 2>>'@ERR@'
ulimit -d @MEMORY@ 2>/dev/null || :
__tender_dump() {
    unset -f command printf
    { set; command printf '\000'; export -p; command printf '\000%s\000' "$1 $2 $3"; } >>'@OUT@'
    command printf '\000' >>'@TOLD@'
    command printf '\000' >>'@ERR@'
}
# Options, folder and redirections of one file are not those of the next.
__tender_after() {
    set +efuvxC @ALL@
    exec </dev/null >/dev/null 2>>'@ERR@'
    __tender_idle
    unset -f command cd
    command cd @DIR@ || exit
    __tender_dump ok "$1" "$2"
}
# A value too large for a program's environment stays a variable of the shell alone.
__tender_hide() {
    set +a
    eval "set -- \"\$1\" \"\$$1\""
    unset "$1"
    eval "$1=\$2"
    set @ALL@
}
# In a subshell: a value that is no shell syntax must not end this one.
__tender_expand() {
    eval "set -- \"\$1\" \"\$$1\""
    set -- "$1" "$(eval "command printf '%sx' \"$2\"" 2>/dev/null)"
    case $2 in
        *x) eval "$1=\${2%x}" ;;
        *) return 1 ;;
    esac
}
__tender_ready() { :; }
__tender_idle() { :; }
if [ -n "${BASH_VERSION-}" ]; then
    FUNCNEST=1000
    eval '
        __tender_ready() {
            set -T
            trap '\''[[ ${BASH_SOURCE-} = "${__tender_at-}" ]] || {
                __tender_at=$BASH_SOURCE
                builtin printf "%s\n" "$BASH_SOURCE" "$PWD" "${BASH_SOURCE[1]-}" "${BASH_LINENO-}" >>@TOLD@
                builtin printf "\000" >>@TOLD@
            }'\'' DEBUG
        }
        __tender_idle() {
            trap - DEBUG
            set +T -o posix
        }'
fi
trap '__tender_dump exit "$?" "$-"' EXIT
set @ALL@

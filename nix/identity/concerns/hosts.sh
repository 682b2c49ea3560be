# shellcheck shell=sh
# shellcheck disable=SC2154 # `trimmed` is set by trim() and uncomment() of common.sh
# /etc/hosts: the guest's own names, then the lines of `hosts` (address, then names; `#` comments).

# parse_hosts <text: prints the well-formed lines, one blank between words.
parse_hosts() (
    while IFS= read -r line || [ -n "$line" ]; do
        uncomment "$line"
        [ -n "$trimmed" ] || continue
        # Splitting into words is intended.
        # shellcheck disable=SC2086
        set -- $trimmed
        if [ $# -lt 2 ] || ! valid_ip "$1"; then
            skip hosts "$trimmed" 'not an address followed by names'
            continue
        fi
        entry=$1
        shift
        for name; do
            case $name in
                *[!A-Za-z0-9._-]* | [.-]*)
                    skip hosts "$trimmed" 'a name has a character that names do not have'
                    continue 2
                    ;;
            esac
            entry="$entry $name"
        done
        printf '%s\n' "$entry"
    done
)

apply() {
    name=$DEFAULT_HOSTNAME
    [ ! -s "$HOSTNAME_FILE" ] || read -r name <"$HOSTNAME_FILE"
    extra=$(contents hosts | parse_hosts)
    {
        printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.0.2 %s\n' "$name"
        printf 'ff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n'
        [ -z "$extra" ] || printf '%s\n' "$extra"
    } | deliver "$HOSTS_FILE" 0644 hosts_changed
}

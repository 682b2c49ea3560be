# shellcheck shell=sh
# shellcheck disable=SC2154 # `trimmed` is set by trim() and uncomment() of common.sh
# DNS servers: the `nameserver` lines of `resolv.conf`; the other lines of resolv.conf(5) are left out.
# None: the servers from DHCP.

# parse_nameservers <text: prints the addresses, one per line.
parse_nameservers() (
    while IFS= read -r line || [ -n "$line" ]; do
        uncomment "${line%%;*}"
        # Splitting into words is intended.
        # shellcheck disable=SC2086
        set -- $trimmed
        [ "${1-}" = nameserver ] || continue
        if [ $# -eq 2 ] && valid_ip "$2"; then
            printf '%s\n' "$2"
        else
            skip resolv.conf "$trimmed" 'not one address'
        fi
    done
)

apply() {
    servers=$(contents resolv.conf | parse_nameservers)
    # Splitting into words is intended.
    # shellcheck disable=SC2086
    set -- $servers
    for server; do
        printf 'nameserver %s\n' "$server"
    done | deliver "$RESOLV_FILE" 0644 dns_changed "$@"
}

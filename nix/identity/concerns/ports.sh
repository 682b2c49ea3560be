# shellcheck shell=sh
# shellcheck disable=SC2154 # `trimmed` is set by trim() and uncomment() of common.sh
# Open ports: `tcp_ports` and `udp_ports`, one port or range (8000-8010 or 8000:8010) per line, `#`
# comments. What is not listed is closed, on IPv4 and IPv6. Without the files everything is closed.

# port_number TEXT: prints a port from 1 to 65535 without leading zeros, or fails.
port_number() {
    number=$1
    case $number in '' | *[!0-9]*) return 1 ;; esac
    while :; do
        case $number in
            0?*) number=${number#0} ;;
            *) break ;;
        esac
    done
    [ ${#number} -le 5 ] && [ "$number" -ge 1 ] && [ "$number" -le 65535 ] || return 1
    printf '%s\n' "$number"
}

# parse_ports FILE_NAME <text: prints `22` or `8000-8010` per well-formed line. The name is for the log.
parse_ports() {
    while IFS= read -r line || [ -n "$line" ]; do
        uncomment "$line"
        [ -n "$trimmed" ] || continue
        case $trimmed in
            *[-:]*)
                if first=$(port_number "${trimmed%%[-:]*}") && last=$(port_number "${trimmed#*[-:]}"); then
                    if [ "$first" -lt "$last" ]; then
                        printf '%s-%s\n' "$first" "$last"
                        continue
                    elif [ "$first" -eq "$last" ]; then
                        printf '%s\n' "$first"
                        continue
                    fi
                fi
                ;;
            *)
                ! port_number "$trimmed" || continue
                ;;
        esac
        skip "$1" "$trimmed" 'not a port from 1 to 65535 and not a range such as 8000-8010'
    done
}

# covers PORT <parsed ports: is the port among them?
covers() {
    while IFS= read -r range; do
        [ -n "$range" ] || continue
        [ "${range%-*}" -gt "$1" ] || [ "${range#*-}" -lt "$1" ] || return 0
    done
    return 1
}

# ruleset TCP UDP: prints the table. Declaring it before deleting it makes the deletion succeed in any
# case, and nft applies the file as one transaction: at no moment is there no firewall. A rule per
# line rather than one set: ranges in a set must not overlap.
ruleset() {
    cat <<'RULES'
table inet snowglobe
delete table inet snowglobe
table inet snowglobe {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        ct state invalid drop
        iif lo accept
        meta l4proto { 1, 58 } accept # ICMP and ICMPv6; by number, since a small guest has no /etc/protocols
        udp sport 67 udp dport 68 accept
        ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept
RULES
    for range in $1; do
        printf '        tcp dport %s accept\n' "$range"
    done
    for range in $2; do
        printf '        udp dport %s accept\n' "$range"
    done
    if [ -n "$FIREWALL_EXTRA" ] && [ -r "$FIREWALL_EXTRA" ]; then
        cat "$FIREWALL_EXTRA"
    fi
    printf '    }\n}\n'
}

apply() {
    tcp=$(contents tcp_ports | parse_ports tcp_ports)
    udp=$(contents udp_ports | parse_ports udp_ports)
    printf '%s\n' "$tcp" | covers 22 ||
        log warning 'tcp_ports: 22 is not open: no SSH from outside, only the console is left'
    ruleset "$tcp" "$udp" | deliver "$FIREWALL_FILE" 0600 || return 0
    problem=$(load_firewall "$FIREWALL_FILE" 2>&1) ||
        fault "the firewall rules of $FIREWALL_FILE were refused, those in force before stay: $problem"
}

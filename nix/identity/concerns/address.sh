# shellcheck shell=sh
# shellcheck disable=SC2154 # `trimmed` is set by trim() and uncomment() of common.sh
# The address: `static_address` with `address=a.b.c.d/nn` and, if there is one, `gateway=a.b.c.d`.
# Absent, empty or malformed: DHCP.

# parse_address <text: prints `address=…` and `gateway=…` once each. Fails, printing nothing, on anything
# else: half an address is worse than DHCP.
parse_address() {
    address='' gateway=
    while IFS= read -r line || [ -n "$line" ]; do
        uncomment "$line"
        case $trimmed in
            '') ;;
            address=?*)
                [ -z "$address" ] || return 1
                address=${trimmed#address=}
                ;;
            gateway=?*)
                [ -z "$gateway" ] || return 1
                gateway=${trimmed#gateway=}
                ;;
            *) return 1 ;;
        esac
    done
    [ -n "$address$gateway" ] || return 0
    case $address in
        */[1-9] | */[12][0-9] | */3[0-2]) valid_ipv4 "${address%/*}" || return 1 ;;
        *) return 1 ;;
    esac
    [ -z "$gateway" ] || valid_ipv4 "$gateway" || return 1
    printf 'address=%s\n' "$address"
    [ -z "$gateway" ] || printf 'gateway=%s\n' "$gateway"
}

apply() {
    if ! given static_address || ! wanted=$(parse_address <"$IDENTITY/static_address"); then
        [ ! -f "$IDENTITY/static_address" ] ||
            fault 'static_address: not address=a.b.c.d/nn with an optional gateway=a.b.c.d: DHCP is used'
        wanted=
    fi
    set --
    for line in $wanted; do
        set -- "$@" "${line#*=}"
    done
    { [ -z "$wanted" ] || printf '%s\n' "$wanted"; } | deliver "$ADDRESS_FILE" 0644 address_changed "$@"
}

# shellcheck shell=sh
# shellcheck disable=SC2154 # `trimmed` is set by trim() and uncomment() of common.sh
# Extra certificate authorities: PEM certificates in `ca-cert.pem`, trusted besides those of CA_BASE.

# parse_certificates <text: prints the complete PEM blocks and nothing between them. Fails when a block is
# not closed or holds what is not base64.
parse_certificates() {
    block=
    while IFS= read -r line || [ -n "$line" ]; do
        trim "$line"
        case $block:$trimmed in
            ':-----BEGIN CERTIFICATE-----') block=$trimmed ;;
            :*) ;;
            *:'-----END CERTIFICATE-----')
                printf '%s\n%s\n' "$block" "$trimmed"
                block=
                ;;
            *) case $trimmed in
                *[!A-Za-z0-9+/=]*) return 1 ;;
                ?*) block="$block
$trimmed" ;;
            esac ;;
        esac
    done
    [ -z "$block" ]
}

apply() {
    extra=
    if given ca-cert.pem && [ -s "$IDENTITY/ca-cert.pem" ]; then
        if ! extra=$(parse_certificates <"$IDENTITY/ca-cert.pem") || [ -z "$extra" ]; then
            fault 'ca-cert.pem: not PEM certificates: none of them is trusted'
            extra=
        fi
    fi
    {
        [ -z "$CA_BASE" ] || [ ! -r "$CA_BASE" ] || cat "$CA_BASE"
        [ -z "$extra" ] || printf '%s\n' "$extra"
    } | deliver "$CA_BUNDLE" 0644 ca_changed
}

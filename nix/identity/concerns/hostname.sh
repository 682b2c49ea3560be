# shellcheck shell=sh
# The host name: one word in `hostname`. Absent: DEFAULT_HOSTNAME. Malformed: the name in force stays.

apply() {
    name=$DEFAULT_HOSTNAME
    if given hostname; then
        if ! name=$(first_word hostname) || ! valid_hostname "$name"; then
            fault "hostname: not one host name of at most 63 letters, digits and hyphens: the present name stays"
            [ ! -s "$HOSTNAME_FILE" ] || return 0
            name=$DEFAULT_HOSTNAME
        fi
    fi
    printf '%s\n' "$name" | deliver "$HOSTNAME_FILE" 0644 hostname_changed "$name"
}

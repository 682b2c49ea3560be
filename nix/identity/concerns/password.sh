# shellcheck shell=sh
# root's password: a crypt(5) hash in `root_password_hash`. Absent, empty or malformed: root is locked.

valid_hash() {
    [ ${#1} -le 512 ] || return 1
    case $1 in
        *[!A-Za-z0-9./\$=,_-]*) return 1 ;;
        \$?*\$?*\$?*) ;;
        *) return 1 ;;
    esac
}

# shadow_with_root HASH: prints SHADOW_FILE with root's hash replaced and a line for each user who has
# none. New users get `*`: no password fits, while keys still work (`!` would also refuse those, see
# sshd(8) on locked accounts).
shadow_with_root() {
    printf 'root:%s:1::::::\n' "$1"
    names=' root '
    if [ -r "$SHADOW_FILE" ]; then
        while IFS= read -r line || [ -n "$line" ]; do
            case $line in
                root:* | '') continue ;;
            esac
            names="$names${line%%:*} "
            printf '%s\n' "$line"
        done <"$SHADOW_FILE"
    fi
    while IFS= read -r line || [ -n "$line" ]; do
        case $names in
            *" ${line%%:*} "*) ;;
            *) printf '%s:*:1::::::\n' "${line%%:*}" ;;
        esac
    done <"$PASSWD_FILE"
}

apply() {
    hash=!
    if given root_password_hash && [ -s "$IDENTITY/root_password_hash" ]; then
        if ! hash=$(first_word root_password_hash) || ! valid_hash "$hash"; then
            # Never quoted in the log, not even a wrong one.
            fault 'root_password_hash: not a crypt hash: root is locked'
            hash=!
        fi
    fi
    shadow=$(shadow_with_root "$hash")
    printf '%s\n' "$shadow" | deliver "$SHADOW_FILE" 0600 password_changed "$hash"
}

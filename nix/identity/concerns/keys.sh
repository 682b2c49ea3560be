# shellcheck shell=sh
# shellcheck disable=SC2154 # `trimmed` is set by trim() and uncomment() of common.sh
# SSH keys: `<user>_authorized_keys`, in the format of sshd(8), one file per user of KEY_USERS.
# Comments and blank lines are left out; absent or empty: nobody can log in as that user by key.

# parse_keys <text: prints the key lines. The SSH server validates them: it knows the types, and it skips
# what it does not understand.
parse_keys() {
    while IFS= read -r line || [ -n "$line" ]; do
        trim "$line"
        case $trimmed in
            '' | '#'*) ;;
            *) printf '%s\n' "$trimmed" ;;
        esac
    done
}

apply() {
    for user in $KEY_USERS; do
        contents "${user}_authorized_keys" | parse_keys |
            deliver "$KEYS_DIR/$user" 0644 keys_changed "$user"
    done
}

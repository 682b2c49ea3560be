# shellcheck shell=sh
# The machine id: 32 lower-case hex digits in `machine-id` (machine-id(5)). Absent or malformed: the id
# of this boot stays, or a random one is made that lasts until the next.

valid_machine_id() {
    case $1 in
        *[!0-9a-f]* | 00000000000000000000000000000000) return 1 ;;
    esac
    [ ${#1} -eq 32 ]
}

random_machine_id() {
    read -r uuid </proc/sys/kernel/random/uuid
    # The kernel's form has four hyphens.
    rest=$uuid id=
    while [ -n "$rest" ]; do
        id=$id${rest%%-*}
        case $rest in
            *-*) rest=${rest#*-} ;;
            *) rest= ;;
        esac
    done
    printf '%s\n' "$id"
}

apply() {
    id=
    if given machine-id && { ! id=$(first_word machine-id) || ! valid_machine_id "$id"; }; then
        fault "machine-id: not 32 lower-case hex digits: not used"
        id=
    fi
    if [ -z "$id" ]; then
        [ ! -s "$MACHINE_ID_FILE" ] || return 0
        id=$(random_machine_id)
    fi
    printf '%s\n' "$id" | deliver "$MACHINE_ID_FILE" 0444 machine_id_changed "$id"
}

# shellcheck shell=sh
# What every concern shares: the platform's defaults, logging, delivery of files, parsing.
#
# Sourced by snowglobe-identity before the platform file, which overrides what differs in its guest.
# Programs used: base64 cat chmod cmp flock ls mkdir mv nft readlink rm sha256sum sync wc, and ssh-keygen unless make_host_key is
# overridden. The platform file may set PATH.

# ---- the platform: variables -----------------------------------------------------------------------
# Every file below is written completely beside its final name, then renamed: its directory must be writable.
# Where the guest expects it elsewhere (/etc/hosts on a read-only root), link or bind that place here.

: "${RUN_DIR:=/run/snowglobe}"              # this boot's state; must be empty after a reboot
: "${DEFAULT_HOSTNAME:=nixos}"              # in force when no hostname is given
: "${HOSTNAME_FILE:=$RUN_DIR/hostname}"
: "${MACHINE_ID_FILE:=$RUN_DIR/machine-id}"
: "${HOSTS_FILE:=$RUN_DIR/hosts}"
: "${RESOLV_FILE:=$RUN_DIR/resolv.conf}"    # the chosen servers, one `nameserver` line each; empty = from DHCP
: "${KEY_USERS:=admin user}"                # each has IDENTITY/<user>_authorized_keys
: "${KEYS_DIR:=$RUN_DIR/authorized_keys}"   # one file per user, named as the user
: "${PASSWD_FILE:=/etc/passwd}"             # read: who needs a line in the shadow file
: "${SHADOW_FILE:=$RUN_DIR/shadow}"
: "${FIREWALL_FILE:=$RUN_DIR/firewall.nft}"
: "${FIREWALL_EXTRA:=}"                     # file with further rules of the input chain, if any
: "${ADDRESS_FILE:=$RUN_DIR/static_address}" # `address=…` and `gateway=…`; empty = DHCP
: "${CA_BASE:=}"                            # the bundle that the guest trusts anyway, if any
: "${CA_BUNDLE:=$RUN_DIR/ca-bundle.crt}"    # the base and the extra certificates
: "${HOST_KEY:=$IDENTITY/ssh_host_ed25519_key}"
: "${KMSG:=}"                               # /dev/kmsg where stderr reaches no log

FAULT_MARK=$RUN_DIR/fault

# ---- the platform: hooks ---------------------------------------------------------------------------
# Called after the file was delivered, when its content changed in this boot or the hook failed last
# time. A hook that fails makes the concern fail and is called again by the next run.

hostname_changed() { printf '%s' "$1" >/proc/sys/kernel/hostname; } # NAME
machine_id_changed() { :; }                                         # ID
hosts_changed() { :; }
dns_changed() { :; }      # [ADDRESS…]; none: those from DHCP
keys_changed() { :; }     # USER
password_changed() { :; } # HASH, or `!` for locked
address_changed() { :; }  # [ADDRESS/PREFIX [GATEWAY]]; none: DHCP
ca_changed() { :; }
host_key_changed() { :; }
# Called in each run: rules can be lost without any file changing.
load_firewall() { nft -f "$1"; } # FILE
# Must write an OpenSSH ed25519 private key to the file, which does not exist.
make_host_key() { ssh-keygen -q -t ed25519 -N '' -C "root@$(cat "$HOSTNAME_FILE")" -f "$1"; } # FILE

# ---- logging ---------------------------------------------------------------------------------------

# log LEVEL TEXT: one line to stderr and, if the platform says so, to the kernel's log.
# LEVEL is err, warning or info.
log() {
    printf 'snowglobe-identity: %s: %s\n' "$1" "$2" >&2
    [ -n "$KMSG" ] || return 0
    case $1 in
        err) printf '<3>snowglobe-identity: %s\n' "$2" ;;
        warning) printf '<4>snowglobe-identity: %s\n' "$2" ;;
        *) printf '<6>snowglobe-identity: %s\n' "$2" ;;
    esac >"$KMSG" || :
}

# fault TEXT: the concern continues, but is reported as not in force. A file rather than a variable: faults also happen
# inside pipelines, which run in subshells.
fault() {
    : >"$FAULT_MARK"
    log err "$1"
}

# skip FILE LINE WHY: a malformed line is left out. It is quoted only if short and printable: the log goes to
# terminals.
skip() {
    case ${#2}:$2 in
        ???*:* | *[![:print:]]*) log warning "$1: a line is skipped: $3" ;;
        *) log warning "$1: '$2' is skipped: $3" ;;
    esac
}

# ---- files -----------------------------------------------------------------------------------------

# given NAME: is there such a file in the identity? Something else of that name is a fault, and so is a file
# larger than any identity: reading it line by line could hold up the boot for minutes.
given() {
    [ -e "$IDENTITY/$1" ] || return 1
    if [ -f "$IDENTITY/$1" ] && size=$(wc -c <"$IDENTITY/$1") && [ "$size" -le 262144 ]; then
        return 0
    fi
    fault "$IDENTITY/$1 is not a readable file of at most 256 KiB: taken as absent; replace it"
    return 1
}

# contents NAME: the file, or nothing when it is not given.
contents() {
    ! given "$1" || cat "$IDENTITY/$1"
}

# first_word NAME: prints the only word of a one-word file such as `hostname`; blanks around it and a
# missing newline do not matter. Fails when there is no word, or more than one.
first_word() {
    word=
    while IFS= read -r line || [ -n "$line" ]; do
        trim "$line"
        [ -n "$trimmed" ] || continue
        [ -z "$word" ] || return 1
        word=$trimmed
    done <"$IDENTITY/$1"
    case $word in '' | *[[:space:]]*) return 1 ;; esac
    printf '%s\n' "$word"
}

# deliver FILE MODE [HOOK [ARGUMENT…]] <content: put the content there and notify the platform if that changed
# something. The mark under pending/ makes the next run call a hook that failed, or that a crash kept from being called.
deliver() {
    file=$1 mode=$2
    shift 2
    mark=$RUN_DIR/pending/${file##*/}
    mkdir -p "${file%/*}"
    if ! (umask 077 && cat >"$file.new") || ! chmod "$mode" "$file.new"; then
        rm -f "$file.new"
        fault "$file cannot be written: is its directory writable, is the disk full?"
        return 1
    fi
    if [ -f "$file" ] && cmp -s "$file" "$file.new"; then
        rm -f "$file.new"
        chmod "$mode" "$file"
        [ -e "$mark" ] || return 0
    else
        : >"$mark"
        mv -f "$file.new" "$file" || {
            fault "$file cannot be replaced"
            return 1
        }
    fi
    if [ $# -gt 0 ] && ! "$@" >&2; then
        fault "$file is written, but $1 failed: it is tried again in the next run"
        return 1
    fi
    rm -f "$mark"
}

# ---- parsing ---------------------------------------------------------------------------------------

# trim TEXT: sets `trimmed` to the text without blanks (carriage returns too) at either end. Of a line longer
# than any key nothing is left: the work grows with the square of its length.
trim() {
    if [ ${#1} -gt 8192 ]; then
        log warning "a line of ${#1} characters is skipped: 8192 are the most"
        trimmed=
        return
    fi
    trimmed=${1#"${1%%[![:space:]]*}"}
    trimmed=${trimmed%"${trimmed##*[![:space:]]}"}
}

# uncomment TEXT: sets `trimmed` to what comes before a `#`, trimmed.
uncomment() {
    trim "${1%%#*}"
}

# valid_hostname NAME: labels of letters, digits and inner hyphens; at most 63 characters, the kernel takes 64.
valid_hostname() {
    [ ${#1} -le 63 ] || return 1
    case $1 in
        '' | *[!A-Za-z0-9.-]* | [.-]* | *[.-] | *..* | *.-* | *-.*) return 1 ;;
    esac
}

# valid_ipv4 ADDRESS: four decimal numbers up to 255, without leading zeros (some programs read those
# as octal).
valid_ipv4() (
    case $1 in *[!0-9.]* | *. | *.*.*.*.*) exit 1 ;; esac
    IFS=.
    # Splitting at the dots is intended.
    # shellcheck disable=SC2086
    set -- $1
    [ $# -eq 4 ] || exit 1
    for part; do
        case $part in
            0 | [1-9] | [1-9][0-9] | 1[0-9][0-9] | 2[0-4][0-9] | 25[0-5]) ;;
            *) exit 1 ;;
        esac
    done
)

# valid_ipv6 ADDRESS: groups of up to four hex digits, eight of them or fewer with one `::` (RFC 4291
# §2.2, without the dotted form).
valid_ipv6() (
    case $1 in
        *:*:*) ;;
        *) exit 1 ;;
    esac
    case $1 in
        *[!0-9A-Fa-f:]* | *:::* | *::*::* | *[0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f]*) exit 1 ;;
        :[!:]* | *[!:]:) exit 1 ;;
    esac
    most=8
    case $1 in *::*) most=7 ;; esac
    IFS=:
    count=0
    # Splitting at the colons is intended.
    # shellcheck disable=SC2086
    set -- $1
    for part; do
        [ -z "$part" ] || count=$((count + 1))
    done
    [ "$count" -le "$most" ] || exit 1
    [ "$most" -eq 7 ] || [ "$count" -eq 8 ]
)

valid_ip() {
    valid_ipv4 "$1" || valid_ipv6 "$1"
}

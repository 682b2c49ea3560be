# shellcheck shell=sh
# snowglobe-identity receive: takes the portal's files from standard input and puts them into $IDENTITY.
#
# One file a line, so that any POSIX shell can read them:
#
#   snowglobe-identity 1
#   file NAME MODE BASE64     there is such a file, mode 0644 or 0600
#   none NAME                 there is none
#   end COUNT                 how many of the lines above there were
#
# Everything is read and written beside its final name before anything changes: of a message that was cut short nothing
# is taken. Files that no line names stay, such as the guest's own host key.

STAGING=$IDENTITY/.received

# reject TEXT
reject() {
    log err "what was received is not taken: $1"
    rm -rf "$STAGING"
    return 1
}

# receivable NAME: a file that the portal may write. The host key never leaves the guest.
receivable() {
    case $1 in
        ssh_host_* | *[!a-z0-9._-]* | [!a-z]* | '') return 1 ;;
    esac
    [ ! -d "$IDENTITY/$1" ]
}

# stage: reads the lines. Files go to $STAGING/MODE, names without a file to $STAGING/none.
stage() {
    rm -rf "$STAGING"
    (umask 077 && mkdir -p "$STAGING/644" "$STAGING/600" && : >"$STAGING/none") || return 1
    line=
    IFS= read -r line || :
    if [ "$line" != 'snowglobe-identity 1' ]; then
        reject 'it begins with an unknown version'
        return 1
    fi
    count=0
    while IFS=' ' read -r verb name mode data; do
        case $verb in
            end)
                [ "$name" = "$count" ] && return 0
                reject "it should have ${name:-more} entries and has $count"
                return 1
                ;;
            file | none) ;;
            *)
                reject 'it has an unknown kind of entry'
                return 1
                ;;
        esac
        if ! receivable "$name"; then
            reject 'it names a file that the portal may not write'
            return 1
        fi
        count=$((count + 1))
        if [ "$verb" = none ]; then
            printf '%s\n' "$name" >>"$STAGING/none" || return 1
            continue
        fi
        case $mode in 644 | 600) ;; *)
            reject "it gives a file the mode '$mode'"
            return 1
            ;;
        esac
        staged=$STAGING/$mode/$name
        if ! printf '%s\n' "$data" | (umask 077 && base64 -d >"$staged") || ! chmod "$mode" "$staged"; then
            reject "$name cannot be written: is the disk full?"
            return 1
        fi
    done
    reject 'it ends too early'
}

# take MODE: puts the staged files of this mode into place. One that is as received already is left alone: nobody who
# watches it has to look.
take() {
    # Staged names are plain words.
    set +f
    for file in "$STAGING/$1"/*; do
        name=${file##*/}
        [ -e "$file" ] || continue
        if [ ! -L "$IDENTITY/$name" ] && cmp -s "$file" "$IDENTITY/$name"; then
            chmod "$1" "$IDENTITY/$name"
        else
            mv -f "$file" "$IDENTITY/$name"
        fi || {
            reject "$name cannot be replaced"
            return 1
        }
    done
    set -f
}

receive() {
    stage || return 1
    # What was staged is on the disk before a name points to it.
    sync
    if ! take 644 || ! take 600; then return 1; fi
    while IFS= read -r name; do
        rm -f "$IDENTITY/$name" || {
            reject "$name cannot be removed"
            return 1
        }
    done <"$STAGING/none"
    rm -rf "$STAGING"
    sync
}

# shellcheck shell=sh
# The SSH host key: kept in the identity, so that it outlives the boot disk; made if there is none.

# create_host_key: writes it beside its final name. An empty file, which a crash at first boot can leave, would
# otherwise count as a key forever.
create_host_key() {
    rm -f "$HOST_KEY.new" "$HOST_KEY.new.pub"
    mkdir -p "${HOST_KEY%/*}" && (umask 077 && make_host_key "$HOST_KEY.new") &&
        [ -s "$HOST_KEY.new" ] && chmod 0600 "$HOST_KEY.new" && sync && mv -f "$HOST_KEY.new" "$HOST_KEY"
    made=$?
    rm -f "$HOST_KEY.new" "$HOST_KEY.new.pub"
    return "$made"
}

apply() {
    if [ ! -s "$HOST_KEY" ]; then
        if ! create_host_key; then
            fault "no SSH host key could be made at $HOST_KEY: the SSH server cannot start"
            return 0
        fi
        log info "made a new SSH host key at $HOST_KEY"
    fi
    # Only where it must: the change alone would wake the watcher of this directory.
    case $(ls -l "$HOST_KEY") in -rw-------*) ;; *) chmod 0600 "$HOST_KEY" ;; esac
    if ! IFS= read -r line <"$HOST_KEY" || [ "$line" != '-----BEGIN OPENSSH PRIVATE KEY-----' ]; then
        fault "$HOST_KEY is not an OpenSSH private key: remove it and a new one is made"
        return 0
    fi
    # The checksum is how a changed key is noticed.
    sha256sum <"$HOST_KEY" | deliver "$RUN_DIR/host_key.sha256" 0600 host_key_changed
}

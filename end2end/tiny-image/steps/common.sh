# shellcheck shell=sh
# What the build steps share. Each step is the builder of a derivation: run by the payload's busybox, with the
# derivation's attributes as environment ($payload, $steps, $out, …).
set -euf

# Files get this date (an arbitrary one) rather than the build's. Nothing more is promised: creation
# times in the file systems still differ between two builds.
export SOURCE_DATE_EPOCH=1000000000 MTOOLS_SKIP_CHECK=1
umask 022

# phase NAME: tells Nix, and through its log the portal, what is happening; the format is stdenv's.
phase() {
    # shellcheck disable=SC2154 # set by Nix
    printf '@nix { "action": "setPhase", "phase": "%s" }\n' "$1" >&"${NIX_LOG_FD:-2}"
}

say() {
    printf '%s\n' "$*" >&2
}

# tool NAME [ARGUMENT…]: a program of the payload with the payload's libraries.
tool() {
    name=$1
    shift
    # shellcheck disable=SC2154 # the derivation's
    "$payload/lib/ld-linux-x86-64.so.2" --library-path "$payload/lib" "$payload/bin/$name" "$@"
}

# size_of FILE: in human-readable form.
size_of() {
    du -h "$1" | cut -f1
}

# libraries_of NAME: the file names of the shared libraries that a program of the payload loads.
libraries_of() {
    "$payload/lib/ld-linux-x86-64.so.2" --library-path "$payload/lib" --list "$payload/bin/$1" |
        sed -n -e "s|.* => $payload/lib/\([^ ]*\) .*|\1|p"
    echo ld-linux-x86-64.so.2
}

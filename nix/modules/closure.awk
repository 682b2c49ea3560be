# From the registration of a closure to closure.json: name, size and hash of every path, and the versions of kernel and
# systemd, which closure.nix passes as variables.
#
# A record of a registration is a line each of path, hash of the contents, size, deriver, number of references, and then the
# references: what nixpkgs' closureInfo writes and `nix-store --load-db` reads.
#
# A path's hash is written in two halves. Nix takes the 32 characters in one piece for a reference; the manifest and the image
# beside it would then keep the whole closure from being collected.
BEGIN {
    printf "{\"version\":1,\"kernel\":\"%s\",\"systemd\":\"%s\",\"packages\":[", kernel, systemd
}

references > 0 {
    references--
    next
}

{
    record[++lines] = $0
}

lines == 5 {
    path = record[1]
    sub(/.*\//, "", path)
    printf "%s\n{\"name\":\"%s\",\"size\":%s,\"hash\":[\"%s\",\"%s\"]}", separator, substr(path, 34), record[3], \
        substr(path, 1, 16), substr(path, 17, 16)
    separator = ","
    references = record[5]
    lines = 0
}

END {
    print "\n]}"
}

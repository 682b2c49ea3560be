# The root file system: the guest's files, Debian's programs, the identity scripts, the image's facts.
# In: guest, identity, profiles, mode, revision, date, descriptions. Out: rootfs.ext4, closure.json.
. "$steps/common.sh"

phase unpackPhase
say "building the root file system: profiles $profiles, mode $mode"
# No bin, sbin, lib of their own in /: one place for each kind of file.
mkdir -p root/usr/bin root/usr/lib root/dev root/proc root/sys root/run root/tmp root/var root/home root/root root/nix \
    root/boot root/mnt root/opt
ln -s usr/bin root/bin
ln -s usr/bin root/sbin
ln -s bin root/usr/sbin
ln -s usr/lib root/lib
ln -s usr/lib root/lib64
cp -r "$guest/." root/
chmod -R u+w root

phase buildPhase
while read -r program; do
    say "adding program $program"
    cp "$payload/bin/$program" root/usr/bin/
    for library in $(libraries_of "$program"); do
        [ -e "root/usr/lib/$library" ] || cp "$payload/lib/$library" root/usr/lib/
    done
done <"$payload/guest.list"
cp "$payload/bin/busybox" root/usr/bin/
for applet in $("$payload/bin/busybox" --list); do
    [ -e "root/usr/bin/$applet" ] || ln -s busybox "root/usr/bin/$applet"
done

say 'adding the kernel modules'
cp -r "$payload/modules" root/usr/lib/modules
chmod -R u+w root/usr/lib/modules
rm root/usr/lib/modules/initrd.list

phase installPhase
cp -r "$identity" root/usr/lib/snowglobe/identity
chmod -R u+w root/usr/lib/snowglobe/identity
ln -s ../lib/snowglobe/identity/snowglobe-identity root/usr/bin/snowglobe-identity

# Files that depend on identity and DHCP are in /run: the root may be read-only, and a reboot forgets them.
while read -r place target; do
    mkdir -p "root/${place%/*}"
    ln -s "$target" "root/$place"
done <<'LINKS'
etc/hostname /run/snowglobe/hostname
etc/hosts /run/snowglobe/hosts
etc/machine-id /run/snowglobe/machine-id
etc/mtab /proc/self/mounts
etc/resolv.conf /run/snowglobe/resolv.conf.in-force
etc/shadow /run/snowglobe/shadow
etc/ssl/certs/ca-certificates.crt /run/snowglobe/ca-bundle.crt
LINKS
printf 'profiles=%s\nmode=%s\nrevision=%s\ndate=%s\n' "$profiles" "$mode" "$revision" "$date" >root/etc/snowglobe-image
printf '%s\n' "$descriptions" >root/etc/snowglobe/profiles
{
    printf 'This is the tiny guest. Its profiles are %s:\n' "$profiles"
    printf 'they are recorded in /etc/snowglobe/profiles, but none of their programs is installed.\n'
} >root/etc/motd
# Only the immutable modes have these as mount points of the data disk.
ln -s /run root/var/run
mkdir -p root/var/identity

phase fixupPhase
find root -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
chmod 1777 root/tmp
chmod 700 root/root
mkdir -p "$out"
# Free space for what is written on it: much where the root is writable, else next to none.
used=$(du -sk root | cut -f1)
case $mode in
    mutable) size=$((used * 12 / 10 + 65536)) ;;
    *) size=$((used * 12 / 10 + 2048)) ;;
esac
tool mke2fs -q -t ext4 -L nixos -d root -m 0 -U f222513b-ded1-49fa-b591-20ce86a2fe7f \
    -E hash_seed=f222513b-ded1-49fa-b591-20ce86a2fe7f,root_owner=0:0,lazy_itable_init=0 -O ^has_journal \
    "$out/rootfs.ext4" "${size}k" >&2
if [ "$mode" = mutable ]; then
    tool tune2fs -O has_journal "$out/rootfs.ext4" >&2
fi
# mke2fs copies the owners of the staged files. Built by a user other than root, they must become root's.
if [ "$(id -u)" -ne 0 ]; then
    find root | sed -e 's|^root||' -e 's|^$|/|' -e 's|.*|sif "&" uid 0\nsif "&" gid 0|' >owners
    tool debugfs -w -f owners "$out/rootfs.ext4" >/dev/null 2>&1
fi

# The manifest, in the form of the NixOS images' (nix/modules/closure.awk). There are no store paths to name: the guest is made
# of Debian's packages and of this flake's own files.
version_of() {
    sed -n "s/^$1 \([^ ]*\) .*/\1/p" "$payload/contents"
}
{
    printf '{"version":1,"kernel":"%s","systemd":"%s","packages":[\n' \
        "$(version_of linux-image)" "$(version_of systemd-boot-efi)"
    own=$(find "$guest" "$identity" -type f -exec cat {} + | wc -c)
    printf '{"name":"tiny-guest","version":"%s","size":%s}' "$revision" "$own"
    while read -r name version size; do
        printf ',\n{"name":"%s","version":"%s","size":%s}' "$name" "$version" "$size"
    done <"$payload/contents"
    printf '\n]}\n'
} >"$out/closure.json"
say "root file system: $(size_of "$out/rootfs.ext4")"

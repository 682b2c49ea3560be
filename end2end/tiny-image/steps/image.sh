# The disk image: GPT with the EFI system partition and the root, as a compressed qcow2.
# In: esp, rootfs, and to be named in the log profiles, mode. Out: nixos.qcow2, closure.json.
. "$steps/common.sh"

phase buildPhase
say "building the disk image: profiles $profiles, mode $mode"
command -v qemu-img >/dev/null || {
    say 'qemu-img is not in /usr/bin: install the QEMU tools (Debian: qemu-utils); Nix must have sandbox = false'
    exit 1
}
sectors_of() {
    size=$(wc -c <"$1")
    megabytes=$(((size + 1048575) / 1048576))
    echo $((megabytes * 2048))
}
esp_sectors=$(sectors_of "$esp/esp.img")
root_sectors=$(sectors_of "$rootfs/rootfs.ext4")
root_start=$((2048 + esp_sectors))
# The last MiB holds the second partition table.
truncate -s $(((root_start + root_sectors + 2048) * 512)) disk.raw
tool sfdisk --quiet disk.raw <<TABLE
label: gpt
label-id: 97FD5997-D90B-4AA3-8D16-C1723AEA73C0
start=2048, size=$esp_sectors, type=uefi, name=ESP, uuid=1C06F03B-704E-4657-B9CD-681A087A2FDC
start=$root_start, size=$root_sectors, type=linux, name=nixos, uuid=F222513B-DED1-49FA-B591-20CE86A2FE7F
TABLE
say 'writing the partitions'
dd if="$esp/esp.img" of=disk.raw bs=1M seek=1 conv=notrunc 2>/dev/null
dd if="$rootfs/rootfs.ext4" of=disk.raw bs=1M seek=$((root_start / 2048)) conv=notrunc 2>/dev/null

phase installPhase
mkdir -p "$out"
qemu-img convert -f raw -O qcow2 -c disk.raw "$out/nixos.qcow2"
rm disk.raw
cp "$rootfs/closure.json" "$out/"
say "image: $(size_of "$out/nixos.qcow2")"

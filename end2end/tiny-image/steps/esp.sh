# The EFI system partition: systemd-boot at the removable path, one entry, no menu.
# In: mode, initrd. Out: esp.img.
. "$steps/common.sh"

phase buildPhase
say "building the EFI system partition for mode $mode"
case $mode in
    mutable) access=rw ;;
    *) access=ro ;;
esac
printf 'default nixos.conf\ntimeout 0\neditor no\n' >loader.conf
{
    printf 'title Snowglobe tiny guest (%s)\n' "$mode"
    printf 'linux /EFI/nixos/vmlinuz\ninitrd /EFI/nixos/initrd\n'
    printf 'options root=LABEL=nixos %s console=ttyS0,115200 quiet panic=10 net.ifnames=0\n' "$access"
} >nixos.conf
cat nixos.conf >&2

phase installPhase
mkdir -p "$out"
kernel=$(wc -c <"$payload/vmlinuz")
ramdisk=$(wc -c <"$initrd/initrd")
# 2 MiB more than the files, in whole MiB, and enough clusters for FAT16.
megabytes=$(((kernel + ramdisk) / 1048576 + 3))
truncate -s "${megabytes}M" esp.img
tool mformat -i esp.img -v ESP -N 5E0B10BE -h 64 -s 32 -T $((megabytes * 2048)) -c 2 ::
tool mmd -i esp.img ::/EFI ::/EFI/BOOT ::/EFI/nixos ::/loader ::/loader/entries
put() {
    say "adding $2"
    tool mcopy -m -i esp.img "$1" "::$2"
}
put "$payload/systemd-bootx64.efi" /EFI/BOOT/BOOTX64.EFI
put loader.conf /loader/loader.conf
put nixos.conf /loader/entries/nixos.conf
put "$payload/vmlinuz" /EFI/nixos/vmlinuz
put "$initrd/initrd" /EFI/nixos/initrd
mv esp.img "$out/esp.img"
say "EFI system partition: ${megabytes} MiB"

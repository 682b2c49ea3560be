# The initial RAM disk: busybox, the modules that the disk needs, initrd/init.
# In: init (script), mode. Out: initrd.
. "$steps/common.sh"

phase unpackPhase
say "building the initial RAM disk for mode $mode"
mkdir -p root/bin root/proc root/sys root/dev root/sysroot root/lib
cp "$payload/bin/busybox" root/bin/
cp "$init" root/init
chmod 755 root/init
ln -s busybox root/bin/sh

phase installPhase
while read -r module; do
    say "adding module ${module##*/}"
    mkdir -p "root/modules/${module%/*}"
    cp "$payload/modules/$module" "root/modules/$module"
done <"$payload/modules/initrd.list"
cp "$payload/modules/initrd.list" root/modules/

# Only a root that is written to must be checked, and can have to grow.
if [ "$mode" = mutable ]; then
    for program in e2fsck sfdisk; do
        say "adding program $program"
        cp "$payload/bin/$program" root/bin/
        for library in $(libraries_of "$program"); do
            # Two programs share libraries; a copy from the store is read-only, and cannot be written over.
            [ -e "root/lib/$library" ] || cp "$payload/lib/$library" root/lib/
        done
    done
    ln -s lib root/lib64
fi

phase fixupPhase
mkdir -p "$out"
find root -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
(cd root && find . | sort | cpio -o -H newc -R 0:0 2>/dev/null) | gzip -9 -n >"$out/initrd"
say "initial RAM disk: $(size_of "$out/initrd")"

//! Against the real tools: what is made can be checked by e2fsck, and read back in a different way than it was written.

use super::*;
use crate::exec::Program;
use model::identity::IdentityFile;
use ports::hypervisor::DiskRole;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::time::Instant;

const GIB: u64 = 1 << 30;

fn file(name: &'static str, mode: u32, content: Option<&str>) -> IdentityFile {
    IdentityFile { name, mode, content: content.map(str::to_owned) }
}

fn identity() -> Vec<IdentityFile> {
    vec![
        file("hostname", 0o644, Some("web-1")),
        file("root_password_hash", 0o600, Some("$6$salt$hash")),
        // Nothing in a content may reach debugfs as a command.
        file("hosts", 0o644, Some("192.0.2.1 a\nquit\nrm /identity/hostname\n\" $(id) `x` <13>\n")),
        file("tcp_ports", 0o644, None),
    ]
}

async fn read(path: &std::path::Path, role: DiskRole, name: &str) -> Option<String> {
    ext4::read_identity(path, role, name).await.unwrap().map(|b| String::from_utf8(b).unwrap())
}

/// Runs a tool on a raw copy of the disk, so that the result does not depend on the export that wrote it.
async fn on_raw_copy(path: &std::path::Path, program: &'static str, args: &[&str]) -> String {
    let raw = path.with_extension("raw");
    let convert = Program::new("qemu-img").args(["convert", "-O", "raw"]).arg(path).arg(&raw);
    convert.run().await.unwrap();
    let out = Program::new(program).args(args.iter().map(|a| (*a).to_owned())).arg(&raw).run().await.unwrap();
    out.stdout.text() + &out.stderr.text()
}

#[tokio::test]
async fn a_data_disk_is_sound_small_private_and_filled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("var.qcow2");
    let began = Instant::now();
    ext4::create_data_disk(&path, 20 * GIB, &identity()).await.unwrap();
    println!("create 20 GiB data disk: {} ms", began.elapsed().as_millis());

    let info = qcow::info(&path).await.unwrap();
    assert_eq!((info.virtual_size, info.backing.clone()), (20 * GIB, None));
    assert!(info.actual_size < 16 << 20, "{info:?}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let check = on_raw_copy(&path, "e2fsck", &["-fn"]).await;
    assert!(!check.contains("FIXED") && !check.contains("error"), "{check}");
    let listed = on_raw_copy(&path, "debugfs", &["-R", "ls -p /identity"]).await;
    assert!(listed.contains("/040755/0/0/.//"), "{listed}");
    assert!(listed.contains("/100600/0/0/root_password_hash/12/"), "{listed}");
    let super_block = on_raw_copy(&path, "dumpe2fs", &[]).await;
    assert!(super_block.contains("volume name:   var"), "{super_block}");
    let groups = super_block.matches(": (Blocks ").count();
    assert_eq!(super_block.matches("ITABLE_ZEROED").count(), groups, "the guest would write inode tables");
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "only the disk and the test's raw copy: {left:?}");
}

#[tokio::test]
async fn identity_is_written_changed_removed_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("var.qcow2");
    ext4::create_data_disk(&path, GIB, &identity()).await.unwrap();
    let hosts = identity()[2].content.clone();
    assert_eq!(read(&path, DiskRole::Data, "hosts").await, hosts);
    assert_eq!(read(&path, DiskRole::Data, "tcp_ports").await, None);

    let began = Instant::now();
    ext4::write_identity(&path, DiskRole::Data, &identity()).await.unwrap();
    println!("write an identity that is there: {} ms", began.elapsed().as_millis());

    let changed = [
        file("hostname", 0o644, Some("web-2")),
        file("hosts", 0o644, None),
        file("tcp_ports", 0o640, Some("22\n")),
    ];
    let began = Instant::now();
    ext4::write_identity(&path, DiskRole::Data, &changed).await.unwrap();
    println!("change three identity files: {} ms", began.elapsed().as_millis());
    assert_eq!(read(&path, DiskRole::Data, "hostname").await.as_deref(), Some("web-2"));
    assert_eq!(read(&path, DiskRole::Data, "hosts").await, None);
    assert_eq!(read(&path, DiskRole::Data, "root_password_hash").await.as_deref(), Some("$6$salt$hash"));
    let listed = on_raw_copy(&path, "debugfs", &["-R", "ls -p /identity"]).await;
    assert!(listed.contains("/100640/0/0/tcp_ports/3/"), "{listed}");
    on_raw_copy(&path, "e2fsck", &["-fn"]).await;

    assert!(ext4::read_identity(&path, DiskRole::Data, "../etc/passwd").await.is_err());
    assert!(
        ext4::read_identity(&path, DiskRole::Boot, "hostname").await.is_err(),
        "there is no partition table"
    );
}

#[tokio::test]
async fn a_disk_grows_with_what_is_on_it_and_never_shrinks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("var.qcow2");
    ext4::create_data_disk(&path, 20 * GIB, &identity()).await.unwrap();
    let began = Instant::now();
    ext4::grow(&path, 40 * GIB).await.unwrap();
    println!("grow 20 GiB to 40 GiB: {} ms", began.elapsed().as_millis());
    ext4::grow(&path, 40 * GIB).await.unwrap();
    assert_eq!(qcow::info(&path).await.unwrap().virtual_size, 40 * GIB);
    let told = on_raw_copy(&path, "dumpe2fs", &["-h"]).await;
    assert!(told.contains(&format!("Block count:              {}", 40 * GIB / 4096)), "{told}");
    assert_eq!(read(&path, DiskRole::Data, "hostname").await.as_deref(), Some("web-1"));
    assert!(ext4::grow(&path, GIB).await.unwrap_err().to_string().contains("cannot shrink"));
}

/// The journal of a killed guest says “the hostname's inode is …”; replaying it after our edit would undo the edit.
#[tokio::test]
async fn a_dirty_journal_is_replayed_before_the_edit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("var.qcow2");
    ext4::create_data_disk(&path, GIB, &identity()).await.unwrap();
    let export = export::Export::open(&path).await.unwrap();
    // Writes a transaction with one block into the journal without applying it, as a crash would leave it.
    std::fs::write(export.dir().join("block"), vec![0_u8; 4096]).unwrap();
    let script = "jo\njw -b 30000 block\njc\n";
    let debugfs = Program::new("debugfs").args(["-w", "-f", "-", "disk"]).dir(export.dir()).input(script);
    debugfs.run().await.unwrap();
    let before = superblock::read(&std::fs::File::open(export.file()).unwrap(), 0).unwrap().unwrap();
    assert!(!before.is_clean, "the test did not make the journal dirty");
    export.close().await.unwrap();

    ext4::write_identity(&path, DiskRole::Data, &[file("hostname", 0o644, Some("web-2"))]).await.unwrap();
    let export = export::Export::open(&path).await.unwrap();
    let after = superblock::read(&std::fs::File::open(export.file()).unwrap(), 0).unwrap().unwrap();
    assert!(after.is_clean);
    export.close().await.unwrap();
    assert_eq!(read(&path, DiskRole::Data, "hostname").await.as_deref(), Some("web-2"));
}

/// A killed daemon leaves its mount, a killed portal its daemon; both stay in the scratch folder until the next call.
#[tokio::test]
async fn what_a_crash_left_is_cleared_by_the_next_call() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("var.qcow2");
    ext4::create_data_disk(&path, GIB, &identity()).await.unwrap();
    let scratch = dir.path().join(".tmp-var.qcow2");
    std::fs::create_dir(&scratch).unwrap();
    std::fs::write(scratch.join("disk"), "").unwrap();
    // Starts the daemon behind our back, so that nothing in this process will end it.
    let script = "qemu-storage-daemon --blockdev driver=qcow2,node-name=d,file.driver=file,file.filename=\"$1\" \
                  --export type=fuse,id=e,node-name=d,mountpoint=\"$2/disk\",writable=on --daemonize --pidfile \"$2/pid\"";
    let arguments =
        [std::ffi::OsStr::new("-c"), script.as_ref(), "sh".as_ref(), path.as_os_str(), scratch.as_os_str()];
    let started = Program::new("setsid").arg("sh").args(arguments).run().await.unwrap();
    assert_eq!(started.code, 0);
    let pid = std::fs::read_to_string(scratch.join("pid")).unwrap().trim().to_owned();
    assert!(std::fs::metadata(format!("/proc/{pid}")).is_ok(), "the daemon runs");

    assert_eq!(read(&path, DiskRole::Data, "hostname").await.as_deref(), Some("web-1"));
    assert!(!scratch.exists());
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(
        state.is_empty() || state.contains(") Z "),
        "the old daemon is gone or only waits to be reaped: {state}"
    );
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(scratch.to_str().unwrap()));
}

#[tokio::test]
async fn dropping_an_edit_half_way_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("var.qcow2");
    ext4::create_data_disk(&path, GIB, &identity()).await.unwrap();
    drop(export::Export::open(&path).await.unwrap());
    // Waits for the lock that the background end of the dropped export holds.
    ext4::write_identity(&path, DiskRole::Data, &[file("hostname", 0o644, Some("web-2"))]).await.unwrap();
    assert_eq!(read(&path, DiskRole::Data, "hostname").await.as_deref(), Some("web-2"));
    assert!(!dir.path().join(".tmp-var.qcow2").exists());
}

/// A disk as a mutable machine has it: GPT, an ESP, and the system's ext4 file system labelled `nixos`.
async fn boot_disk(dir: &std::path::Path) -> std::path::PathBuf {
    let (raw, path) = (dir.join("boot.raw"), dir.join("boot.qcow2"));
    let disk = std::fs::File::create(&raw).unwrap();
    disk.set_len(96 << 20).unwrap();
    // The header: 128 entries of 128 bytes from sector 2. The entries: one at 1 MiB, an unused one, one at 9 MiB.
    let mut header = [0_u8; 92];
    header[..8].copy_from_slice(b"EFI PART");
    header[72] = 2;
    header[80] = 128;
    header[84] = 128;
    disk.write_all_at(&header, 512).unwrap();
    for (index, first_sector) in [(0, 2048_u64), (2, 18432)] {
        let mut entry = [0_u8; 128];
        entry[..16].fill(0x11);
        entry[32..40].copy_from_slice(&first_sector.to_le_bytes());
        disk.write_all_at(&entry, 1024 + 128 * index).unwrap();
    }
    let mke2fs = Program::new("mke2fs").args(["-q", "-F", "-t", "ext4", "-L", "nixos"]);
    mke2fs.args(["-E", "offset=9437184"]).arg(&raw).arg("80M").run().await.unwrap();
    let convert = Program::new("qemu-img").args(["convert", "-O", "qcow2"]).arg(&raw).arg(&path);
    convert.run().await.unwrap();
    std::fs::remove_file(raw).unwrap();
    path
}

#[tokio::test]
async fn a_boot_disk_has_its_identity_in_var_of_the_labelled_partition() {
    let dir = tempfile::tempdir().unwrap();
    let path = boot_disk(dir.path()).await;
    ext4::write_identity(&path, DiskRole::Boot, &identity()).await.unwrap();
    ext4::write_identity(&path, DiskRole::Boot, &identity()).await.unwrap();
    assert_eq!(read(&path, DiskRole::Boot, "hostname").await.as_deref(), Some("web-1"));
    let raw = path.with_extension("raw");
    Program::new("qemu-img").args(["convert", "-O", "raw"]).arg(&path).arg(&raw).run().await.unwrap();
    let device = format!("{}?offset=9437184", raw.display());
    let listed =
        Program::new("debugfs").args(["-R", "ls -p /var/identity"]).arg(&device).run().await.unwrap();
    assert!(listed.stdout.text().contains("/100644/0/0/hostname/5/"), "{}", listed.stdout.text());
    Program::new("e2fsck").arg("-fn").arg(&device).run().await.unwrap();
    assert!(ext4::read_identity(&path, DiskRole::Data, "hostname").await.is_err(), "it is no data disk");
}

/// What a guest makes for itself goes, wherever it lies, and nothing else does.
#[tokio::test]
async fn a_disk_forgets_its_guest() {
    let dir = tempfile::tempdir().unwrap();
    let (data, boot) = (dir.path().join("var.qcow2"), boot_disk(dir.path()).await);
    ext4::create_data_disk(&data, GIB, &identity()).await.unwrap();
    for (path, role, offset, identity, lib) in [
        (&data, DiskRole::Data, "", "/identity", "/lib"),
        (&boot, DiskRole::Boot, "?offset=9437184", "/var/identity", "/var/lib"),
    ] {
        ext4::forget_guest(path, role).await.unwrap();
        let export = export::Export::open(path).await.unwrap();
        std::fs::write(export.dir().join("x"), "x").unwrap();
        let mut script = String::new();
        for dir in ["/var", "/var/identity", "/etc", "/etc/ssh", lib, &format!("{lib}/systemd")] {
            // What is there already is complained about, and stays.
            script += &format!("mkdir {dir}\n");
        }
        for file in ["ssh_host_ed25519_key", "ssh_host_rsa_key.pub", "letter"] {
            script += &format!("write x {identity}/{file}\nwrite x /etc/ssh/{file}\n");
        }
        script += &format!("write x {lib}/systemd/random-seed\nwrite x {lib}/systemd/other\n");
        let device = format!("disk{offset}");
        let debugfs = Program::new("debugfs").args(["-w", "-f", "-"]).arg(&device);
        debugfs.dir(export.dir()).input(script).run().await.unwrap();
        export.close().await.unwrap();

        for _ in 0..2 {
            ext4::forget_guest(path, role).await.unwrap();
        }
        let export = export::Export::open(path).await.unwrap();
        let listed = async |what: &str| {
            let list = Program::new("debugfs").args(["-R", &format!("ls -p {what}")]).arg(&device);
            list.dir(export.dir()).run().await.unwrap().stdout.text()
        };
        let (id, ssh) = (listed(identity).await, listed("/etc/ssh").await);
        assert!(!id.contains("ssh_host") && id.contains("/letter/"), "{id}");
        // On a data disk this is no directory of the system.
        assert_eq!(ssh.contains("ssh_host"), role == DiskRole::Data, "{ssh}");
        let systemd = listed(&format!("{lib}/systemd")).await;
        assert!(!systemd.contains("random-seed") && systemd.contains("/other/"), "{systemd}");
        Program::new("e2fsck").arg("-fn").arg(&device).dir(export.dir()).run().await.unwrap();
        export.close().await.unwrap();
    }
}

#[tokio::test]
async fn overlays_follow_their_image_and_refuse_to_be_smaller() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image.qcow2");
    ext4::create_data_disk(&image, 2 * GIB, &[]).await.unwrap();
    let overlay = dir.path().join("boot.qcow2");
    let began = Instant::now();
    qcow::create_overlay(&overlay, &image, None).await.unwrap();
    println!("create overlay: {} ms", began.elapsed().as_millis());
    let info = qcow::info(&overlay).await.unwrap();
    assert_eq!((info.virtual_size, info.backing.as_deref()), (2 * GIB, Some(image.as_path())));
    qcow::create_overlay(&overlay, &image, Some(3 * GIB)).await.unwrap();
    assert_eq!(qcow::info(&overlay).await.unwrap().virtual_size, 3 * GIB);
    assert!(qcow::create_overlay(&overlay, &image, Some(GIB)).await.is_err());
    assert!(qcow::create_overlay(&overlay, &dir.path().join("none"), None).await.is_err());
    let text = dir.path().join("text");
    std::fs::write(&text, "x".repeat(4096)).unwrap();
    assert!(qcow::info(&text).await.unwrap_err().to_string().contains("not a qcow2"));
}

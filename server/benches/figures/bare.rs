//! The reference of `start` and `echo`: a machine made by the bare tools that the portal also uses, one after another,
//! and, if guestfish is installed, by it, like the command-line tool that the portal replaces.
//!
//! The definition is the portal's own, with another name: what is compared is the way there, not the machine.

use crate::process;
use crate::tiny::{DISK_GIB, Tiny, uri};
use anyhow::{Context as _, Result, bail, ensure};
use host_tools::exec::Program;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

/// How long one of the tools may take; guestfish starts a machine of its own for each call.
const LIMIT: Duration = Duration::from_secs(120);

/// What the reference machines are copied from.
#[derive(Clone, Debug)]
pub struct Pattern {
    xml: String,
    name: String,
    image: PathBuf,
    firmware_variables: PathBuf,
    identity: Vec<PathBuf>,
}

/// Which tools make the data disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `mke2fs -d` into a sparse file, and `qemu-img convert`.
    Mke2fs,
    /// An appliance machine that partitions, formats and fills the disk.
    Guestfish,
}

impl Pattern {
    /// Reads everything from a machine that the portal has just made.
    ///
    /// # Errors
    /// If libvirt does not know it, or its definition lacks what every machine has.
    pub async fn of(tiny: &Tiny, name: &str) -> Result<Self> {
        let xml = virsh(&["dumpxml", "--inactive", name]).await?;
        let code = between(&xml, "<loader", "</loader>").and_then(|e| e.split_once('>'));
        let (_, code) = code.context("the machine's definition names no firmware")?;
        let boot = tiny.folder(name).join("boot.qcow2");
        let info =
            run("qemu-img", &["info".into(), "--output=json".into(), "-U".into(), boot.into()]).await?;
        let info: serde_json::Value = serde_json::from_str(&info)?;
        let image = info.get("backing-filename").and_then(|v| v.as_str());
        let identity = identity_files(tiny.state())?;
        Ok(Self {
            image: image.context("the boot disk lies on no image")?.into(),
            firmware_variables: code.trim().replace("CODE", "VARS").into(),
            name: name.to_owned(),
            xml,
            identity,
        })
    }

    /// Makes and starts a machine, and reports how long that took. Afterwards [`remove`] it.
    ///
    /// # Errors
    /// If a tool fails, with its message.
    pub async fn create(&self, tiny: &Tiny, name: &str, way: Way) -> Result<Duration> {
        let folder = tiny.folder(name);
        std::fs::create_dir(&folder)?;
        open_to_qemu(&folder)?;
        let (boot, data) = (folder.join("boot.qcow2"), folder.join("data.qcow2"));
        let definition = folder.join("domain.xml");
        let begun = Instant::now();
        let overlay = ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"].map(OsString::from);
        run("qemu-img", &[&overlay[..], &[self.image.clone().into(), boot.into()]].concat()).await?;
        match way {
            Way::Mke2fs => self.mke2fs(&folder, &data).await?,
            Way::Guestfish => self.guestfish(&data).await?,
        }
        let convert = ["convert", "-f", "raw", "-O", "qcow2"].map(OsString::from);
        let variables = [self.firmware_variables.clone().into(), folder.join("nvram.qcow2").into()];
        run("qemu-img", &[&convert[..], &variables].concat()).await?;
        std::fs::write(&definition, self.definition(name)?)?;
        virsh(&["define", &definition.to_string_lossy()]).await?;
        virsh(&["start", name]).await?;
        Ok(begun.elapsed())
    }

    /// The portal's definition under another name; libvirt gives it an identifier and a network address.
    fn definition(&self, name: &str) -> Result<String> {
        let uuid = between(&self.xml, "<uuid>", "</uuid>").context("the definition has no identifier")?;
        let mac = between(&self.xml, "<mac ", "/>").context("the definition has no network address")?;
        Ok(self
            .xml
            .replace(&format!("<uuid>{uuid}</uuid>"), "")
            .replace(&format!("<mac {mac}/>"), "")
            .replace(&self.name, name))
    }

    async fn mke2fs(&self, folder: &Path, data: &Path) -> Result<()> {
        let (content, raw) = (folder.join("content"), folder.join("data.raw"));
        std::fs::create_dir_all(content.join("identity"))?;
        for file in &self.identity {
            let name = file.file_name().context("a file without a name")?;
            std::fs::copy(file, content.join("identity").join(name))?;
        }
        let options = ["-q", "-t", "ext4", "-L", "var", "-E", "root_owner=0:0", "-d"].map(OsString::from);
        let rest = [content.into(), raw.clone().into(), format!("{DISK_GIB}G").into()];
        run("mke2fs", &[&options[..], &rest].concat()).await?;
        let convert = ["convert", "-f", "raw", "-O", "qcow2"].map(OsString::from);
        run("qemu-img", &[&convert[..], &[raw.clone().into(), data.into()]].concat()).await?;
        Ok(std::fs::remove_file(raw)?)
    }

    async fn guestfish(&self, data: &Path) -> Result<()> {
        let create = ["create", "-q", "-f", "qcow2"].map(OsString::from);
        run("qemu-img", &[&create[..], &[data.into(), format!("{DISK_GIB}G").into()]].concat()).await?;
        let mut script =
            "run\npart-disk /dev/sda gpt\nmkfs ext4 /dev/sda1\nmount /dev/sda1 /\nmkdir /identity\n"
                .to_owned();
        for file in &self.identity {
            let name = file.file_name().context("a file without a name")?.to_string_lossy();
            script.push_str(&format!("upload {} /identity/{name}\n", file.display()));
        }
        let settings = if Path::new("/dev/kvm").exists() && has_virtualization() { "" } else { "force_tcg" };
        let program = Program::new("guestfish").arg("--format=qcow2").arg("-a").arg(data).input(script);
        let program = program.env("LIBGUESTFS_BACKEND", "direct").limit(LIMIT);
        program.env("LIBGUESTFS_BACKEND_SETTINGS", settings).run().await.map(drop).context("guestfish failed")
    }
}

/// Whether guestfish is installed.
pub async fn has_guestfish() -> bool {
    Program::new("guestfish").arg("--version").run().await.is_ok()
}

/// Stops and removes a reference machine.
///
/// # Errors
/// If libvirt refuses.
pub async fn remove(tiny: &Tiny, name: &str) -> Result<()> {
    virsh(&["destroy", name]).await?;
    virsh(&["undefine", "--nvram", name]).await?;
    Ok(std::fs::remove_dir_all(tiny.folder(name))?)
}

/// How long libvirt's own tool takes to list all domains at this address.
///
/// # Errors
/// If it fails, with its message.
pub async fn list_domains(uri: &str) -> Result<Duration> {
    let arguments = ["--quiet", "--connect", uri, "list", "--all"].map(OsString::from);
    let begun = Instant::now();
    let listed = run("virsh", &arguments).await?;
    let took = begun.elapsed();
    ensure!(!listed.trim().is_empty(), "virsh lists no domain at {uri}");
    Ok(took)
}

/// How many connections the portal has to a host: one for everything, one for sampling.
const CONNECTIONS: f64 = 2.0;

/// What the domains of libvirt's test driver occupy in the portal, in KiB. The driver runs in the process that connects to it, with
/// a world for each connection, so that a figure of the portal's memory has them in it; those of a real host lie in libvirt's
/// daemon.
///
/// # Errors
/// If virsh fails.
pub async fn driver_resident(uri: &str) -> Result<f64> {
    Ok(CONNECTIONS * (virsh_resident(uri).await? - virsh_resident("test:///default").await?))
}

/// What a virsh that has listed all domains at this address occupies, in KiB.
#[expect(clippy::disallowed_methods, reason = "it is looked at while it runs")]
async fn virsh_resident(uri: &str) -> Result<f64> {
    let mut command = tokio::process::Command::new("virsh");
    command.args(["--quiet", "--connect", uri]).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (stdin, stdout) = (child.stdin.as_mut(), child.stdout.take());
    let asked = stdin.context("virsh has no input")?.write_all(b"list --all --name\necho that is all\n");
    asked.await?;
    let mut lines = BufReader::new(stdout.context("virsh has no output")?).lines();
    let listed = async {
        while let Some(line) = lines.next_line().await? {
            if line.contains("that is all") {
                return process::resident(child.id().context("virsh has ended")?);
            }
        }
        bail!("virsh ended before it had listed the domains at {uri}")
    };
    tokio::time::timeout(LIMIT, listed).await.context("virsh does not answer")?
}

/// Runs virsh against the sandbox's libvirt and returns its output.
///
/// # Errors
/// If it fails, with its message.
pub async fn virsh(arguments: &[&str]) -> Result<String> {
    let mut all: Vec<OsString> = vec!["--quiet".into(), "--connect".into(), uri()?.into()];
    all.extend(arguments.iter().map(OsString::from));
    run("virsh", &all).await
}

/// Runs a tool to completion and returns its output.
async fn run(program: &'static str, arguments: &[OsString]) -> Result<String> {
    let ended = Program::new(program).args(arguments.iter().cloned()).limit(LIMIT).keep(1 << 20).run().await;
    Ok(ended.with_context(|| format!("{program} failed"))?.stdout.text())
}

/// The files that go onto a data disk, of about the size that the portal's have.
fn identity_files(state: &Path) -> Result<Vec<PathBuf>> {
    let dir = state.join("reference-identity");
    std::fs::create_dir_all(&dir)?;
    let files = [
        ("hostname", "bench\n"),
        ("machine-id", "0123456789abcdef0123456789abcdef\n"),
        ("tcp_ports", "22\n"),
        ("admin_authorized_keys", ""),
        ("user_authorized_keys", ""),
    ];
    files
        .iter()
        .map(|(name, content)| {
            let path = dir.join(name);
            std::fs::write(&path, content)?;
            Ok(path)
        })
        .collect()
}

fn open_to_qemu(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = std::fs::metadata(folder)?;
    ensure!(metadata.is_dir(), "{} is no directory", folder.display());
    Ok(std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711))?)
}

fn has_virtualization() -> bool {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.split_whitespace().any(|flag| flag == "vmx" || flag == "svm")
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inside, _)| inside)
}

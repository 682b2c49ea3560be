//! `cargo xtask up`: from a computer with a package manager to a portal in the browser.
//!
//! Each step is quick when its work is already done, so a second run starts within seconds. At the end this process
//! becomes the server: Ctrl-C and SIGTERM reach it without anything in between, and libvirt's machines, which belong to
//! libvirt, keep running.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::groups;
use crate::kvm;
use crate::libvirt;
use crate::nix::{self, ImageFlake};
use crate::progress::{Line, Steps};
use crate::project::Project;
use crate::sh::{self, Cmd};
use crate::site;
use crate::system::{self, For};

/// Options of `up`. The server's other settings are taken from the environment unchanged.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Address to listen on.
    #[arg(long, env = "SNOWGLOBE_LISTEN", default_value = "127.0.0.1:3000", value_name = "ADDRESS:PORT")]
    listen: String,
    /// Where images come from: `auto`, `nixos`, `tiny` (offline), or the directory of a flake.
    #[arg(long, env = "SNOWGLOBE_IMAGE_FLAKE", default_value = "auto", value_name = "FLAKE")]
    image_flake: ImageFlake,
    /// Where the portal keeps its data [default: /var/lib/snowglobe for root, else ~/.local/state/snowglobe].
    #[arg(long, env = "SNOWGLOBE_STATE", value_name = "DIR")]
    state: Option<PathBuf>,
    /// Do everything but start the server.
    #[arg(long)]
    prepare_only: bool,
}

/// Does everything, then becomes the server.
pub fn run(project: &Project, options: &Options) -> Result<()> {
    system::enter_dev_shell(project)?;
    check_address(&options.listen)?;
    let mut steps = Steps::new(6);
    steps.step("installing what is missing", |line| system::install(project, &[For::Portal], line))?;
    steps.step("building the browser's part", |line| site::build(project, line))?;
    steps.step("building the server", |_| build_server(project))?;
    steps.step("asking libvirt", |line| {
        kvm::ensure(&project.log("kvm")?, line)?;
        libvirt::ensure(project, line)
    })?;
    let state = steps.step("making the state directory", |_| state_dir(options.state.as_deref()))?;
    let (flake, offline) = steps.step("choosing where images come from", |line| {
        nix::ensure_store(&project.log("nix")?, line)?;
        choose_flake(project, &options.image_flake, line)
    })?;
    if options.prepare_only {
        println!("Everything is ready; `cargo xtask up` starts the portal.");
        return Ok(());
    }
    println!("Starting the portal on http://{} (Ctrl-C stops it, machines go on running)", options.listen);
    let server = Cmd::new(project.server(true))
        .arg("serve")
        .env("SNOWGLOBE_LISTEN", &options.listen)
        .env("SNOWGLOBE_SITE", project.site())
        .env("SNOWGLOBE_STATE", state)
        .env("SNOWGLOBE_NIX_CONFIG", nix::config(offline))
        // Ours, not a setting: the server would report it as unknown.
        .env_remove(system::INSIDE_DEV_SHELL);
    let server = match flake {
        Some(flake) => server.env("SNOWGLOBE_IMAGE_FLAKE", flake),
        None => server.env_remove("SNOWGLOBE_IMAGE_FLAKE"),
    };
    let [libvirt, libvirtd] = libvirt::GROUPS;
    Err(groups::with_all(server, &[libvirt, libvirtd, kvm::GROUP, nix::GROUP])?.replace_this_process())
}

/// Builds the server as it is run: optimised.
pub fn build_server(project: &Project) -> Result<()> {
    let log = project.log("server")?;
    log.run(&project.cargo().args(["build", "--release", "--package", "snowglobe"]))
}

/// Better found before a build of minutes than after it.
fn check_address(listen: &str) -> Result<()> {
    let everywhere = listen.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_unspecified());
    if everywhere && std::env::var_os("SNOWGLOBE_PUBLIC_URL").is_none() {
        bail!(
            "{listen} means every address, so the portal could not distinguish its own pages' requests from others\n  fix: \
              set SNOWGLOBE_PUBLIC_URL to what people type, such as http://this-computer:3000"
        );
    }
    let error = match TcpListener::bind(listen) {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    let fix = if error.kind() == std::io::ErrorKind::AddrInUse {
        "stop the program that uses it (`ss -ltnp` names it; perhaps a portal is already running), or choose another with --listen"
    } else {
        "give an address of this computer and a port, such as --listen 127.0.0.1:3000"
    };
    bail!("the portal cannot listen on {listen}: {error}\n  fix: {fix}")
}

/// Makes the state directory. Others may traverse it, as QEMU must, but not list it: the database and the guests' keys
/// below are closed to them one by one, by the server.
fn state_dir(chosen: Option<&Path>) -> Result<PathBuf> {
    let dir = match chosen {
        Some(dir) => std::path::absolute(dir)?,
        None => default_state_dir()?,
    };
    fs::DirBuilder::new().recursive(true).mode(0o711).create(&dir).with_context(|| {
        format!(
            "the state directory {} cannot be made\n  fix: make it, or name another with --state",
            dir.display()
        )
    })?;
    Ok(dir)
}

/// The same default as the server's own.
fn default_state_dir() -> Result<PathBuf> {
    if sh::is_root() {
        return Ok(PathBuf::from("/var/lib/snowglobe"));
    }
    let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))
        .map(|dir| dir.join("snowglobe"))
        .ok_or_else(|| {
            anyhow!("neither XDG_STATE_HOME nor HOME is set\n  fix: name a directory with --state")
        })
}

/// The flake for the server (none: its own, for NixOS), and whether it must do without a network.
fn choose_flake(project: &Project, wanted: &ImageFlake, line: &Line) -> Result<(Option<PathBuf>, bool)> {
    let tiny = || -> Result<(Option<PathBuf>, bool)> {
        Ok((Some(nix::prepare_tiny(project, &project.log("tiny-image")?)?), true))
    };
    match wanted {
        ImageFlake::Nixos => Ok((None, false)),
        ImageFlake::Path(path) => Ok((Some(nix::check_flake(path)?), false)),
        ImageFlake::Tiny => tiny(),
        ImageFlake::Auto if nix::cache_answers(project) => Ok((None, false)),
        ImageFlake::Auto => {
            line.note(
                "no Nix binary cache can be reached from here, so images are small offline ones made of Debian's \
                 kernel and BusyBox (`--image-flake nixos` insists on NixOS)",
            );
            tiny()
        }
    }
}

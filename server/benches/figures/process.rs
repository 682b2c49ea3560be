//! The release server as people run it: a separate process over its own state directory. Used by `start`, `echo` and
//! `list`.

use crate::person::Person;
use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};

/// How long the server may take to start or to stop. Only a broken one needs it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory of the figure's own, for the server's state. QEMU runs as another user and must be able to walk through.
///
/// # Errors
/// If it cannot be made.
pub fn state_dir() -> Result<TempDir> {
    let dir = tempfile::Builder::new().prefix("snowglobe-bench-").tempdir()?;
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711))?;
    Ok(dir)
}

/// A variable that must be in the environment.
///
/// # Errors
/// If it is not, with what to do.
pub fn needed(name: &str) -> Result<OsString> {
    std::env::var_os(name)
        .with_context(|| format!("{name} is not set; start the figures by `cargo xtask bench`"))
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens, `address:port`.
    pub address: String,
    /// The token of its setup link, if it has no user yet.
    setup: Option<String>,
    log: PathBuf,
    /// Kept open: a server that cannot print is not what people run.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts the server on a free port over this state directory and waits until it listens.
    ///
    /// # Errors
    /// If it does not come up, with the end of its output.
    pub async fn start(state: &Path, settings: &[(&str, OsString)]) -> Result<Self> {
        // The origin that the server allows has the port in it, so it must be known before.
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string();
        let fresh = !state.join("snowglobe.db").exists();
        let log = state.join("server.log");
        let program = needed("SNOWGLOBE_SERVER")?;
        #[expect(
            clippy::disallowed_methods,
            reason = "host_tools::exec hides the standard output of what it leaves running"
        )]
        let mut command = Command::new(program);
        command
            .arg("serve")
            .env("SNOWGLOBE_LISTEN", &address)
            .env("SNOWGLOBE_STATE", state)
            .env("SNOWGLOBE_SITE", needed("SNOWGLOBE_SITE")?)
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log)?)
            .kill_on_drop(true);
        let mut child = command.spawn().context("the server cannot be started")?;
        let stdout = child.stdout.take().context("the server has no standard output")?;
        let mut stdout = BufReader::new(stdout).lines();
        let greeting = tokio::time::timeout(PATIENCE, greeting(&mut stdout, fresh)).await;
        match greeting.map_err(anyhow::Error::from).and_then(|greeting| greeting) {
            Ok(setup) => Ok(Self { child, address, setup, log, _stdout: stdout }),
            Err(error) => {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                Err(error.context(format!("the server did not come up; it said: {}", tail(&said))))
            }
        }
    }

    /// The first administrator, made by the setup link, or logged in again after a restart.
    ///
    /// # Errors
    /// If the portal refuses.
    pub async fn administrator(&self) -> Result<Person> {
        match &self.setup {
            Some(token) => Person::set_up(&self.address, token).await,
            None => Person::log_in(&self.address).await,
        }
    }

    /// Memory that it occupies (`VmRSS` of proc(5)), in KiB.
    ///
    /// # Errors
    /// If it is not running.
    pub fn resident(&self) -> Result<f64> {
        resident(self.child.id().context("the server has ended")?)
    }

    /// Stops it as Ctrl-C does and waits until it has ended.
    ///
    /// # Errors
    /// If it does not exit, or not cleanly.
    pub async fn stop(mut self) -> Result<()> {
        let id = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        kill_process(id.context("the server has ended by itself")?, Signal::TERM)?;
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let ended = ended.context("the server did not stop")??;
        if !ended.success() {
            bail!("the server ended with {ended}; it said: {}", self.last_words());
        }
        Ok(())
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        tail(&std::fs::read_to_string(&self.log).unwrap_or_default())
    }
}

/// Reads until the server listens; the token of the setup link if a fresh one prints it.
async fn greeting(stdout: &mut Lines<BufReader<ChildStdout>>, fresh: bool) -> Result<Option<String>> {
    while let Some(line) = stdout.next_line().await? {
        if let Some((_, token)) = line.split_once("?token=") {
            return Ok(Some(token.trim().to_owned()));
        }
        if !fresh && line.contains("listening") {
            return Ok(None);
        }
    }
    bail!("the server ended")
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n")
}

/// Memory that a process occupies (`VmRSS` of proc(5)), in KiB.
///
/// # Errors
/// If it is not running.
pub fn resident(id: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("the kernel does not say how much memory the process has")?.parse()?)
}

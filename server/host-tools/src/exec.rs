//! Child processes: the only place that starts one.
//!
//! A program is an argv, never a shell string. Its environment is empty but for what [`Program`] names, its output is
//! kept up to a bound, its time is limited, and it runs in its own process group that ends with it: dropping the future
//! or exceeding the limit leaves nothing running. Disks, images and the host's check call this.
//!
//! - [`Program::run`] waits for the end and wants success.
//! - [`Program::stream`] hands out lines of standard error as they come, and can be cancelled.
//! - [`Program::spawn`] is for programs that serve until stopped.

mod capture;
mod error;
mod open_files;

pub use capture::{Captured, LINE_MAX};
pub use error::{ExecError, chain};
pub use open_files::raise_open_files;

use capture::{Capture, Lines};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio_util::sync::CancellationToken;

/// How long a program may take without a limit of its own.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(60);
/// How much of each output stream is kept, half of it from the beginning and half from the end, in bytes.
pub const DEFAULT_KEEP: usize = 256 * 1024;
/// How long a program asked to end may take before it is killed. Nix needs some of it to stop its builders.
const GRACE: Duration = Duration::from_secs(5);

/// A program about to run.
#[derive(Clone, Debug)]
pub struct Program {
    name: &'static str,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    input: Option<Vec<u8>>,
    limit: Duration,
    keep: usize,
    fine: &'static [i32],
}

/// The result of a program.
#[derive(Debug)]
pub struct Output {
    /// Its exit status, one of those accepted.
    pub code: i32,
    /// Its standard output.
    pub stdout: Captured,
    /// Its standard error.
    pub stderr: Captured,
}

impl Program {
    /// The program of this name on the PATH.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
            input: None,
            limit: DEFAULT_LIMIT,
            keep: DEFAULT_KEEP,
            fine: &[0],
        }
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// One more variable in its environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Passes these variables on from our own environment, where they are set.
    pub fn inherit(mut self, names: &[&str]) -> Self {
        let set = names.iter().filter_map(|n| Some((OsString::from(*n), std::env::var_os(n)?)));
        self.env.extend(set);
        self
    }

    /// Its working directory.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// What it reads on standard input; without this, nothing.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// How long it may take.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// How much of each output stream is kept, in bytes.
    pub fn keep(mut self, bytes: usize) -> Self {
        self.keep = bytes;
        self
    }

    /// Which exit codes count as success; without this, 0.
    pub fn accept(mut self, codes: &'static [i32]) -> Self {
        self.fine = codes;
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it cannot be started, ends with a code not accepted, or takes longer than its limit.
    pub async fn run(self) -> Result<Output, ExecError> {
        self.stream(&mut |_: &[u8]| (), &CancellationToken::new()).await
    }

    /// Runs it to its end and calls `line` with each line of standard error as it comes, without its newline and cut at
    /// [`LINE_MAX`] bytes. Cancelling asks the program to end, and kills it when it does not.
    ///
    /// # Errors
    /// As [`Program::run`], and [`ExecError::Cancelled`].
    pub async fn stream(
        self,
        line: &mut (dyn FnMut(&[u8]) + Send),
        cancel: &CancellationToken,
    ) -> Result<Output, ExecError> {
        let mut running = self.spawn()?;
        let mut out = Capture::new(self.keep);
        let mut err = Capture::new(self.keep);
        let mut lines = Lines::default();
        let group = running.group;
        let ended = {
            let talk = async {
                let feed = feed(running.child.stdin.take(), self.input.clone().unwrap_or_default());
                let stdout = read(running.stdout.take(), |bytes| out.push(bytes));
                let stderr = read(running.stderr.take(), |bytes| {
                    err.push(bytes);
                    lines.push(bytes, line);
                });
                let ((), out_end, err_end) = tokio::join!(feed, stdout, stderr);
                out_end.and(err_end)?;
                running.child.wait().await
            };
            tokio::pin!(talk);
            let ended = tokio::select! {
                biased;
                () = cancel.cancelled() => Err(ExecError::Cancelled { program: self.name }),
                ended = tokio::time::timeout(self.limit, &mut talk) => {
                    ended.map_err(|_| ExecError::TimedOut { program: self.name, limit: self.limit })
                }
            };
            if ended.is_err() {
                // Its last output is still read: a closed pipe would kill it in the middle of cleaning up.
                signal(group, Signal::TERM);
                let _ = tokio::time::timeout(GRACE, talk).await;
            }
            ended
        };
        // A background child of the program must not outlive it either: nobody would ever end it.
        running.kill_group();
        let ended = match ended {
            Ok(ended) => ended,
            Err(unwanted) => {
                running.reap().await;
                return Err(unwanted);
            }
        };
        lines.finish(line);
        let status = ended.map_err(|source| ExecError::Io { program: self.name, source })?;
        self.judge(status, out.finish(), err.finish())
    }

    /// Starts it and leaves it running. Its standard output can be read; standard input is closed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self) -> Result<Running, ExecError> {
        #[expect(clippy::disallowed_methods, reason = "the one place that starts programs")]
        let mut command = tokio::process::Command::new(self.name);
        command
            .args(&self.args)
            .env_clear()
            .env("PATH", search_path())
            .env("LANG", "C.UTF-8")
            .envs(std::env::var_os("HOME").map(|home| ("HOME", home)))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let mut child = command.spawn().map_err(|source| ExecError::start(self.name, source))?;
        let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(leader) = group {
            open_files::restore(leader);
        }
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        Ok(Running { program: self.name, child, group, stdout, stderr })
    }

    fn judge(&self, status: ExitStatus, stdout: Captured, stderr: Captured) -> Result<Output, ExecError> {
        match status.code() {
            Some(code) if self.fine.contains(&code) => Ok(Output { code, stdout, stderr }),
            _ => Err(ExecError::failed(self.name, status, &stdout, &stderr)),
        }
    }
}

/// A program that runs until it is stopped. Dropping it kills it and all it started.
#[derive(Debug)]
pub struct Running {
    program: &'static str,
    child: Child,
    group: Option<Pid>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

impl Running {
    /// Waits for its first output. `Err` with its standard error if it ends or stays silent instead.
    ///
    /// # Errors
    /// When it ends without having printed anything, or prints nothing within `limit`.
    pub async fn first_output(&mut self, limit: Duration) -> Result<(), ExecError> {
        let mut byte = [0_u8; 1];
        let spoke = match self.stdout.as_mut() {
            Some(stdout) => tokio::time::timeout(limit, stdout.read(&mut byte)).await,
            None => Ok(Ok(0)),
        };
        match spoke {
            Ok(Ok(n)) if n > 0 => Ok(()),
            Ok(_) => Err(self.explain_end().await),
            Err(_elapsed) => {
                self.stop().await;
                Err(ExecError::TimedOut { program: self.program, limit })
            }
        }
    }

    async fn explain_end(&mut self) -> ExecError {
        let mut err = Capture::new(DEFAULT_KEEP);
        let read = read(self.stderr.take(), |bytes| err.push(bytes));
        let ended = tokio::time::timeout(GRACE, async {
            read.await?;
            self.child.wait().await
        })
        .await;
        match ended {
            Ok(Ok(status)) => ExecError::failed(self.program, status, &Captured::default(), &err.finish()),
            Ok(Err(source)) => ExecError::Io { program: self.program, source },
            Err(_elapsed) => ExecError::TimedOut { program: self.program, limit: GRACE },
        }
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Asks it to end, waits, and kills it when it does not. `true` when it exited with code 0.
    pub async fn stop(&mut self) -> bool {
        if self.child.id().is_some() {
            signal(self.group, Signal::TERM);
        }
        let ended = tokio::time::timeout(GRACE, self.child.wait()).await;
        self.kill_group();
        match ended {
            Ok(status) => status.is_ok_and(|s| s.success()),
            Err(_elapsed) => {
                self.reap().await;
                false
            }
        }
    }

    /// Waits for what was killed; after SIGKILL this takes no time worth limiting.
    async fn reap(&mut self) {
        let _ = self.child.wait().await;
    }

    fn kill_group(&mut self) {
        signal(self.group.take(), Signal::KILL);
    }
}

fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // An empty group is what we want: nothing to do.
        let _ = kill_process_group(group, signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill_group();
    }
}

async fn feed(stdin: Option<tokio::process::ChildStdin>, input: Vec<u8>) {
    if let Some(mut stdin) = stdin {
        // A program that does not read its input to the end may still succeed; its exit code decides.
        let _ = stdin.write_all(&input).await;
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(&[u8])) -> std::io::Result<()> {
    let Some(mut stream) = stream else { return Ok(()) };
    let mut buffer = vec![0_u8; 16 * 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => take(buffer.get(..n).unwrap_or_default()),
        }
    }
}

/// Our own PATH, the directories of system tools, which the PATH of an ordinary user on Debian lacks, and those where Nix
/// installs itself and what it installs, which the PATH of a service lacks.
fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    if !path.is_empty() {
        path.push(":");
    }
    path.push("/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin");
    path.push(":/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin");
    path
}

#[cfg(test)]
mod tests;

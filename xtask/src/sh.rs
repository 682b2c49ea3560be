//! Child processes: every program that xtask runs goes through here.
//!
//! A command is an argv, never a shell string. Its output goes to a log file, which a failure quotes, or is
//! captured where it is the answer. Called by every other module.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};

/// Where administrators' programs are. Ordinary users on Debian do not have these in `PATH`.
const SBIN: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// How many lines of a log a failure shows.
const TAIL_LINES: usize = 30;

/// A program, its arguments, and the changes to its environment.
#[derive(Clone, Debug)]
pub struct Cmd {
    argv: Vec<OsString>,
    env: Vec<(OsString, Option<OsString>)>,
    dir: Option<PathBuf>,
}

impl Cmd {
    /// A command without arguments. `program` is looked up in `PATH` and in the administrators' directories.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { argv: vec![program.as_ref().to_owned()], env: Vec::new(), dir: None }
    }

    /// The same command, ended by `timeout` when it has run for `seconds`.
    pub fn limit(mut self, seconds: u32) -> Self {
        let mut argv: Vec<OsString> =
            vec!["timeout".into(), "--kill-after=5".into(), seconds.to_string().into()];
        argv.append(&mut self.argv);
        self.argv = argv;
        self
    }

    /// The same command run as root: unchanged if we are root, else through `sudo`.
    pub fn by_root(mut self) -> Self {
        if !is_root() {
            // sudo clears the environment except for variables named to it; values, which may be secrets, stay out of
            // argv.
            let kept = self.env.iter().filter(|(_, value)| value.is_some());
            let names: Vec<_> = kept.map(|(name, _)| name.to_string_lossy()).collect();
            let mut argv: Vec<OsString> = vec!["sudo".into()];
            if !names.is_empty() {
                argv.push(format!("--preserve-env={}", names.join(",")).into());
            }
            argv.push("--".into());
            argv.append(&mut self.argv);
            self.argv = argv;
        }
        self
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.argv.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.argv.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the child's environment.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((key.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Sets many variables.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(self, pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        pairs.into_iter().fold(self, |cmd, (key, value)| cmd.env(key, value))
    }

    /// Removes a variable from the child's environment.
    pub fn env_remove(mut self, key: impl AsRef<OsStr>) -> Self {
        self.env.push((key.as_ref().to_owned(), None));
        self
    }

    /// The child's working directory.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// The program and its arguments.
    pub fn argv(&self) -> &[OsString] {
        &self.argv
    }

    /// Gives this command's directory and changes of the environment to another one, which starts it.
    pub fn surroundings_into(&self, mut other: Self) -> Self {
        other.env.extend(self.env.iter().cloned());
        other.dir.clone_from(&self.dir);
        other
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place of xtask that starts programs; host_tools::exec is async"
    )]
    fn command(&self) -> Command {
        let mut argv = self.argv.iter();
        let mut command = Command::new(argv.next().map_or(OsStr::new("false"), |program| program));
        command.args(argv).env("PATH", path_with_sbin()).stdin(Stdio::null());
        for (key, _) in std::env::vars_os().filter(|(key, _)| belongs_to_cargo(key)) {
            command.env_remove(key);
        }
        command.env_remove("LD_LIBRARY_PATH");
        for (key, value) in &self.env {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }

    fn cannot_start(&self, error: &std::io::Error) -> anyhow::Error {
        anyhow!(
            "`{self}` could not be started: {error}\n  fix: see what `cargo xtask doctor` says is missing"
        )
    }

    /// Runs to completion and returns standard output. An error quotes standard error.
    pub fn capture(&self) -> Result<String> {
        let out = self.command().output().map_err(|error| self.cannot_start(&error))?;
        if !out.status.success() {
            let said = String::from_utf8_lossy(&out.stderr);
            bail!("`{self}` ended with {}: {}", out.status, said.trim());
        }
        String::from_utf8(out.stdout).with_context(|| format!("`{self}` printed bytes that are not UTF-8"))
    }

    /// Runs silently; whether it succeeded. A missing program did not.
    pub fn succeeds(&self) -> bool {
        self.command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Runs on the caller's terminal, input included.
    pub fn on_terminal(&self) -> Result<ExitStatus> {
        self.command().stdin(Stdio::inherit()).status().map_err(|error| self.cannot_start(&error))
    }

    /// Starts the command on the caller's terminal and leaves it running.
    pub fn spawn_on_terminal(&self) -> Result<std::process::Child> {
        self.command().stdin(Stdio::inherit()).spawn().map_err(|error| self.cannot_start(&error))
    }

    /// Becomes this command: signals and the terminal go straight to it. Returns only if that failed.
    pub fn replace_this_process(&self) -> anyhow::Error {
        let error = self.command().stdin(Stdio::inherit()).exec();
        self.cannot_start(&error)
    }

    /// Starts the command with its output in `log` and leaves it running.
    pub fn spawn(&self, log: &Log) -> Result<std::process::Child> {
        let (out, err) = log.handles()?;
        self.command().stdout(out).stderr(err).spawn().map_err(|error| self.cannot_start(&error))
    }
}

impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.argv.iter().map(|word| word.to_string_lossy()).collect();
        f.write_str(&words.join(" "))
    }
}

/// A file that collects the output of the commands of one part of the work.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// Starts an empty log.
    pub fn create(path: PathBuf) -> Result<Self> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)
                .with_context(|| format!("the directory {} cannot be made", dir.display()))?;
        }
        File::create(&path).with_context(|| format!("the log {} cannot be written", path.display()))?;
        Ok(Self { path })
    }

    /// A log that keeps what it has.
    pub fn append(path: PathBuf) -> Result<Self> {
        if path.is_file() { Ok(Self { path }) } else { Self::create(path) }
    }

    /// The log's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn handles(&self) -> Result<(File, File)> {
        let file = OpenOptions::new().append(true).open(&self.path);
        let file = file.with_context(|| format!("the log {} cannot be written", self.path.display()))?;
        let twin = file.try_clone().context("a file descriptor cannot be duplicated")?;
        Ok((file, twin))
    }

    /// Adds a line of our own.
    pub fn note(&self, line: &str) -> Result<()> {
        let (mut file, _) = self.handles()?;
        writeln!(file, "{line}").with_context(|| format!("the log {} cannot be written", self.path.display()))
    }

    /// Runs a command into this log. A failure quotes the end of what it wrote.
    pub fn run(&self, cmd: &Cmd) -> Result<()> {
        self.note(&format!("$ {cmd}"))?;
        let before = fs::metadata(&self.path).map_or(0, |meta| meta.len());
        let status = cmd.spawn(self)?.wait().with_context(|| format!("`{cmd}` cannot be waited for"))?;
        if status.success() {
            return Ok(());
        }
        let tail = self.tail(before);
        bail!("`{cmd}` ended with {status}. The end of its output ({}):\n{tail}", self.path.display())
    }

    /// What was written so far.
    pub fn text(&self) -> String {
        fs::read(&self.path)
            .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The last lines written after the byte offset `from`, indented.
    fn tail(&self, from: u64) -> String {
        let text = self.text();
        let new = usize::try_from(from).ok().and_then(|from| text.get(from..)).unwrap_or(&text);
        let lines: Vec<&str> = new.lines().collect();
        let kept = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
        kept.iter().map(|line| format!("    {line}\n")).collect()
    }
}

/// Runs `cmd` as root with its output in `log`; sudo itself still talks to the terminal.
pub fn run_as_root(log: &Log, cmd: Cmd) -> Result<()> {
    if !is_root() && find_program("sudo").is_none() {
        bail!(
            "`{cmd}` must run as root and sudo is not installed\n  fix: run that command as root, then this one again"
        );
    }
    log.run(&cmd.by_root())
}

/// Adds to a failure how to fix it, last, where it is noticed first.
pub fn with_fix<T>(outcome: Result<T>, how: &str) -> Result<T> {
    outcome.map_err(|error| anyhow!("{error:#}\n  fix: {how}"))
}

/// The note on a command that needs root, so that a password prompt surprises nobody.
pub fn may_ask() -> &'static str {
    if is_root() { "" } else { " (sudo may ask for your password, only for this)" }
}

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The variables that say who is logged in, as arguments for `env`: sudo sets these for root, even when told to keep
/// them.
pub fn login_environment() -> Vec<OsString> {
    let pair = |key: &str| {
        let mut pair = OsString::from(format!("{key}="));
        pair.push(std::env::var_os(key)?);
        Some(pair)
    };
    ["HOME", "USER", "PATH"].into_iter().filter_map(pair).collect()
}

/// The file of a program in `PATH` or in the administrators' directories.
pub fn find_program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&path_with_sbin()).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn path_with_sbin() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for dir in SBIN.map(PathBuf::from) {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    std::env::join_paths(dirs).unwrap_or(path)
}

/// `cargo run` describes the package it runs in the environment. Build scripts of some crates watch those
/// variables: passed on, they would make every build differ from the one a person starts by hand.
fn belongs_to_cargo(key: &OsStr) -> bool {
    const PREFIXES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    const NAMES: [&str; 3] = ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"];
    key.to_str().is_some_and(|key| PREFIXES.iter().any(|p| key.starts_with(p)) || NAMES.contains(&key))
}

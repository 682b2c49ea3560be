//! Why a program failed, in messages that say how to fix it.

use super::capture::Captured;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a program failed.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It is not installed.
    #[error("“{program}” is not installed, or not on the PATH. {}", install(program))]
    Missing {
        /// Its name.
        program: &'static str,
    },
    /// It is installed but cannot be started.
    #[error("“{program}” cannot be started")]
    Start {
        /// Its name.
        program: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// It ended without success.
    #[error("“{program}” failed ({how}): {said}")]
    Failed {
        /// Its name.
        program: &'static str,
        /// Exit code or signal, as text.
        how: String,
        /// Its last lines.
        said: String,
    },
    /// It took too long and was ended.
    #[error("“{program}” took longer than {} s and was ended", limit.as_secs())]
    TimedOut {
        /// Its name.
        program: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// It was ended because nobody needs its result any more.
    #[error("“{program}” was cancelled")]
    Cancelled {
        /// Its name.
        program: &'static str,
    },
    /// Talking to it failed.
    #[error("the output of “{program}” cannot be read")]
    Io {
        /// Its name.
        program: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

impl ExecError {
    pub(super) fn start(program: &'static str, source: std::io::Error) -> Self {
        if source.kind() == std::io::ErrorKind::NotFound {
            return ExecError::Missing { program };
        }
        ExecError::Start { program, source }
    }

    pub(super) fn failed(
        program: &'static str,
        status: ExitStatus,
        stdout: &Captured,
        stderr: &Captured,
    ) -> Self {
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no exit code".to_owned(),
        };
        // Some tools complain on standard output.
        let mut lines = stderr.last_lines(6);
        if lines.is_empty() {
            lines = stdout.last_lines(6);
        }
        let said = if lines.is_empty() { "it printed nothing.".to_owned() } else { lines.join(" / ") };
        ExecError::Failed { program, how, said }
    }
}

/// Where the programs we use come from: program, Debian and Ubuntu, Fedora, Arch.
const PACKAGES: &[(&str, &str, &str, &str)] = &[
    ("qemu-img", "qemu-utils", "qemu-img", "qemu-img"),
    ("qemu-storage-daemon", "qemu-system-common or qemu-utils", "qemu-img", "qemu-img"),
    ("mke2fs", "e2fsprogs", "e2fsprogs", "e2fsprogs"),
    ("debugfs", "e2fsprogs", "e2fsprogs", "e2fsprogs"),
    ("e2fsck", "e2fsprogs", "e2fsprogs", "e2fsprogs"),
    ("resize2fs", "e2fsprogs", "e2fsprogs", "e2fsprogs"),
    ("fusermount3", "fuse3", "fuse3", "fuse3"),
    ("nix", "nix-bin", "nix", "nix"),
    ("nix-store", "nix-bin", "nix", "nix"),
];

fn install(program: &str) -> String {
    match PACKAGES.iter().find(|row| row.0 == program) {
        Some((_, debian, fedora, arch)) => {
            format!("Install it: package {debian} (Debian, Ubuntu), {fedora} (Fedora) or {arch} (Arch).")
        }
        None => "Install it.".to_owned(),
    }
}

/// An error with its sources in one line, for logs and single-line messages: `a: b: c`.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

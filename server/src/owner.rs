//! Who owns the state directory. A command run by someone else, root above all, would leave files in it that the
//! portal's user cannot write, and the service's next start would fail on them: it is refused before anything is
//! opened.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Why a command is refused, with the command to use instead.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} belongs to {owner}, and files made by another user could not be written by the portal. Run “{command}”, or give the directory to the user that runs the portal.",
    dir.display()
)]
pub struct NotOwner {
    dir: PathBuf,
    owner: String,
    command: String,
}

/// Refuses anyone who does not own the state directory; a missing one will be theirs. `task` is the subcommand with its
/// arguments.
///
/// # Errors
/// [`NotOwner`].
pub fn check(state: &Path, task: &[&str]) -> Result<(), NotOwner> {
    let Ok(found) = std::fs::metadata(state) else { return Ok(()) };
    if found.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_else(|error: io::Error| {
        tracing::debug!(%error, "users have no names");
        String::new()
    });
    let name = name_of(found.uid(), &users);
    // The user named by its number, as sudo(8) takes it, if only a directory service knows the name.
    let (owner, sudo) = match name {
        Some(name) => (format!("the user {name}"), name.to_owned()),
        None => (format!("the user with the number {}", found.uid()), format!("#{}", found.uid())),
    };
    // sudo keeps no environment, and another user's default is another directory.
    let state = state.display().to_string();
    let words = ["sudo", "-u", &sudo, "snowglobe", "--state", &state].into_iter().chain(task.iter().copied());
    let command = words.map(quoted).collect::<Vec<_>>().join(" ");
    Err(NotOwner { dir: PathBuf::from(state), owner, command })
}

/// The name of a user in passwd(5).
fn name_of(uid: u32, users: &str) -> Option<&str> {
    let mut entries = users.lines().map(|line| line.split(':'));
    entries.find_map(|mut entry| {
        let name = entry.next()?;
        (entry.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_as_passwd_has_it() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\nbroken\nsnowglobe:x:990:989::/var/lib/snowglobe:/bin/false\n";
        assert_eq!(name_of(990, users), Some("snowglobe"));
        assert_eq!(name_of(0, users), Some("root"));
        assert_eq!(name_of(989, users), None);
    }

    #[test]
    fn a_command_can_be_pasted() {
        assert_eq!(quoted("/var/lib/snowglobe"), "/var/lib/snowglobe");
        assert_eq!(quoted("#990"), "'#990'");
        assert_eq!(quoted("/my disks/it's"), r"'/my disks/it'\''s'");
    }

    #[test]
    fn one_s_own_directory_and_one_that_is_not_there_are_fine() {
        let own = tempfile::tempdir().unwrap();
        check(own.path(), &["migrate"]).unwrap();
        check(&own.path().join("later"), &["migrate"]).unwrap();
    }
}

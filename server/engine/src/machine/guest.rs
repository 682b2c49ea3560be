//! What the portal asks of a running guest through its agent: the programs that every image has (nix/identity and
//! end2end/tiny-image), and the message that carries an identity.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::identity::IdentityFile;
use std::fmt::Write as _;

/// Takes an identity from standard input and applies it (nix/identity/receive.sh). Any other status than these two: refused,
/// nothing has changed.
pub(crate) const RECEIVE: &[&str] = &["/run/current-system/sw/bin/snowglobe-identity", "receive"];

/// The identity is in force.
pub(crate) const IN_FORCE: i32 = 0;
/// The guest has it, and some of it is not in force.
pub(crate) const PARTLY: i32 = 1;

/// Grows the file system of the data disk to its disk.
pub(crate) const GROW: &[&str] = &[
    "/bin/sh",
    "-c",
    "PATH=/run/current-system/sw/bin:/run/wrappers/bin:$PATH; exec resize2fs \"$(findfs LABEL=var)\"",
];

/// The first line of the message, with its version.
const FIRST: &str = "snowglobe-identity 1";

/// The message for [`RECEIVE`].
pub(crate) fn message(files: &[IdentityFile]) -> String {
    let mut message = format!("{FIRST}\n");
    for file in files {
        // Writing to a string cannot fail.
        let _ = match &file.content {
            Some(content) => {
                writeln!(message, "file {} {:o} {}", file.name, file.mode, STANDARD.encode(content))
            }
            None => writeln!(message, "none {}", file.name),
        };
    }
    let _ = writeln!(message, "end {}", files.len());
    message
}

/// Reads a message as a guest would: names with their contents, or none of it.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn read(message: &[u8]) -> Option<Vec<(String, Option<Vec<u8>>)>> {
    let text = std::str::from_utf8(message).ok()?;
    let lines = text.strip_prefix(FIRST)?.strip_prefix('\n')?;
    let mut files = Vec::new();
    for line in lines.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["file", name, "644" | "600", data] => {
                files.push((name.to_owned(), Some(STANDARD.decode(data).ok()?)));
            }
            ["none", name] => files.push((name.to_owned(), None)),
            ["end", count] => return (count == files.len().to_string()).then_some(files),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_is_there_and_what_is_not_and_ends_with_its_length() {
        let files = [
            IdentityFile { name: "hostname", mode: 0o644, content: Some("web-1".to_owned()) },
            IdentityFile { name: "root_password_hash", mode: 0o600, content: Some("$6$a".to_owned()) },
            IdentityFile { name: "tcp_ports", mode: 0o644, content: None },
        ];
        let message = message(&files);
        assert_eq!(
            message,
            "snowglobe-identity 1\nfile hostname 644 d2ViLTE=\nfile root_password_hash 600 JDYkYQ==\nnone tcp_ports\nend 3\n"
        );
        let read_back = read(message.as_bytes()).unwrap();
        assert_eq!(read_back[0], ("hostname".to_owned(), Some(b"web-1".to_vec())));
        assert_eq!(read_back[2], ("tcp_ports".to_owned(), None));
        let cut = message.rsplit_once("end").unwrap().0;
        assert_eq!(read(cut.as_bytes()), None, "a message that was cut short is refused");
    }
}

//! OpenSSH public keys as in an `authorized_keys` file (sshd(8), section `AUTHORIZED_KEYS FILE FORMAT`), without
//! options.

use crate::newtype::Refused;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Key types that a current OpenSSH accepts; `ssh-dss` is gone and certificates do not belong in this file.
const TYPES: [&str; 7] = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
];

/// The longest line accepted, in bytes: an RSA key of 16384 bits with a long comment fits.
const LINE_MAX: usize = 8192;

crate::validated_string!(
    /// One public key: type, base64 blob whose first field names the same type, optional comment.
    ///
    /// Options (`command="…"`, `from="…"`) are refused: they would be unreviewed instructions to the guest.
    SshKey,
    check
);

impl SshKey {
    /// The comment at the end of the line, by which people know their keys.
    pub fn comment(&self) -> Option<&str> {
        self.as_str().splitn(3, ' ').nth(2).filter(|c| !c.is_empty())
    }

    /// What a person knows it by: its comment, or else its last characters.
    pub fn label(&self) -> String {
        let blob = self.as_str().split(' ').nth(1).unwrap_or_default();
        let tail: String = blob.chars().skip(blob.chars().count().saturating_sub(12)).collect();
        self.comment().map_or_else(|| format!("…{tail}"), ToOwned::to_owned)
    }
}

fn check(line: &str) -> Result<(), Refused> {
    if line.len() > LINE_MAX {
        return Err(Refused::new("That is too long for an SSH key."));
    }
    if line.chars().any(char::is_control) {
        return Err(Refused::new("An SSH key must be on one line, without control characters."));
    }
    let mut parts = line.splitn(3, ' ');
    let (Some(kind), Some(blob)) = (parts.next(), parts.next()) else {
        return Err(Refused::new(
            "That is not an SSH public key; it looks like “ssh-ed25519 AAAA… name@computer”.",
        ));
    };
    if line.contains("PRIVATE KEY") {
        return Err(Refused::new(
            "That is a private key. Keep it secret, and paste the file that ends in “.pub”.",
        ));
    }
    if !TYPES.contains(&kind) {
        return Err(Refused::new(
            "OpenSSH does not accept this type of key. Start with the key type, without options.",
        ));
    }
    let bytes =
        STANDARD.decode(blob).map_err(|_| Refused::new("The middle part of the SSH key is damaged."))?;
    if inner_type(&bytes) != Some(kind.as_bytes()) || bytes.len() < kind.len() + 4 + 32 {
        return Err(Refused::new(
            "The SSH key's content does not match its type; copy the whole line again.",
        ));
    }
    Ok(())
}

/// The first length-prefixed string of the blob (RFC 4253 §6.6).
fn inner_type(blob: &[u8]) -> Option<&[u8]> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAtkeqGyVnUaYpkXeUOKuJfQfCfIF/XZfKpM4tqVQXJT you@laptop";

    #[test]
    fn a_real_key_is_accepted_and_named_by_its_comment() {
        assert_eq!(KEY.parse::<SshKey>().unwrap().comment(), Some("you@laptop"));
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        let with_option = format!("command=\"id\" {KEY}");
        let two_lines = format!("{KEY}\nssh-rsa AAAA");
        let wrong_type = KEY.replace("ssh-ed25519", "ssh-rsa");
        let cut = KEY[..60].to_owned();
        for bad in ["", "ssh-ed25519", "ssh-dss AAAA", "$(id)", &with_option, &two_lines, &wrong_type, &cut] {
            assert!(bad.parse::<SshKey>().is_err(), "{bad}");
        }
    }
}

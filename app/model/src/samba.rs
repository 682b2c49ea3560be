//! Shares of other machines that a guest with the profile `samba-mount` mounts, and the credentials for them.

use crate::newtype::Refused;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Folders of the guest that a share may be mounted below: none where it could hide a part of the system.
const POINTS: [&str; 3] = ["/var/mnt/", "/home/", "/tmp/"];
/// The longest name or password, in bytes.
const WORD_MAX: usize = 256;

crate::validated_string!(
    /// A line `MOUNT_POINT //SERVER/SHARE [OPTION,…]`, by the rules of the guest's script (`profiles/samba-mount.nix`), which
    /// leaves out every other line.
    SambaShare,
    check_share
);

fn check_share(text: &str) -> Result<(), Refused> {
    let only =
        |text: &str, marks: &[u8]| text.bytes().all(|b| b.is_ascii_alphanumeric() || marks.contains(&b));
    if text.chars().any(char::is_control) {
        return Err(Refused::new("A share is one line without control characters."));
    }
    let mut words = text.split_ascii_whitespace();
    let (Some(point), Some(share)) = (words.next(), words.next()) else {
        return Err(Refused::new(
            "A share looks like /var/mnt/films //nas/films or /var/mnt/films //nas/films ro,vers=3.0.",
        ));
    };
    let (options, more) = (words.next().unwrap_or(""), words.next());
    let is_below = |front: &&str| point.strip_prefix(*front).is_some_and(|rest| !rest.is_empty());
    if !POINTS.iter().any(is_below) || point.contains("..") || !only(point, b"/._-") {
        return Err(Refused::new(
            "A share must be mounted below /var/mnt, /home or /tmp; its mount point comes first, in letters, digits and “._-”.",
        ));
    }
    let parts = share.strip_prefix("//").and_then(|rest| rest.split_once('/'));
    let is_whole = parts.is_some_and(|(server, name)| !server.is_empty() && !name.is_empty());
    if !is_whole || !only(share, b"/._$-") {
        return Err(Refused::new("The share comes second and looks like //server/share."));
    }
    if more.is_some() || !only(options, b"=,._:/@-") {
        return Err(Refused::new("Options come last, separated by commas and without spaces."));
    }
    Ok(())
}

/// A name and a password on the machines whose shares are mounted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Words", into = "Words")]
pub struct SambaCredentials(Words);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Words {
    user: String,
    password: String,
}

impl SambaCredentials {
    /// Checks both.
    ///
    /// # Errors
    /// A text that would be more than one line of the guest's file, or too long.
    pub fn new(user: &str, password: &str) -> Result<Self, Refused> {
        let fine = |text: &str| (1..=WORD_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        if !fine(user) || !fine(password) {
            return Err(Refused(format!(
                "The Samba user and password need 1 to {WORD_MAX} bytes each and no control characters."
            )));
        }
        Ok(Self(Words { user: user.to_owned(), password: password.to_owned() }))
    }

    /// The name, which is no secret.
    pub fn user(&self) -> &str {
        &self.0.user
    }

    /// The file as mount.cifs(8) reads it; holds the password.
    pub fn to_file(&self) -> String {
        // `DOMAIN\user` is how Windows writes it; mount.cifs wants them separate.
        let (domain, user) = self.0.user.split_once('\\').unwrap_or(("", &self.0.user));
        let domain = if domain.is_empty() { String::new() } else { format!("domain={domain}\n") };
        format!("username={user}\npassword={}\n{domain}", self.0.password)
    }
}

impl fmt::Debug for SambaCredentials {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SambaCredentials({:?}, …)", self.0.user)
    }
}

impl TryFrom<Words> for SambaCredentials {
    type Error = Refused;
    fn try_from(words: Words) -> Result<Self, Refused> {
        Self::new(&words.user, &words.password)
    }
}

impl From<SambaCredentials> for Words {
    fn from(credentials: SambaCredentials) -> Words {
        credentials.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_that_the_guest_would_leave_out_are_refused() {
        for good in ["/var/mnt/films //nas/films", "/home/user/x //nas.lan/a$/b ro,vers=3.0,uid=1000"] {
            assert!(good.parse::<SambaShare>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "/var/mnt/films",
            "/etc //nas/films",
            "/var/mnt/ //nas/films",
            "/var/mnt/../../etc //nas/x",
            "/var/mnt/x nas/films",
            "/var/mnt/x //nas",
            "/var/mnt/x //nas/",
            "/var/mnt/x //nas/$(id)",
            "/var/mnt/x //nas/a ro,;id",
            "/var/mnt/x //nas/a ro more",
            "/var/mnt/x;id //nas/a",
            "/var/mnt/x //nas/a\nro",
        ] {
            assert!(bad.parse::<SambaShare>().is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_are_one_line_each_and_do_not_show_their_password() {
        let credentials = SambaCredentials::new("OFFICE\\ada", "secret word").unwrap();
        assert_eq!(credentials.to_file(), "username=ada\npassword=secret word\ndomain=OFFICE\n");
        assert!(!format!("{credentials:?}").contains("secret"));
        for (user, password) in [("", "x"), ("x", ""), ("a\nb", "x"), ("a", "x\nusername=root")] {
            assert!(SambaCredentials::new(user, password).is_err(), "{user:?}");
        }
        let json = serde_json::to_string(&credentials).unwrap();
        assert_eq!(serde_json::from_str::<SambaCredentials>(&json).unwrap(), credentials);
        assert!(serde_json::from_str::<SambaCredentials>(r#"{"user":"a","password":"b\nc"}"#).is_err());
    }
}

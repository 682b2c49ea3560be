//! Secret keys kept outside the database, and the tags (HMAC-SHA256, RFC 2104) that only their holder can make.

use hmac::{Hmac, Mac as _};
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Shorter keys can be guessed, in bytes.
const MIN: usize = 32;

/// One key.
#[derive(Clone)]
pub(crate) struct Key {
    mac: Hmac<Sha256>,
    id: String,
}

impl Key {
    /// The key made of these bytes, whatever their number.
    pub fn new(bytes: &[u8]) -> Self {
        let mut block = sha2::digest::Key::<Hmac<Sha256>>::default();
        block.iter_mut().zip(Sha256::digest(bytes)).for_each(|(to, from)| *to = from);
        let mut key = Self { mac: Hmac::new(&block), id: String::new() };
        key.id = key.tag(&[b"snowglobe key id"]).chars().take(16).collect();
        key
    }

    /// The key in a file.
    pub fn read(path: &Path) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let bytes = bytes.trim_ascii();
        if bytes.len() < MIN {
            let why = format!("{} holds no key: at least {MIN} bytes are needed", path.display());
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        Ok(Self::new(bytes))
    }

    /// The key in a file, if the file exists.
    pub fn find(path: &Path) -> io::Result<Option<Self>> {
        match Self::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// The key in a file, which is made if missing.
    pub fn find_or_make(path: &Path) -> io::Result<Self> {
        if let Some(key) = Self::find(path)? {
            return Ok(key);
        }
        let mut bytes = [0; MIN];
        OsRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
        let text = hex::encode(bytes);
        write_private(path, &text)?;
        Ok(Self::new(text.as_bytes()))
    }

    /// Identifies the key without revealing it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The HMAC of these parts, in hexadecimal digits. Each goes in with its length, so that no two lists of parts are alike.
    pub fn tag(&self, parts: &[&[u8]]) -> String {
        hex::encode(self.fed(parts).finalize().into_bytes())
    }

    /// Whether this is the HMAC of these parts, in constant time.
    pub fn fits(&self, parts: &[&[u8]], tag: &str) -> bool {
        hex::decode(tag).is_ok_and(|tag| self.fed(parts).verify_slice(&tag).is_ok())
    }

    fn fed(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

/// Replaces a file that only the portal's user can read, so that after a power cut either the old or the new one
/// exists.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_tag_is_of_its_key_and_its_parts_alone() {
        let (key, other) = (Key::new(b"one"), Key::new(b"another"));
        let tag = key.tag(&[b"ab", b"c"]);
        assert!(key.fits(&[b"ab", b"c"], &tag));
        assert!(!key.fits(&[b"a", b"bc"], &tag), "the parts' lengths count");
        assert!(!other.fits(&[b"ab", b"c"], &tag));
        assert!(!key.fits(&[b"ab", b"c"], "not hexadecimal"));
        assert_ne!(key.id(), other.id());
    }

    #[test]
    fn a_key_is_made_once_and_for_the_portal_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some.key");
        assert!(Key::find(&path).unwrap().is_none());
        let made = Key::find_or_make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Key::find_or_make(&path).unwrap().id(), made.id());
        fs::write(&path, "short").unwrap();
        assert!(Key::find_or_make(&path).is_err(), "a damaged key is not replaced silently");
    }
}

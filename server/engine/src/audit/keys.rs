//! The key of the audit log's chain: from a file that the service manager gives, such as a systemd credential, otherwise
//! from `audit.key` in the state directory, which is made at the first start.

use crate::db::audit::Keys;
use crate::key::Key;
use std::io;
use std::path::Path;

/// The key's file in the state directory.
const FILE: &str = "audit.key";

/// The available keys. A given one writes, and the state directory's still verifies what it wrote before.
pub(super) fn load(state: &Path, given: Option<&Path>) -> io::Result<Keys> {
    let own = state.join(FILE);
    match given {
        Some(given) => {
            Ok(Keys { current: Key::read(given)?, former: Key::find(&own)?.into_iter().collect() })
        }
        None => Ok(Keys { current: Key::find_or_make(&own)?, former: Vec::new() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_key_takes_precedence_and_the_one_before_still_verifies() {
        let dir = tempfile::tempdir().unwrap();
        let own = load(dir.path(), None).unwrap().current;
        let given = dir.path().join("credential");
        std::fs::write(&given, "x".repeat(32)).unwrap();
        let keys = load(dir.path(), Some(&given)).unwrap();
        assert_ne!(keys.current.id(), own.id());
        assert!(keys.find(own.id()).is_some());
        assert!(load(dir.path(), Some(&dir.path().join("missing"))).is_err());
    }
}

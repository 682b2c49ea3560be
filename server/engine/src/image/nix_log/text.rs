//! The texts in Nix's log: names read off store paths, the failed derivation found in a message.

/// Where a line of text is cut, in bytes.
pub(super) const LINE: usize = 16 * 1024;
/// Nix's base-32 hash at the front of every name in the store.
const HASH: usize = 32;

/// At most so many bytes of a text, whole characters only.
pub(super) fn cut(text: &str, max: usize) -> String {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// `hello-2.12` of `/nix/store/<hash>-hello-2.12.drv`; anything else as it is.
pub(super) fn drv_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let name = match file.split_once('-') {
        Some((hash, name)) if hash.len() == HASH => name,
        _ => file,
    };
    name.strip_suffix(".drv").unwrap_or(name).to_owned()
}

/// How messages name the derivation whose own build failed; those that merely depend on it are named otherwise.
const NAMES_FAILED: [&str; 4] =
    ["builder for '", "Cannot build '", "hash mismatch in fixed-output derivation '", "error: build of '"];

/// The store path of the derivation that failed according to an error message (without colours).
pub(super) fn failed_derivation(message: &str) -> Option<String> {
    NAMES_FAILED.iter().find_map(|before| {
        let (_, after) = message.split_once(before)?;
        let (path, _) = after.split_once('\'')?;
        // `build of '…'` may name several; the first will do.
        let path = path.split([' ', ',']).next().unwrap_or(path);
        let path = path.split_once(".drv").map(|(front, _)| format!("{front}.drv"))?;
        (path.len() < 1024).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_off_paths() {
        let hash = "a".repeat(32);
        assert_eq!(drv_name(&format!("/nix/store/{hash}-hello-2.12.drv")), "hello-2.12");
        assert_eq!(drv_name("odd"), "odd");
        assert_eq!(drv_name(""), "");
        let path = format!("/nix/store/{hash}-x.drv");
        for message in [
            format!("builder for '{path}' failed with exit code 1"),
            format!("Cannot build '{path}'.\n       Reason: builder failed"),
            format!("hash mismatch in fixed-output derivation '{path}':"),
            format!("error: build of '{path}' failed"),
            format!("builder for '{path}^out' failed"),
        ] {
            assert_eq!(failed_derivation(&message).as_ref(), Some(&path), "{message}");
        }
        assert_eq!(
            failed_derivation(&format!("1 dependencies of derivation '{path}' failed to build")),
            None
        );
        assert_eq!(failed_derivation("builder for '"), None);
        assert_eq!(cut("aä", 2), "a");
    }
}

//! The manifest beside an image file, read within its limit.

use super::nix::{other, refused};
use model::closure::{Closure, MANIFEST_MAX};
use ports::image_builder::{BuildError, CLOSURE_FILE};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// What the image at this store path is made of. Blocks.
pub(super) fn read(store_path: &Path) -> Result<Option<Closure>, BuildError> {
    let file = store_path.join(CLOSURE_FILE);
    let unreadable =
        |why: &str| refused(format!("The list of packages {} cannot be read: {why}.", file.display()));
    let about = match fs::symlink_metadata(&file) {
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound && store_path.exists() => return Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(refused(format!(
                "The image {} is no longer in the Nix store. Build it again.",
                store_path.display()
            )));
        }
        Err(error) => return Err(other("the list of packages of an image cannot be read", error)),
    };
    // A store path never changes, so what is found now is what is read. A link could lead anywhere.
    if !about.is_file() {
        return Err(unreadable("it is not a file"));
    }
    if about.len() > MANIFEST_MAX {
        return Err(unreadable("it is too long"));
    }
    let manifest =
        fs::read(&file).map_err(|error| other("the list of packages of an image cannot be read", error))?;
    Closure::parse(&manifest).map(Some).map_err(|why| unreadable(&why.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_manifest_is_read_and_what_is_none_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let (image, file) = (dir.path(), dir.path().join(CLOSURE_FILE));
        assert_eq!(read(image).unwrap(), None, "an image of an earlier version");
        fs::write(&file, r#"{"version":1,"packages":[{"name":"bash-5.2","size":7}]}"#).unwrap();
        assert_eq!(read(image).unwrap().unwrap().packages[0].version, "5.2");

        let refusal = |why: &str| {
            let said = read(image).unwrap_err().to_string();
            assert!(said.contains(why) && said.contains("closure.json"), "{said}");
            let _ = fs::remove_dir(&file).or_else(|_| fs::remove_file(&file));
        };
        fs::write(&file, "{}").unwrap();
        refusal("not valid");
        fs::File::create(&file).unwrap().set_len(MANIFEST_MAX + 1).unwrap();
        refusal("too long");
        fs::create_dir(&file).unwrap();
        refusal("not a file");
        symlink("/etc/passwd", &file).unwrap();
        refusal("not a file");
        let gone = read(&image.join("gone")).unwrap_err().to_string();
        assert!(gone.contains("no longer in the Nix store"), "{gone}");
    }
}

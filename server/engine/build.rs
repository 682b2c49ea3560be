//! Two things that cargo cannot see by itself: `sqlx::migrate!` reads the folder of migrations without telling it, and the
//! image flake is part of the binary (`src/image/flake.rs`).

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What of `nix/` only serves the repository: the portal's own package, and tests.
const LEFT_OUT: [&str; 2] = ["portal", "tests"];

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=../../migrations");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let mut files = Vec::new();
    collect(&root.join("nix"), "", &mut files)?;
    collect(&root.join("profiles"), "profiles/", &mut files)?;
    files.sort();
    let mut code = String::from("&[\n");
    for (name, path) in files {
        let _ = writeln!(code, "    ({name:?}, include_bytes!({:?})),", path.display().to_string());
    }
    code.push(']');
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from).ok_or(io::ErrorKind::NotFound)?;
    fs::write(out.join("flake_files.rs"), code)
}

/// All files below a folder, named as they will be in the flake.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    // A folder's own time changes when a file comes or goes, which cargo takes as a change of everything below it.
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            if !LEFT_OUT.contains(&name.as_str()) {
                collect(&entry.path(), &format!("{prefix}{name}/"), files)?;
            }
        } else if !name.ends_with(".md") {
            files.push((format!("{prefix}{name}"), entry.path()));
        }
    }
    Ok(())
}

//! Rebuilds the package when a migration changes: `sqlx::migrate!` reads the folder without telling cargo.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}

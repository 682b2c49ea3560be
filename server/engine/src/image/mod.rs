//! Images: profiles in, a bootable disk in the Nix store out.
//!
//! [`NixBuilder`] implements [`ports::image_builder::ImageBuilder`] with the `nix` of this computer.
//!
//! - `catalogue`: Nix's last answer about the profiles, for pages, which never wait for it.
//! - `closure`: what an image is made of, from the manifest beside it.
//! - `dry_run`: what a build would do, from the words of Nix.
//! - `forecasts`: its last answers about that, for pages.
//! - `flake`: the Nix files an image is made of, those in the binary with the users' own or a folder; their hash.
//! - `builder`: one build: a wrapper flake that names profiles and mode, `nix build`, its result.
//! - [`nix_log`]: Nix's machine-readable log, turned into lines, progress and the reason of a failure.
//! - `profiles`: the profiles' metadata, by `nix eval`.
//! - `roots`: what the garbage collector must keep.
//! - `nix`: how the program is called, and the two quoting functions.

mod builder;
mod catalogue;
mod closure;
mod dry_run;
mod flake;
mod forecasts;
mod nix;
pub mod nix_log;
mod profiles;
mod roots;
#[cfg(test)]
mod tests;

pub(crate) use catalogue::Catalogue;
pub(crate) use forecasts::Forecasts;

pub use builder::{BuilderSettings, NixBuilder};
pub use flake::FlakeSource;

//! Configuration: [`Settings`] is the one table of what can be set, [`Config`] the values that the server is made from.
//!
//! All mistakes are reported at once, each with what, why and how to fix it. `snowglobe check-config` prints
//! [`listing`].

mod read;
mod settings;

pub use read::{Config, HostSetting, LogFormat, Mistake};
pub use settings::{Settings, all, listing, variable, with_environment};

//! The engine as a whole: real SQLite, a hypervisor and an image builder in memory. One binary, because each further
//! one would be linked anew.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

mod accounts;
mod clone;
mod concurrency;
mod configuration;
mod contract;
mod crash;
mod damaged;
mod every_step;
mod guests;
mod harness;
mod images;
mod live;
mod migrations;
mod places;
mod recovery;
mod recreate;
mod rename;
mod rights;
mod same_name;
mod secrets;
mod story;
mod stuck;
mod told;
mod trail;
mod turns;
mod upgrade;
mod wishes;

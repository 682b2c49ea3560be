//! The server as a browser meets it: every route for every kind of person, forms, sockets, and what hostile people send.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what is wrong by panicking"
)]

mod accounts;
mod batch;
mod clone;
mod connections;
mod forms;
mod guard;
mod hostile;
mod http;
mod intents;
mod monitoring;
mod mortal;
mod persona;
mod program;
mod real_chaos;
mod real_kill;
mod rename;
mod routes;
mod socket;
mod sockets;
mod world;

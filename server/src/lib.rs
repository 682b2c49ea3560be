//! The server of Snowglobe: HTTP, sessions, forms, sockets, and where the parts are put together.
//!
//! ```text
//! main      the command line                 config       every setting, one table
//! wire      configuration → running server   state        what every handler can reach
//! routes    THE route table → router         access       who a row is for
//! connections  accepting, who has to leave   limits       patience, open files     shutdown  clean shutdown
//! guard     same origin, headers, bodies     origin       who is “us”, who is the client
//! outlive   requests are completed           answer       faults and redirects
//! session   cookie → actor                   pages        Leptos renders           forms     posted forms, by intent
//! ws        sockets: events, jobs, console   download     logs and CSV             assets    files for browsers
//! metrics   what is counted                  monitoring   /metrics, /healthz       telemetry logs
//! memory    what malloc keeps                device       browsers that logged in before
//! owner     who owns the state directory     batch        many machines from one text
//! ```
//!
//! A request comes over one of `connections`, passes `telemetry`, `guard`, `outlive` and `session` (in `routes`' order) and ends in
//! `pages`, `forms`, `ws` or `download`, which call the portal with the request's actor. No rule about machines lives here.
//!
//! A library as well as a program, so that the integration tests run the very router that people get.

pub mod access;
pub mod answer;
pub mod assets;
pub mod batch;
pub mod config;
pub mod connections;
pub mod device;
pub mod download;
pub mod forms;
pub mod guard;
pub mod limits;
pub mod memory;
pub mod metrics;
pub mod monitoring;
pub mod origin;
pub mod outlive;
pub mod owner;
pub mod pages;
pub mod routes;
pub mod session;
pub mod shutdown;
pub mod state;
pub mod telemetry;
pub mod wire;
pub mod ws;

//! The server as a browser meets it: every route for every kind of person, forms, sockets, and what hostile people send.

mod accounts;
mod forms;
mod guard;
mod hostile;
mod http;
mod monitoring;
mod program;
mod routes;
mod socket;
mod sockets;
mod world;

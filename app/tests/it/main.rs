//! Every page, rendered as the server renders it, over a portal whose answers are full of hostile text.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on shall fail")]

mod batch;
mod forms;
mod html;
mod images;
mod pages;
mod states;
mod world;

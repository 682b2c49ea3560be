//! What pages, live events and the REST API show: made of the vocabulary, never stored.

pub mod batch;
pub mod image;
pub mod job;
pub mod machine;

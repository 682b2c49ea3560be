//! Every page, rendered as the server renders it, over a portal whose answers are full of hostile text.

mod html;
mod pages;
mod world;

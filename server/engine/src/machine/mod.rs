//! Machines as the rules see them: what is known of each right now (`known`, `fleet`) and how a socket follows that
//! (`feed`), what a plan needs to know (`facts`), what a new one is given (`fresh`), and how one from before there were
//! marks gets its mark (`adopt`).

pub(crate) mod adopt;
pub(crate) mod entry;
pub(crate) mod facts;
pub(crate) mod feed;
pub(crate) mod fleet;
pub(crate) mod fresh;
pub(crate) mod guest;

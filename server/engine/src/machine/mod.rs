//! Machines as the rules see them: what is known of each right now (`known`, `fleet`) and how a socket follows that (`feed`),
//! what a plan needs to know (`facts`), and what a new one is born with (`fresh`).

pub(crate) mod facts;
pub(crate) mod feed;
pub(crate) mod fleet;
pub(crate) mod fresh;
pub(crate) mod known;

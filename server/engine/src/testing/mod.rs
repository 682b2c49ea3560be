//! What tests of this and of other packages stand on; only with feature `testing`.

pub mod contract;

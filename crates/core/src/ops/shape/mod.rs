//! Views, and ops that move elements without computing.

pub(crate) mod arrange;
pub(crate) mod concat;
pub(crate) mod pad;
pub(crate) mod views;

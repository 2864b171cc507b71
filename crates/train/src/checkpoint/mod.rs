//! Checkpoints: a folder of files from which a training goes on as if it had never stopped.

pub(crate) mod capture;
pub(crate) mod file;
pub(crate) mod folder;
pub(crate) mod manifest;
pub(crate) mod resume;
pub(crate) mod saver;
pub(crate) mod settings;

pub use folder::{CheckpointInfo, Checkpoints, Resumed, info, list};

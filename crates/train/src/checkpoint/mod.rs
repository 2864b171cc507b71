//! Checkpoints: files from which a training run resumes. Its results have the same bits as if it had not stopped.

pub(crate) mod capture;
pub(crate) mod file;
pub(crate) mod folder;
pub(crate) mod manifest;
pub(crate) mod resume;
pub(crate) mod saver;
pub(crate) mod settings;

pub use folder::{CheckpointInfo, Checkpoints, Resumed, info, list};

//! Neural networks on top of the graph: layers, losses, optimizers and their schedules, whole models, state dicts.
//!
//! [`layers`] declare variables in [`Params`](wgrad_core::Params) and, as a [`Module`], trace their ops; a loss of
//! [`losses`] makes one number of the result; an optimizer of [`optim`] adds gradients and updates; [`StateDict`] saves
//! and loads the model as a safetensors file, with PyTorch's names, and [`Load`] takes what is wanted of one; [`models`]
//! are whole networks with published weights.
//!
//! Nothing here has a kernel of its own: everything is composed of graph ops.

#[macro_use]
mod macros;

#[doc(hidden)]
pub mod entries;
pub mod init;
pub mod layers;
pub mod lints;
mod load;
mod load_error;
pub mod losses;
pub mod models;
mod module;
pub mod optim;
mod state_dict;
#[doc(hidden)]
#[cfg(not(target_arch = "wasm32"))]
pub mod write;

pub use load::{Load, LoadReport};
pub use load_error::{LoadError, LoadFix, UnreadableFile};
pub use module::{Module, Sequential};
pub use state_dict::StateDict;

/// The folder of this crate's sources as errors name it.
fn source() -> &'static str {
    file!().trim_end_matches("lib.rs")
}

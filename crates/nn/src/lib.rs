//! Neural networks built from graph ops: layers, losses, optimizers, learning rate schedules, models and state dicts.
//!
//! - [`layers`]: layers, which declare variables in [`Params`](wgrad_core::Params) and, through the trait
//!   [`Module`], trace their ops.
//! - [`losses`]: loss functions, which reduce predictions and targets to one number.
//! - [`optim`]: optimizers, which add gradients and parameter updates to the graph, and learning rate schedules.
//! - [`StateDict`] and [`Load`]: a trait and a builder that save and load parameters as safetensors files, with
//!   PyTorch's names.
//! - [`models`]: complete networks with published weights.
//!
//! This crate contains no GPU kernels: everything is composed of the ops of `wgrad-core`.

#[macro_use]
mod macros;

#[doc(hidden)]
pub mod entries;
pub mod init;
pub mod layers;
pub mod lints;
mod load;
mod load_error;
mod load_report;
pub mod losses;
pub mod models;
mod module;
pub mod optim;
mod state_dict;
#[doc(hidden)]
#[cfg(not(target_arch = "wasm32"))]
pub mod write;

pub use load::Load;
pub use load_error::{LoadError, LoadFix, UnreadableFile};
pub use load_report::LoadReport;
pub use module::{Module, Sequential};
pub use state_dict::StateDict;

/// Returns the path of this crate's source folder. Source lines in this folder belong to the library, so error
/// messages name the user's line instead.
fn source() -> &'static str {
    file!().trim_end_matches("lib.rs")
}

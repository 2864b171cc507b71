//! Neural networks on top of the graph: data, layers, losses, optimizers, metrics and training.
//!
//! In the order in which a program uses them: [`data`] reads a table and deals batches; [`layers`] declare variables in
//! [`Params`](wgrad_core::Params) and, as a [`Module`], trace their ops; a loss of [`losses`] makes one number of the
//! result; an optimizer of [`optim`] adds gradients and updates; [`train`] runs it all, epoch by epoch; [`metrics`] say
//! how good it became, and a [`report`] shows it; [`StateDict`] saves and loads the model as a safetensors file, with PyTorch's names, and [`Load`]
//! takes what is wanted of one; [`models`] are whole networks with published weights.
//!
//! Nothing here has a kernel of its own: everything is composed of graph ops.

pub mod advice;
mod checkpoint;
pub mod data;
pub mod init;
pub mod layers;
mod load;
pub mod losses;
pub mod metrics;
pub mod models;
mod module;
pub mod optim;
pub mod prior;
#[cfg(not(target_arch = "wasm32"))]
pub mod report;
#[cfg(not(target_arch = "wasm32"))]
pub mod train;
#[cfg(not(target_arch = "wasm32"))]
mod write;

pub use checkpoint::StateDict;
pub use load::{Load, LoadReport};
pub use module::{Module, Sequential};

/// The folder of this crate's sources as errors name it.
fn source() -> &'static str {
    file!().trim_end_matches("lib.rs")
}

//! Verification of results: error bounds, the reference interpreter, runs in lockstep (node by node), and the
//! gradient audit.

pub mod bound;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod audit;
#[cfg(not(target_arch = "wasm32"))]
mod evaluate;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod expected;
#[cfg(not(target_arch = "wasm32"))]
mod interpreter;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod lockstep;
#[cfg(not(target_arch = "wasm32"))]
mod node_by_node;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod non_finite;

//! Checks of what was computed: bounds, the reference interpreter, comparison with PyTorch, the audit of gradients.

pub mod bound;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod audit;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod expected;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod lockstep;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod non_finite;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod walk;

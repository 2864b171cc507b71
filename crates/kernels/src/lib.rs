//! The ops of wgrad and the GPU backend.
//!
//! `ops` describes what can be computed, as data and without a GPU API; `gpu` runs plans on wgpu and knows no op.

mod bundled;
mod channels;
pub mod gpu;
pub mod ops;
#[cfg(feature = "plant")]
pub mod plant;
mod products;
mod template;

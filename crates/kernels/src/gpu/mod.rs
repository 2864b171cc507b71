//! The wgpu backend: adapters and devices, reflection, pipelines, the printing of clusters, encoding, readback.
//!
//! Nothing here knows an op: launches arrive as data ([`Dispatch`](wgrad_core::Dispatch)), clusters as lists of rows.

mod backend;
mod cache;
mod cluster;
mod device;
mod encode;
mod open;
mod pipeline;
mod profile;
mod program;
mod readback;
mod reflect;

pub use backend::GpuBackend;
pub use cluster::print as print_cluster;
pub use device::{Adapter, Device, adapters};
pub use open::{Counts, Gpu};
pub use reflect::{Binding, Entry, Module, reflect};

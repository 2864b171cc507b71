//! The wgpu backend: adapters and devices, reflection, pipelines, the printing of clusters, encoding, readback,
//! tuning.
//!
//! Nothing here knows an op: launches arrive as data ([`Dispatch`](wgrad_core::Dispatch)), clusters as lists of rows.

mod backend;
mod cluster;
mod device;
mod pipeline;
mod profile;
mod readback;
mod reflect;
mod tune;

pub use backend::GpuBackend;
pub use cluster::print as print_cluster;
pub use device::{Adapter, Device, Gpu, adapters};
pub use reflect::{Binding, Entry, Module, reflect};
pub use tune::{load_choices, save_choices};

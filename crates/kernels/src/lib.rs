//! The wgpu backend: adapters and devices, the self-test of drivers, kernel fusion, pipelines, buffers, command
//! encoding, readback and tuning.
//!
//! The crate contains no code for specific ops: launches are data ([`Dispatch`](wgrad_core::Dispatch)), clusters are
//! lists of pointwise ops.

mod adapters;
mod cache;
#[cfg(feature = "fault-injection")]
pub mod fault_injection;
mod gpu;
mod kernels;
mod run;
pub mod testing;

pub use adapters::{Adapter, Device, Probe, ProbeVerdict, SelfTest, adapters};
pub use cache::cache_folder;
pub use run::{GpuBackend, load_choices, save_choices};

/// Major version of wgpu in use.
pub const WGPU: &str = "30";

//! The wgpu backend: adapters and devices, the self-test of drivers, kernel fusion, pipelines, buffers, command
//! encoding, readback and tuning.
//!
//! The crate contains no code for specific ops: an op describes its launches as data
//! ([`Dispatch`](wgrad_core::Dispatch)), and a cluster (a fused group of pointwise ops) is a list of ops with
//! their WGSL.

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

/// Major version of wgpu that this crate uses.
pub const WGPU: &str = "30";

//! The wgpu backend: adapters and devices, their self-test, fusion into kernels, pipelines, buffers, encoding, readback,
//! tuning.
//!
//! Nothing here knows an op: launches arrive as data ([`Dispatch`](wgrad_core::Dispatch)), clusters as lists of rows.

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

/// The version of wgpu that computes, up to its first dot.
pub const WGPU: &str = "30";

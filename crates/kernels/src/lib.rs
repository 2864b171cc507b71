//! The wgpu backend: adapters and devices, reflection, pipelines, the printing of clusters, encoding, readback,
//! tuning.
//!
//! Nothing here knows an op: launches arrive as data ([`Dispatch`](wgrad_core::Dispatch)), clusters as lists of rows.

mod backend;
mod cache;
mod device;
mod encode;
mod fused;
mod group;

mod launch;
mod open;
mod pipeline;
#[cfg(feature = "plant")]
pub mod plant;
mod print;
mod probe;
mod profile;
mod program;
mod readback;
mod reflect;
mod self_test;
mod trusted;
mod tune;

pub use backend::GpuBackend;
pub use cache::cache_folder;
pub use device::{Adapter, Device, adapters};
pub use launch::{Bound, Physical, Target, launches};
pub use open::{Counts, Gpu};
pub use reflect::{Binding, Entry, Module, reflect};
pub use self_test::{Probe, SelfTest, Verdict};
pub use tune::{load_choices, save_choices};

/// The version of wgpu that computes, up to its first dot.
pub const WGPU: &str = "30";

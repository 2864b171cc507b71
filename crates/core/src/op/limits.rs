//! Limits of a device, which the planner and ops must respect.

use crate::TuningChoices;

/// Limits and properties of a device, which the planner and ops read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Maximum storage buffers of one dispatch.
    pub storage_buffers: usize,
    /// Maximum bytes of one binding.
    pub binding_bytes: u64,
    /// Maximum bytes of all buffers of a plan. For a device that uses the host's memory, it is the size of that
    /// memory. GPUs do not report their memory, so by default there is no limit, and an allocation may fail
    /// instead.
    pub memory_bytes: u64,
    /// Maximum workgroups per axis.
    pub workgroups: u32,
    /// Maximum threads per workgroup.
    pub invocations: u32,
    /// Maximum bytes of workgroup memory (shared memory).
    pub workgroup_bytes: u32,
    /// Maximum iterations of all loops of one thread together. Some software drivers end loops after this number.
    pub iterations: u32,
    /// True for a software adapter, on which barriers are slow and threads with much work are fast.
    pub software: bool,
    /// True if the backend runs kernels, false if it runs CPU references instead.
    pub dispatches: bool,
    /// Variants of kernels to use: those that tuning found to be the fastest on the device, or those that a test
    /// sets.
    pub choices: TuningChoices,
}

impl Default for Limits {
    /// Returns WebGPU's default limits.
    fn default() -> Self {
        Self {
            storage_buffers: 8,
            binding_bytes: 128 << 20,
            memory_bytes: u64::MAX,
            workgroups: 65_535,
            invocations: 256,
            workgroup_bytes: 16 << 10,
            iterations: u32::MAX,
            software: false,
            dispatches: true,
            choices: TuningChoices::default(),
        }
    }
}

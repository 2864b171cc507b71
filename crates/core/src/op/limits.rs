//! Limits of a device, which the planner and ops must respect.

use crate::TuningChoices;

/// Limits and properties of a device, which the planner and ops read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Maximum number of storage buffers that one dispatch binds.
    pub storage_buffers: usize,
    /// Maximum size of one binding, in bytes.
    pub binding_bytes: u64,
    /// Maximum total size of a plan's buffers, in bytes. For a device that uses the host's memory, this is the
    /// size of that memory. GPUs do not report their memory, so by default there is no limit, and an allocation
    /// may fail instead.
    pub memory_bytes: u64,
    /// Maximum number of workgroups along each axis of a dispatch.
    pub workgroups: u32,
    /// Maximum number of threads per workgroup.
    pub invocations: u32,
    /// Maximum size of workgroup memory (shared memory), in bytes.
    pub workgroup_bytes: u32,
    /// Maximum total number of iterations of a thread's loops. Some software drivers end the loops after this
    /// number.
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

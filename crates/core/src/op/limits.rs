//! Limits of a device, as planners and ops see them.

use crate::Choices;

/// What a planner and an op may know about the device that a plan is made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Storage buffers that one dispatch may bind.
    pub storage_buffers: usize,
    /// Bytes that one binding may span.
    pub binding_bytes: u64,
    /// Bytes that one plan may take in all: of a device in the host's memory, what the machine has. GPUs do not tell
    /// theirs, so there is no limit unless one is set: an allocation that fails tells.
    pub memory_bytes: u64,
    /// Workgroups per dimension.
    pub workgroups: u32,
    /// Invocations per workgroup.
    pub invocations: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Iterations that all loops of one thread may have together: a software driver was seen to end them after these.
    pub iterations: u32,
    /// A software adapter, on which barriers are dear and wide threads are cheap.
    pub software: bool,
    /// Whether the backend runs dispatches at all; the CPU backend runs references.
    pub dispatches: bool,
    /// The variants of kernels that were found to be fastest on the device, or that a test asks for.
    pub choices: Choices,
}

impl Default for Limits {
    /// WebGPU's default limits.
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
            choices: Choices::default(),
        }
    }
}

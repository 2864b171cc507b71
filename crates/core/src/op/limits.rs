//! Limits of a device, as planners and ops see them.

use std::sync::OnceLock;

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

impl Limits {
    /// The memory and swap of this machine, or the limit of this process's control group if that is less, in bytes: for
    /// devices that compute on its processors. A plan beyond it would not fail, but be killed. `u64::MAX` where Linux does
    /// not say it.
    #[must_use]
    pub fn memory_of_host() -> u64 {
        static MEMORY: OnceLock<u64> = OnceLock::new();
        *MEMORY.get_or_init(|| {
            let read = |path| std::fs::read_to_string(path).unwrap_or_default();
            let machine = memory_and_swap(&read("/proc/meminfo"));
            let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
            let group = group.into_iter().filter_map(|path| read(path).trim().parse().ok());
            group.chain(machine).min().unwrap_or(u64::MAX)
        })
    }
}

/// What `/proc/meminfo` says, in bytes.
fn memory_and_swap(text: &str) -> Option<u64> {
    let line =
        |name| text.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix("kB")?.trim().parse::<u64>().ok());
    Some((line("MemTotal:")? + line("SwapTotal:").unwrap_or(0)) << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_linux_writes_it() {
        let text = "MemTotal:       24684096 kB\nMemFree:        20000 kB\nSwapTotal:       1024 kB\n";
        assert_eq!(memory_and_swap(text), Some((24_684_096 + 1024) << 10));
        assert_eq!(memory_and_swap("MemTotal:  16 kB\n"), Some(16 << 10));
        assert_eq!(memory_and_swap("MemTotal:  many\n"), None);
        assert_eq!(memory_and_swap(""), None);
    }
}

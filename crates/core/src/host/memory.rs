//! Size of the host's memory.

use std::sync::OnceLock;

/// Returns the memory plus swap of this machine in bytes, or the limit of the process's control group if that is
/// lower.
///
/// Plans for devices that compute on the CPU may not exceed this size: beyond it, the system kills the process
/// instead of refusing an allocation. On systems other than Linux, the result is `u64::MAX`.
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

/// Returns memory plus swap in bytes, parsed from the text of `/proc/meminfo`.
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

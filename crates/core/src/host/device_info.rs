//! Description of a device: its kind, adapter, API and driver.

/// Description of a device, for messages and reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// `cpu`, `cpu-f64` or `gpu`.
    pub kind: String,
    /// The adapter's name.
    pub adapter: String,
    /// The graphics API: `vulkan`, `metal`, `dx12`, `gl` or `webgpu`. For the CPU, the number of threads.
    pub api: String,
    /// The driver and its version.
    pub driver: String,
    /// True for a software GPU adapter, which computes on the CPU.
    pub software: bool,
    /// The result of the driver's self-test, as text. Empty if no self-test ran, as on the CPU.
    pub self_test: String,
}

impl std::fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}", self.adapter, self.api)?;
        if !self.driver.is_empty() {
            write!(f, ", {}", self.driver)?;
        }
        write!(f, "{})", if self.software { ", software" } else { "" })
    }
}

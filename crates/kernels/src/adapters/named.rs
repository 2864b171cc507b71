//! Functions that select a device by name.

use wgrad_core::{AvailableDevices, DeviceError, DeviceInfo, DeviceName, Result};

use super::adapter::adapters;
use super::device::Device;

impl Device {
    /// Opens the best real GPU or, if there is none, the CPU backend. Software adapters are slower than the CPU
    /// backend, so they are used only when selected by name.
    ///
    /// # Errors
    /// Returns an error if there is a real GPU, but its driver does not open it or fails its self-test.
    pub fn best() -> Result<Self> {
        match adapters().iter().find(|adapter| !adapter.is_software()) {
            Some(adapter) => adapter.open(),
            None => Ok(Self::cpu()),
        }
    }

    /// Opens a device by name: `auto` (see [`Self::best`]), `cpu`, `cpu-f64`, `gpu` (the best real GPU), or a part
    /// of an adapter's name. An API may precede the adapter's name. Examples: `llvmpipe`, `gl:llvmpipe`,
    /// `vulkan:nvidia`.
    ///
    /// # Errors
    /// Returns an error if there is no such device, or if it cannot be opened. If there is none, the message lists
    /// the available devices.
    pub fn named(name: &str) -> Result<Self> {
        let not_found = |name| {
            let name_of = |info: DeviceInfo| format!("{}:{}", info.api, info.adapter.to_lowercase());
            let available = AvailableDevices(adapters().iter().map(|adapter| name_of(adapter.info())).collect());
            Err(DeviceError::NotFound { name, available }.into())
        };
        match name {
            "auto" => Self::best(),
            "cpu" => Ok(Self::cpu()),
            "cpu-f64" => Ok(Self::cpu_f64()),
            "gpu" => match adapters().iter().find(|adapter| !adapter.is_software()) {
                Some(adapter) => adapter.open(),
                None => not_found(DeviceName::RealGpu),
            },
            _ if name.trim().is_empty() => not_found(DeviceName::Blank),
            _ => match adapters().iter().find(|adapter| adapter.matches(name)) {
                Some(adapter) => adapter.open(),
                None => not_found(DeviceName::Adapter(name.into())),
            },
        }
    }
}

//! Selection of devices by name.

use wgrad_core::{Error, Result};

use super::adapter::adapters;
use super::device::Device;

impl Device {
    /// Opens the best real GPU, or else the CPU backend. A software adapter is slower than the CPU backend and only
    /// used when selected by name.
    ///
    /// # Errors
    /// Fails if there is a GPU but its driver does not open it, or fails its self-test.
    pub fn best() -> Result<Self> {
        match adapters().iter().find(|adapter| !adapter.is_software()) {
            Some(adapter) => adapter.open(),
            None => Ok(Self::cpu()),
        }
    }

    /// Opens a device by name: `auto` (see [`Self::best`]), `cpu`, `cpu-f64`, `gpu` (the best real GPU), or a part of
    /// an adapter's name, optionally after an API, such as `llvmpipe`, `gl:llvmpipe` or `vulkan:nvidia`.
    ///
    /// # Errors
    /// Fails if there is no such device; the message lists the available ones.
    pub fn named(name: &str) -> Result<Self> {
        let listed = || {
            let names: Vec<_> = adapters()
                .iter()
                .map(|adapter| {
                    let info = adapter.info();
                    format!("`{}:{}`", info.api, info.adapter.to_lowercase())
                })
                .collect();
            if names.is_empty() {
                "there is no GPU adapter on this machine; use `cpu`, or install a driver \
                 (on Debian or Ubuntu `mesa-vulkan-drivers` has a software one)"
                    .into()
            } else {
                format!("there are `cpu`, `cpu-f64` and {}", names.join(", "))
            }
        };
        match name {
            "auto" => Self::best(),
            "cpu" => Ok(Self::cpu()),
            "cpu-f64" => Ok(Self::cpu_f64()),
            "gpu" => match adapters().iter().find(|adapter| !adapter.is_software()) {
                Some(adapter) => adapter.open(),
                None => Err(Error::Device(format!("no real GPU was found; {}", listed()))),
            },
            _ if name.trim().is_empty() => Err(Error::Device(format!("the device's name is empty; {}", listed()))),
            _ => match adapters().iter().find(|adapter| adapter.matches(name)) {
                Some(adapter) => adapter.open(),
                None => Err(Error::Device(format!("no device matches `{name}`; {}", listed()))),
            },
        }
    }
}

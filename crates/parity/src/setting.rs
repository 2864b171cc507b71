//! Device configurations in which cases run: the CPU in `f32`, and every adapter. Software adapters are also used
//! with changed limits.

use wgrad_core::{DeviceError, Limits, Result};
use wgrad_kernels::testing::AdapterHooks;
use wgrad_kernels::{Adapter, Device, adapters};

/// A device on which cases run, possibly with changed limits, so that it runs other kernels.
#[derive(Clone, Debug)]
pub struct DeviceSetting {
    /// Name of the configuration: `the CPU in f32`, or the API and the adapter's name, then the change of limits.
    pub name: String,
    /// Description of the change of limits; empty if limits are unchanged.
    pub change: &'static str,
    /// Device, opened with the changed limits.
    pub device: Device,
    /// Adapter of the device; `None` for the CPU.
    pub adapter: Option<Adapter>,
}

type Change = (&'static str, fn(&mut Limits));

/// Changes of limits for software adapters: first no change, then changes that select the kernels meant for other
/// devices.
const CHANGES: [Change; 3] = [
    ("", |_| {}),
    ("with a real GPU's kernels", |limits| limits.software = false),
    // The smallest limits in wgpu (`Limits::downlevel_defaults`), reduced by two storage buffers.
    ("with six small bindings", |limits| {
        (limits.storage_buffers, limits.binding_bytes) = (6, 128 << 20);
        (limits.workgroup_bytes, limits.invocations) = (16_352, 256);
    }),
];

/// Returns the limits of a software adapter after each change. Limits that do not affect the choice of kernels
/// have their defaults.
pub(crate) fn limit_kinds() -> [Limits; CHANGES.len()] {
    CHANGES.map(|(_, change)| {
        let mut limits = Limits { software: true, ..Limits::default() };
        change(&mut limits);
        limits
    })
}

impl DeviceSetting {
    /// Returns the CPU backend in single precision.
    pub fn cpu() -> Self {
        Self { name: "the CPU in f32".into(), change: "", device: Device::cpu(), adapter: None }
    }

    /// Opens an adapter with its own limits. A software adapter is also opened with the kernels of a hardware GPU,
    /// and with the smallest limits and six storage buffers per kernel instead of eight.
    ///
    /// A software adapter for OpenGL is opened only with its own limits, because the same driver serves Vulkan.
    ///
    /// # Errors
    /// Returns an error if the driver fails to open the adapter.
    pub fn of(adapter: &Adapter) -> Result<Vec<Self>> {
        let info = adapter.info();
        let changed = info.software && info.api != "gl";
        let open = |(change, f): &Change| {
            let name = [&info.api, &info.adapter, *change].join(" ").trim_end().to_string();
            // Only the device with unchanged limits uses the kernel cache on disk.
            let device = if change.is_empty() { adapter.open()? } else { adapter.open_with(f)? };
            Ok(Self { name, change, device, adapter: Some(adapter.clone()) })
        };
        CHANGES.iter().take(if changed { CHANGES.len() } else { 1 }).map(open).collect()
    }

    /// Opens all devices: the CPU in `f32`, then every adapter in all configurations of [`DeviceSetting::of`].
    ///
    /// If `devices` is not empty, only devices with a matching name are opened; `cpu` is the CPU.
    ///
    /// # Errors
    /// Returns an error if a name matches no device, or if a driver fails to open its adapter.
    pub fn all(devices: &[String]) -> Result<Vec<Self>> {
        let fits = |adapter: &Adapter| devices.is_empty() || devices.iter().any(|name| adapter.matches(name));
        let known = |name: &String| name == "cpu" || adapters().iter().any(|adapter| adapter.matches(name));
        if let Some(stranger) = devices.iter().find(|name| !known(name)) {
            // The error of `named` lists the available devices.
            return Err(Device::named(stranger)
                .err()
                .unwrap_or_else(|| DeviceError::NotAnAdapter { name: stranger.clone() }.into()));
        }
        let mut settings = vec![];
        if devices.is_empty() || devices.iter().any(|name| name == "cpu") {
            settings.push(Self::cpu());
        }
        for adapter in adapters().iter().filter(|adapter| fits(adapter)) {
            settings.extend(Self::of(adapter)?);
        }
        Ok(settings)
    }
}

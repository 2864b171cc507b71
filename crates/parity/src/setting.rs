//! Device settings: the CPU in `f32`, and every adapter, also with changed limits.

use wgrad_core::{DeviceError, Limits, Result};
use wgrad_kernels::testing::AdapterHooks;
use wgrad_kernels::{Adapter, Device, adapters};

/// A device on which cases run, and the change of its limits that makes it run other kernels.
#[derive(Clone, Debug)]
pub struct DeviceSetting {
    /// Name: the API and the adapter's name, or `the CPU in f32`; then the change.
    pub name: String,
    /// Description of the change of limits; empty if there is none.
    pub change: &'static str,
    /// The device.
    pub device: Device,
    /// The device's adapter; `None` for the CPU.
    pub adapter: Option<Adapter>,
}

type Change = (&'static str, fn(&mut Limits));

/// Changes of limits under which a software driver also runs the kernels of other devices.
const CHANGES: [Change; 3] = [
    ("", |_| {}),
    ("with a real GPU's kernels", |limits| limits.software = false),
    // The smallest limits in wgpu (`Limits::downlevel_defaults`), with two storage buffers less.
    ("with six small bindings", |limits| {
        (limits.storage_buffers, limits.binding_bytes) = (6, 128 << 20);
        (limits.workgroup_bytes, limits.invocations) = (16_352, 256);
    }),
];

/// Returns the limits of a software adapter under each change, as far as the choice of kernels depends on them.
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

    /// Opens an adapter unchanged and, if it is a software adapter, also with the kernels of a hardware GPU, and with
    /// the smallest limits and six storage buffers per kernel instead of eight.
    ///
    /// Through OpenGL it is only opened unchanged, because the driver is the same.
    ///
    /// # Errors
    /// Returns an error if the driver fails to open the adapter.
    pub fn of(adapter: &Adapter) -> Result<Vec<Self>> {
        let info = adapter.info();
        let changed = info.software && info.api != "gl";
        let open = |(change, f): &Change| {
            let name = [&info.api, &info.adapter, *change].join(" ").trim_end().to_string();
            // Only the unchanged device uses the kernel cache on disk.
            let device = if change.is_empty() { adapter.open()? } else { adapter.open_with(f)? };
            Ok(Self { name, change, device, adapter: Some(adapter.clone()) })
        };
        CHANGES.iter().take(if changed { CHANGES.len() } else { 1 }).map(open).collect()
    }

    /// Opens all devices: the CPU in `f32`, then every adapter in the settings of [`DeviceSetting::of`].
    ///
    /// `devices` limits them to the adapters with a matching name; `cpu` is the CPU. If it is empty, all are opened.
    ///
    /// # Errors
    /// Returns an error if a name matches nothing, or a driver fails to open its adapter.
    pub fn all(devices: &[String]) -> Result<Vec<Self>> {
        let fits = |adapter: &Adapter| devices.is_empty() || devices.iter().any(|name| adapter.matches(name));
        let known = |name: &String| name == "cpu" || adapters().iter().any(|adapter| adapter.matches(name));
        if let Some(stranger) = devices.iter().find(|name| !known(name)) {
            // The error of `named` lists the devices.
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

//! Settings in which a case is compared with the reference: the CPU in `f32`, and every adapter, each with the kernels that it runs.

use wgrad_core::{DeviceError, Limits, Result};
use wgrad_kernels::testing::AdapterHooks;
use wgrad_kernels::{Adapter, Device, adapters};

/// Device, and how its limits were changed so that other kernels than its own run on it.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The API and the adapter's name, or `the CPU in f32`; then what was changed.
    pub name: String,
    /// What was changed; empty for the device as it is.
    pub change: &'static str,
    /// The device.
    pub device: Device,
    /// Its adapter; none for the CPU.
    pub adapter: Option<Adapter>,
}

type Change = (&'static str, fn(&mut Limits));

/// A software driver is enough to run the kernels of other devices, too.
const CHANGES: [Change; 3] = [
    ("", |_| {}),
    ("with a real GPU's kernels", |limits| limits.software = false),
    // The smallest limits that wgpu names (`Limits::downlevel_defaults`), and two storage buffers less than it asks for.
    ("with six small bindings", |limits| {
        (limits.storage_buffers, limits.binding_bytes) = (6, 128 << 20);
        (limits.workgroup_bytes, limits.invocations) = (16_352, 256);
    }),
];

/// Returns the limits of a software adapter under each change, as far as they choose kernels.
pub(crate) fn kinds() -> [Limits; CHANGES.len()] {
    CHANGES.map(|(_, change)| {
        let mut limits = Limits { software: true, ..Limits::default() };
        change(&mut limits);
        limits
    })
}

impl Setting {
    /// Returns the CPU backend in single precision.
    pub fn cpu() -> Self {
        Self { name: "the CPU in f32".into(), change: "", device: Device::cpu(), adapter: None }
    }

    /// Opens an adapter as it is and, where it computes on the CPU, with the kernels that a real GPU would run and with the
    /// smallest limits that there are and six storage buffers per kernel instead of eight. Through OpenGL only as it is:
    /// the same driver under another roof.
    ///
    /// # Errors
    /// When the driver refuses to open the adapter.
    pub fn of(adapter: &Adapter) -> Result<Vec<Self>> {
        let info = adapter.info();
        let changed = info.software && info.api != "gl";
        let open = |(change, f): &Change| {
            let name = [&info.api, &info.adapter, *change].join(" ").trim_end().to_string();
            // As it is, with the kernels that are kept on disk.
            let device = if change.is_empty() { adapter.open()? } else { adapter.open_with(f)? };
            Ok(Self { name, change, device, adapter: Some(adapter.clone()) })
        };
        CHANGES.iter().take(if changed { CHANGES.len() } else { 1 }).map(open).collect()
    }

    /// Opens everything at hand: the CPU in `f32`, then every adapter as [`Setting::of`] has it. `devices` leaves the
    /// adapters that none of these names fits; `cpu` is one, too. With no names there is no choice.
    ///
    /// # Errors
    /// When a name fits nothing, or a driver refuses to open its adapter.
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

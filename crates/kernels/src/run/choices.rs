//! Tuning choices on disk.

use std::path::{Path, PathBuf};

use wgrad_core::{DeviceInfo, Error, Result, TuningChoices};

use crate::cache;

/// Returns the file of a device's choices in a folder: one per adapter and driver.
fn file(folder: &Path, device: &DeviceInfo) -> PathBuf {
    cache::of_device(folder, device, "choices")
}

/// Returns the choices that [`save_choices`] kept for a device; none if there are none, or the file is damaged.
pub fn load_choices(folder: impl AsRef<Path>, device: &DeviceInfo) -> TuningChoices {
    std::fs::read_to_string(file(folder.as_ref(), device))
        .map_or_else(|_| TuningChoices::default(), |text| TuningChoices::parse(&text))
}

/// Keeps choices in a folder, such as [`cache_folder`](crate::cache_folder), as text: one file per adapter and driver,
/// which is returned.
///
/// # Errors
/// When the folder cannot be made or written.
pub fn save_choices(folder: impl AsRef<Path>, device: &DeviceInfo, choices: &TuningChoices) -> Result<PathBuf> {
    let path = file(folder.as_ref(), device);
    cache::replace(&path, choices.to_string().as_bytes()).map_err(Error::io(&path))?;
    Ok(path)
}

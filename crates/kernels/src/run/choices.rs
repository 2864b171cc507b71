//! Storage of tuning choices on disk.

use std::path::{Path, PathBuf};

use wgrad_core::{DeviceInfo, Error, Result, TuningChoices};

use crate::cache;

/// Returns the path of a device's choices in a folder: one file per adapter and driver.
fn file(folder: &Path, device: &DeviceInfo) -> PathBuf {
    cache::of_device(folder, device, "choices")
}

/// Loads the tuning choices that [`save_choices`] stored for a device; none if there is no file or it is damaged.
pub fn load_choices(folder: impl AsRef<Path>, device: &DeviceInfo) -> TuningChoices {
    std::fs::read_to_string(file(folder.as_ref(), device))
        .map_or_else(|_| TuningChoices::default(), |text| TuningChoices::parse(&text))
}

/// Stores tuning choices as text in a folder, such as [`cache_folder`](crate::cache_folder), and returns the path of
/// the file. There is one file per adapter and driver.
///
/// # Errors
/// Fails if the folder cannot be created or the file cannot be written.
pub fn save_choices(folder: impl AsRef<Path>, device: &DeviceInfo, choices: &TuningChoices) -> Result<PathBuf> {
    let path = file(folder.as_ref(), device);
    cache::replace(&path, choices.to_string().as_bytes()).map_err(Error::io(&path))?;
    Ok(path)
}

//! Storage on disk of tuning choices (the fastest kernel variant of each op on a device).

use std::path::{Path, PathBuf};

use wgrad_core::{DeviceInfo, Error, Result, TuningChoices};

use crate::cache;

/// Returns the path of the file in `folder` that stores a device's tuning choices. There is one file per adapter
/// and driver.
fn file(folder: &Path, device: &DeviceInfo) -> PathBuf {
    cache::of_device(folder, device, "choices")
}

/// Loads the tuning choices that [`save_choices`] stored for a device. If the file is missing or damaged, there
/// are no choices.
pub fn load_choices(folder: impl AsRef<Path>, device: &DeviceInfo) -> TuningChoices {
    std::fs::read_to_string(file(folder.as_ref(), device))
        .map_or_else(|_| TuningChoices::default(), |text| TuningChoices::parse(&text))
}

/// Stores tuning choices as a text file in a folder, such as [`cache_folder`](crate::cache_folder), and returns
/// the path of the file. There is one file per adapter and driver.
///
/// # Errors
/// Returns an error if the folder cannot be created or the file cannot be written.
pub fn save_choices(folder: impl AsRef<Path>, device: &DeviceInfo, choices: &TuningChoices) -> Result<PathBuf> {
    let path = file(folder.as_ref(), device);
    cache::replace(&path, choices.to_string().as_bytes()).map_err(Error::io(&path))?;
    Ok(path)
}

//! Files in the user's cache folder: compiled pipelines, drivers' answers to the self-test, and tuning choices.
//!
//! A file begins with a checksum of the bytes that follow. A file that is damaged or too large is ignored.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use wgrad_core::DeviceInfo;

/// Size in bytes above which a file is ignored and then written anew, because drivers add entries to their
/// pipeline cache and never remove any.
const LARGEST: u64 = 256 << 20;

/// Returns the folder for compiled kernels and tuning choices: `wgrad` in the user's cache folder. That is
/// `XDG_CACHE_HOME` or else `~/.cache` on Linux, `~/Library/Caches` on macOS, and `%LOCALAPPDATA%` on Windows.
///
/// Returns `None` if the user's cache folder is unknown, or if the environment variable `WGRAD_CACHE` is `off`.
pub fn cache_folder() -> Option<PathBuf> {
    if env::var_os("WGRAD_CACHE").is_some_and(|set| set == "off") {
        return None;
    }
    let var = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = if cfg!(windows) {
        var("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        var("HOME").map(|home| home.join("Library/Caches"))
    } else {
        var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache")))
    };
    caches.map(|caches| caches.join("wgrad"))
}

/// Returns the FNV-1a hash of some bytes.
pub(crate) fn checksum(data: &[u8]) -> [u8; 8] {
    let hash = data
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash.to_le_bytes()
}

/// Returns the contents of a file written by [`write`]; `None` if it is missing, damaged or too large.
pub(crate) fn read(file: &Path) -> Option<Vec<u8>> {
    if fs::metadata(file).ok()?.len() > LARGEST {
        return None;
    }
    let mut data = fs::read(file).ok()?;
    let rest = data.split_off(data.len().min(8));
    (data == checksum(&rest)).then_some(rest)
}

/// Writes a file that consists of a checksum and the data.
pub(crate) fn write(file: &Path, data: &[u8]) -> std::io::Result<()> {
    replace(file, &[&checksum(data), data].concat())
}

/// Returns the path of the file in `folder` that belongs to an adapter with its driver.
pub(crate) fn of_device(folder: &Path, device: &DeviceInfo, extension: &str) -> PathBuf {
    let name = format!("{} {} {}", device.adapter, device.api, device.driver);
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    folder.join(format!("{}.{extension}", name.chars().map(plain).collect::<String>()))
}

/// Replaces a file atomically: writes a temporary file and renames it.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let temporary = file.with_extension(format!("{}.tmp", process::id()));
    fs::write(&temporary, bytes)?;
    fs::rename(&temporary, file).inspect_err(|_| drop(fs::remove_file(&temporary)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_ignored() {
        let folder = env::temp_dir().join(format!("wgrad-cache-{}", process::id()));
        let file = folder.join("pipelines");
        assert_eq!(read(&file), None);
        write(&file, b"compiled").unwrap();
        assert_eq!(read(&file).as_deref(), Some(&b"compiled"[..]));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "the temporary file is gone");
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert_eq!(read(&file), None);
        fs::write(&file, &bytes[..5]).unwrap();
        assert_eq!(read(&file), None);
        fs::remove_dir_all(&folder).unwrap();
    }
}

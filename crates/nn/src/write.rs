//! Files that are there when they are complete.

use std::path::Path;
use std::{fs, io};

/// Writes a file, down to the disk.
#[allow(clippy::missing_errors_doc)]
pub fn through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use io::Write;
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Writes a file under a temporary name beside its own, and moves it there; what was there before stays if that fails.
#[allow(clippy::missing_errors_doc)]
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    through(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path))
        .inspect_err(|_| drop(fs::remove_file(&temporary)))
}

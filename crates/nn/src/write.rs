//! Functions that write files atomically or synchronously.

use std::path::Path;
use std::{fs, io};

/// Writes a file and returns after its contents are on the disk.
#[allow(clippy::missing_errors_doc)]
pub fn synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use io::Write;
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Replaces a file atomically: writes a temporary file in the same folder, then renames the temporary file. If an
/// error occurs, an existing file is unchanged.
#[allow(clippy::missing_errors_doc)]
pub fn atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    synced(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path))
        .inspect_err(|_| drop(fs::remove_file(&temporary)))
}

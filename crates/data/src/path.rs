//! Advice in error messages about files that do not exist.

use std::io::{self, ErrorKind};
use std::path::Path;

/// Adds advice to the error if the file does not exist; returns other errors unchanged.
pub(crate) fn explain(path: &Path, source: io::Error) -> io::Error {
    if source.kind() != ErrorKind::NotFound {
        return source;
    }
    let place = match std::env::current_dir() {
        Ok(folder) if path.is_relative() => format!(" in {}, where relative paths start", folder.display()),
        _ => String::new(),
    };
    io::Error::new(ErrorKind::NotFound, format!("there is no such file{place}. Check the path."))
}

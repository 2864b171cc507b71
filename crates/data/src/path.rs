//! Paths that lead nowhere.

use std::io::{self, ErrorKind};
use std::path::Path;

/// Adds to an error of the system what there is to do about it.
pub(crate) fn explain(path: &Path, source: io::Error) -> io::Error {
    if source.kind() != ErrorKind::NotFound {
        return source;
    }
    let place = match std::env::current_dir() {
        Ok(here) if path.is_relative() => format!(" in {}, where relative paths start", here.display()),
        _ => String::new(),
    };
    io::Error::new(ErrorKind::NotFound, format!("there is no such file{place}. Check the path."))
}

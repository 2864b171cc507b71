//! Temporary files for data that does not fit in memory.

#[cfg(not(target_arch = "wasm32"))]
use std::fs::File;
use std::io;

use wgrad_core::{Error, Result};

/// Unnamed temporary file in the folder for temporary files (`TMPDIR`).
///
/// The system deletes the file when its last handle is closed, even if the process is killed. Each read and write
/// specifies an offset, so threads can share the file.
#[derive(Debug)]
pub(crate) struct Scratch {
    #[cfg(not(target_arch = "wasm32"))]
    file: File,
}

/// Adds to a system error that it concerns a temporary file, and that the environment variable `TMPDIR` can name
/// another folder for temporary files.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn explain(source: io::Error) -> Error {
    Error::io(std::env::temp_dir())(io::Error::new(
        source.kind(),
        format!("the temporary file of the rows: {source}. TMPDIR names another folder for temporary files."),
    ))
}

#[cfg(not(target_arch = "wasm32"))]
impl Scratch {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { file: tempfile::tempfile().map_err(explain)? })
    }

    /// Writes values at the offset `at`, which is measured in values.
    pub(crate) fn write<T: bytemuck::Pod>(&self, at: u64, values: &[T]) -> Result<()> {
        write_all(&self.file, bytemuck::cast_slice(values), at * size_of::<T>() as u64).map_err(explain)
    }

    /// Reads values at the offset `at`, which is measured in values.
    pub(crate) fn read<T: bytemuck::Pod>(&self, at: u64, values: &mut [T]) -> Result<()> {
        read_exact(&self.file, bytemuck::cast_slice_mut(values), at * size_of::<T>() as u64).map_err(explain)
    }
}

#[cfg(target_arch = "wasm32")]
impl Scratch {
    pub(crate) fn new() -> Result<Self> {
        Err(explain(io::ErrorKind::Unsupported.into()))
    }

    pub(crate) fn write<T>(&self, _at: u64, _values: &[T]) -> Result<()> {
        Err(explain(io::ErrorKind::Unsupported.into()))
    }

    pub(crate) fn read<T>(&self, _at: u64, _values: &mut [T]) -> Result<()> {
        Err(explain(io::ErrorKind::Unsupported.into()))
    }
}

#[cfg(unix)]
use std::os::unix::fs::FileExt;

#[cfg(unix)]
fn read_exact(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    file.read_exact_at(bytes, at)
}

#[cfg(unix)]
fn write_all(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_all_at(bytes, at)
}

#[cfg(windows)]
use std::os::windows::fs::FileExt;

#[cfg(windows)]
fn read_exact(file: &File, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_read(bytes, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => (bytes, at) = (&mut bytes[n..], at + n as u64),
        }
    }
    Ok(())
}

#[cfg(windows)]
fn write_all(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = file.seek_write(bytes, at)?;
        (bytes, at) = (&bytes[n..], at + n as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_values_are_read_at_any_offset() {
        let scratch = Scratch::new().unwrap();
        scratch.write(4, &[1.5_f64, -2.0, f64::NAN]).unwrap();
        scratch.write(0, &[0.25_f64]).unwrap();
        let mut two = [0.0_f64; 2];
        scratch.read(4, &mut two).unwrap();
        assert_eq!(two.map(f64::to_bits), [1.5_f64, -2.0].map(f64::to_bits));
        assert!(matches!(scratch.read(6, &mut two), Err(Error::Io { .. })), "past the end");
    }
}

//! Header of an array file: the bytes before the numbers.

use std::io::Read;

use crate::error::ArrayFileError;

/// Reads the next bytes of a header until `bytes` is full.
pub fn header(from: &mut impl Read, bytes: &mut [u8]) -> Result<(), ArrayFileError> {
    from.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => ArrayFileError::HeaderCutOff,
        _ => ArrayFileError::HeaderUnreadable { reason: error.to_string() },
    })
}

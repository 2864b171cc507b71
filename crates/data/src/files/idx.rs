//! IDX file format (LeCun): two zero bytes, the number type, the number of axes, the size of each axis, and the
//! numbers. Everything is big-endian.

use std::io::Read;

use wgrad_core::Array;

use super::header::header;
use super::number::Kind;
use crate::error::ArrayFileError;

/// Reads an array from the contents of an IDX file.
pub(super) fn read(mut from: impl Read) -> Result<Array, ArrayFileError> {
    let mut magic = [0; 4];
    header(&mut from, &mut magic)?;
    let kind = match magic {
        [0, 0, 0x08, _] => Kind::Uint(1),
        [0, 0, 0x09, _] => Kind::Int(1),
        [0, 0, 0x0b, _] => Kind::Int(2),
        [0, 0, 0x0c, _] => Kind::Int(4),
        [0, 0, 0x0d, _] => Kind::Float(4),
        [0, 0, 0x0e, _] => Kind::Float(8),
        _ => return Err(ArrayFileError::NotIdx { magic }),
    };
    let mut dims = Vec::with_capacity(magic[3].into());
    for _ in 0..magic[3] {
        let mut size = [0; 4];
        header(&mut from, &mut size)?;
        dims.push(usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX));
    }
    kind.read(&dims, true, from)
}

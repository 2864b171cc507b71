//! The IDX format (LeCun): two zeros, a type, the number of axes, their sizes, and the numbers, all of them big-endian.

use std::io::Read;

use wgrad_core::Array;

use super::number::Kind;

/// Reads an array, or says what is wrong.
pub(super) fn read(mut from: impl Read) -> Result<Array, String> {
    let mut magic = [0; 4];
    exact(&mut from, &mut magic)?;
    let kind = match magic {
        [0, 0, 0x08, _] => Kind::Uint(1),
        [0, 0, 0x09, _] => Kind::Int(1),
        [0, 0, 0x0b, _] => Kind::Int(2),
        [0, 0, 0x0c, _] => Kind::Int(4),
        [0, 0, 0x0d, _] => Kind::Float(4),
        [0, 0, 0x0e, _] => Kind::Float(8),
        _ => {
            return Err(format!(
                "this is no IDX file: it begins with the bytes {magic:02x?}, not with two zeros and a type"
            ));
        }
    };
    let mut dims = Vec::with_capacity(magic[3].into());
    for _ in 0..magic[3] {
        let mut size = [0; 4];
        exact(&mut from, &mut size)?;
        dims.push(usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX));
    }
    kind.read(&dims, true, from)
}

fn exact(from: &mut impl Read, bytes: &mut [u8]) -> Result<(), String> {
    from.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the file is cut off in its header".to_string(),
        _ => format!("the header cannot be read: {error}"),
    })
}

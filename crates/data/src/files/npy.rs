//! NumPy's `.npy` file format: a signature, a version, a header with the text of a Python dictionary, and the
//! numbers.

use std::io::Read;

use wgrad_core::Array;

use super::header::header;
use super::number::Kind;
use crate::error::{ArrayFileError, Dtype};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Maximum length of a header in bytes, NumPy's limit for untrusted files.
const MAX_HEADER: usize = 10_000;

/// Reads an array from the contents of a `.npy` file.
pub(super) fn read(mut from: impl Read) -> Result<Array, ArrayFileError> {
    let mut start = [0; 8];
    header(&mut from, &mut start)?;
    if !start.starts_with(MAGIC) {
        return Err(ArrayFileError::NotNpy);
    }
    let length = match start[6] {
        1 => {
            let mut bytes = [0; 2];
            header(&mut from, &mut bytes)?;
            usize::from(u16::from_le_bytes(bytes))
        }
        2 | 3 => {
            let mut bytes = [0; 4];
            header(&mut from, &mut bytes)?;
            usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX)
        }
        version => return Err(ArrayFileError::NpyVersion { version }),
    };
    if length > MAX_HEADER {
        return Err(ArrayFileError::HeaderLength { length, limit: MAX_HEADER });
    }
    let mut bytes = vec![0; length];
    header(&mut from, &mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| ArrayFileError::HeaderNotText)?;
    let Header { kind, big_endian, dims } = Header::parse(&text)?;
    kind.read(&dims, big_endian, from)
}

/// Contents of a `.npy` header.
#[derive(Debug, PartialEq)]
struct Header {
    kind: Kind,
    big_endian: bool,
    dims: Vec<usize>,
}

impl Header {
    /// Parses a header such as `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &str) -> Result<Self, ArrayFileError> {
        let header = || text.trim_end().to_string();
        let value = |key: &str| {
            let quoted = [format!("'{key}'"), format!("\"{key}\"")];
            let at = quoted.iter().find_map(|quoted| text.find(quoted.as_str()).map(|at| at + quoted.len()));
            let rest = at.and_then(|at| text[at..].trim_start().strip_prefix(':'));
            rest.map(str::trim_start)
                .ok_or_else(|| ArrayFileError::HeaderKey { key: key.to_string(), header: header() })
        };
        let descr = value("descr")?;
        let quote = descr.chars().next().filter(|c| "'\"".contains(*c));
        let Some(code) = quote.and_then(|quote| descr[1..].split(quote).next()) else {
            return Err(ArrayFileError::Records);
        };
        if value("fortran_order")?.starts_with("True") {
            return Err(ArrayFileError::FortranOrder);
        }
        let dims = value("shape")?.strip_prefix('(').and_then(|shape| shape.split(')').next());
        let dims = dims.ok_or_else(|| ArrayFileError::HeaderShape { header: header() })?;
        let dim = |word: &str| word.parse().map_err(|_| ArrayFileError::ShapeSizes { sizes: dims.to_string() });
        let dims = dims.split(',').map(str::trim).filter(|word| !word.is_empty()).map(dim).collect::<Result<_, _>>()?;
        let (kind, big_endian) = kind(code)?;
        Ok(Self { kind, big_endian, dims })
    }
}

/// Parses a type code such as `<f4`; returns the kind of number, and true if the numbers are big-endian.
fn kind(code: &str) -> Result<(Kind, bool), ArrayFileError> {
    let (order, rest) = code.split_at_checked(1).unwrap_or_default();
    let (letter, size) = rest.split_at_checked(1).unwrap_or_default();
    let size = size.parse::<usize>().unwrap_or_default();
    let unreadable = |dtype| Err(ArrayFileError::Dtype { code: code.to_string(), dtype });
    let kind = match (letter, size) {
        ("b", 1) => Kind::Bool,
        ("i", 1 | 2 | 4 | 8) => Kind::Int(size),
        ("u", 1 | 2 | 4 | 8) => Kind::Uint(size),
        ("f", 2 | 4 | 8) => Kind::Float(size),
        ("O", _) => return unreadable(Dtype::Objects),
        ("U" | "S" | "a", _) => return unreadable(Dtype::Texts),
        ("c", _) => return unreadable(Dtype::Complex),
        ("M" | "m", _) => return unreadable(Dtype::Times),
        _ => return unreadable(Dtype::Unknown),
    };
    match order {
        ">" => Ok((kind, true)),
        "<" | "|" => Ok((kind, false)),
        "=" => Ok((kind, cfg!(target_endian = "big"))),
        _ => unreadable(Dtype::Unknown),
    }
}

//! NumPy's format: a magic word, a version, a header in Python's words, and the numbers.

use std::io::Read;

use wgrad_core::Array;

use super::number::Kind;

const MAGIC: &[u8] = b"\x93NUMPY";
/// The longest header that is read; NumPy's own limit for files that are not trusted.
const LONGEST: usize = 10_000;

/// Reads an array, or says what is wrong.
pub(super) fn read(mut from: impl Read) -> Result<Array, String> {
    let mut start = [0; 8];
    exact(&mut from, &mut start)?;
    if !start.starts_with(MAGIC) {
        return Err("this is no .npy file: it does not begin as one. Write it with numpy.save.".into());
    }
    let length = match start[6] {
        1 => {
            let mut bytes = [0; 2];
            exact(&mut from, &mut bytes)?;
            usize::from(u16::from_le_bytes(bytes))
        }
        2 | 3 => {
            let mut bytes = [0; 4];
            exact(&mut from, &mut bytes)?;
            usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX)
        }
        version => return Err(format!("the .npy file is of version {version}, and versions 1 to 3 are understood")),
    };
    if length > LONGEST {
        return Err(format!("the header is {length} bytes long, and no array of numbers needs more than {LONGEST}"));
    }
    let mut header = vec![0; length];
    exact(&mut from, &mut header)?;
    let header = String::from_utf8(header).map_err(|_| "the header is not text".to_string())?;
    let Header { kind, big_endian, dims } = Header::parse(&header)?;
    kind.read(&dims, big_endian, from)
}

fn exact(from: &mut impl Read, bytes: &mut [u8]) -> Result<(), String> {
    from.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the file is cut off in its header".to_string(),
        _ => format!("the header cannot be read: {error}"),
    })
}

#[derive(Debug, PartialEq)]
struct Header {
    kind: Kind,
    big_endian: bool,
    dims: Vec<usize>,
}

impl Header {
    /// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`
    fn parse(text: &str) -> Result<Self, String> {
        let value = |key: &str| {
            let quoted = [format!("'{key}'"), format!("\"{key}\"")];
            let at = quoted.iter().find_map(|quoted| text.find(quoted.as_str()).map(|at| at + quoted.len()));
            let rest = at.and_then(|at| text[at..].trim_start().strip_prefix(':'));
            rest.map(str::trim_start).ok_or_else(|| format!("the header has no `{key}`: {}", text.trim_end()))
        };
        let descr = value("descr")?;
        let quote = descr.chars().next().filter(|c| "'\"".contains(*c));
        let Some(code) = quote.and_then(|quote| descr[1..].split(quote).next()) else {
            return Err("the array is one of records, not of numbers. Write its fields as arrays of their own, with \
                        numpy.savez(…, name=array[\"name\"])."
                .into());
        };
        if value("fortran_order")?.starts_with("True") {
            return Err("the array is in Fortran order, column by column. Write it with \
                        numpy.save(…, numpy.ascontiguousarray(array))."
                .into());
        }
        let dims = value("shape")?.strip_prefix('(').and_then(|shape| shape.split(')').next());
        let dims = dims.ok_or_else(|| format!("the header has no shape: {}", text.trim_end()))?;
        let dim = |word: &str| word.parse().map_err(|_| format!("the shape `({dims})` is no list of sizes"));
        let dims = dims.split(',').map(str::trim).filter(|word| !word.is_empty()).map(dim).collect::<Result<_, _>>()?;
        let (kind, big_endian) = kind(code)?;
        Ok(Self { kind, big_endian, dims })
    }
}

/// What `<f4` says.
fn kind(code: &str) -> Result<(Kind, bool), String> {
    let (order, rest) = code.split_at_checked(1).unwrap_or_default();
    let (letter, size) = rest.split_at_checked(1).unwrap_or_default();
    let size = size.parse::<usize>().unwrap_or_default();
    let numbers = "Write numbers, with numpy.save(…, array.astype(numpy.float32)).";
    let kind = match (letter, size) {
        ("b", 1) => Kind::Bool,
        ("i", 1 | 2 | 4 | 8) => Kind::Int(size),
        ("u", 1 | 2 | 4 | 8) => Kind::Uint(size),
        ("f", 2 | 4 | 8) => Kind::Float(size),
        ("O", _) => {
            return Err(format!("the array holds Python objects (pickled), which could be any program. {numbers}"));
        }
        ("U" | "S" | "a", _) => return Err(format!("the array holds texts (`{code}`). {numbers}")),
        ("c", _) => return Err(format!("the array holds complex numbers (`{code}`). {numbers}")),
        ("M" | "m", _) => return Err(format!("the array holds dates or times (`{code}`). {numbers}")),
        _ => return Err(format!("the array is of type `{code}`, which is not understood. {numbers}")),
    };
    match order {
        ">" => Ok((kind, true)),
        "<" | "|" => Ok((kind, false)),
        "=" => Ok((kind, cfg!(target_endian = "big"))),
        _ => Err(format!("the array is of type `{code}`, which is not understood. {numbers}")),
    }
}

//! A checkpoint as bytes: a safetensors file whose metadata say what it is of, under a checksum of all of it.
//!
//! ```text
//! {"__metadata__":{"wgrad":"CHECKSUM MANIFEST"}, …
//! ```
//!
//! The checksum is the CRC-32 of the whole file with zeros in its own place, eight digits that stand at a fixed offset. So
//! nothing is believed before all of it is known to be as written.

use std::collections::BTreeMap;

use safetensors::tensor::{SafeTensorError, SafeTensors, TensorView};
use safetensors::{Dtype, serialize};
use wgrad_core::{Array, Error, Result};

use super::manifest::Manifest;
use wgrad_nn::entries::{unreadable, words};

/// What every checkpoint has after the length of its header.
const OPENING: &[u8] = br#"{"__metadata__":{"wgrad":""#;
const DIGITS: usize = 8;
/// Where the checksum is.
const CHECKSUM: std::ops::Range<usize> = 8 + OPENING.len()..8 + OPENING.len() + DIGITS;

/// A value of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stored {
    /// A variable: `f32`, or `f64` as computed in `f64`.
    Array(std::sync::Arc<Array>),
    /// A counter: one `i64`.
    Count(u64),
    /// The state of a generator: `u32`.
    Words(Vec<u32>),
}

/// Parts of a tensor of a file.
struct Parts {
    dtype: Dtype,
    dims: Vec<usize>,
    bytes: Vec<u8>,
}

impl Parts {
    fn new(dtype: Dtype, dims: Vec<usize>, bytes: impl IntoIterator<Item = u8>) -> Self {
        Self { dtype, dims, bytes: bytes.into_iter().collect() }
    }
}

/// A whole checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checkpoint {
    pub manifest: Manifest,
    pub tensors: BTreeMap<String, Stored>,
}

impl Stored {
    fn parts(&self) -> Parts {
        match self {
            Self::Array(array) => {
                let dims = array.shape().dims().to_vec();
                if let Some(values) = array.as_slice::<f64>() {
                    Parts::new(Dtype::F64, dims, values.iter().flat_map(|value| value.to_le_bytes()))
                } else {
                    Parts::new(Dtype::F32, dims, array.to_f32().iter().flat_map(|value| value.to_le_bytes()))
                }
            }
            Self::Count(count) => Parts::new(Dtype::I64, vec![], count.to_le_bytes()),
            Self::Words(words) => {
                Parts::new(Dtype::U32, vec![words.len()], words.iter().flat_map(|word| word.to_le_bytes()))
            }
        }
    }

    fn read(view: &TensorView<'_>) -> Result<Self, String> {
        let (shape, bytes) = (view.shape(), view.data());
        let array = match view.dtype() {
            Dtype::F32 => Array::new(shape, words(bytes, f32::from_le_bytes)),
            Dtype::F64 => Array::new(shape, words(bytes, f64::from_le_bytes)),
            Dtype::U32 => return Ok(Self::Words(words(bytes, u32::from_le_bytes))),
            Dtype::I64 => {
                let count = bytes.try_into().map(u64::from_le_bytes);
                return count.map(Self::Count).map_err(|_| "a count is one number".into());
            }
            other => return Err(format!("{other:?} is nothing that a checkpoint has")),
        };
        array.map(|array| Self::Array(array.into())).map_err(|error| error.to_string())
    }
}

fn checksum(bytes: &[u8]) -> String {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CHECKSUM.start]);
    hasher.update(&[b'0'; DIGITS]);
    hasher.update(&bytes[CHECKSUM.end..]);
    format!("{:08x}", hasher.finalize())
}

impl Checkpoint {
    /// The bytes of the file; the same for the same values.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let wrong = |error: &dyn std::fmt::Display| Error::Data(format!("a checkpoint cannot be written: {error}"));
        let manifest = serde_json::to_string(&self.manifest).map_err(|error| wrong(&error))?;
        let parts: Vec<_> = self.tensors.iter().map(|(name, stored)| (name, stored.parts())).collect();
        let views = parts.iter().map(|(name, Parts { dtype, dims, bytes })| {
            TensorView::new(*dtype, dims.clone(), bytes).map(|view| (*name, view)).map_err(|error| wrong(&error))
        });
        // One key, so the order is no question.
        let metadata = [("wgrad".to_string(), format!("{} {manifest}", "0".repeat(DIGITS)))].into();
        let bytes = serialize(views.collect::<Result<Vec<_>>>()?, Some(metadata));
        let mut bytes = bytes.map_err(|error| wrong(&error))?;
        if bytes.get(8..CHECKSUM.start) != Some(OPENING) || bytes.len() < CHECKSUM.end {
            return Err(wrong(&"its metadata are not where they belong"));
        }
        let digits = checksum(&bytes);
        bytes[CHECKSUM].copy_from_slice(digits.as_bytes());
        Ok(bytes)
    }

    /// Reads what [`Self::to_bytes`] wrote; `name` stands for it in messages.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        let damaged = |why: String| Error::Data(format!("{name} is not a whole checkpoint: {why}"));
        let header = bytes.first_chunk().map(|&length| u64::from_le_bytes(length));
        if bytes.len() >= CHECKSUM.end && bytes[8..CHECKSUM.start] != *OPENING {
            return Err(match SafeTensors::deserialize(bytes) {
                Ok(_) => Error::Data(format!(
                    "{name} is a safetensors file, but no checkpoint of wgrad\n  fix: load weights with params.load"
                )),
                Err(error) => unreadable(name, bytes, &error).into(),
            });
        }
        if bytes.len() < CHECKSUM.end {
            return Err(damaged(format!("it is cut off after {} bytes", bytes.len())));
        }
        if *checksum(bytes).as_bytes() != bytes[CHECKSUM] {
            let length = bytes.len();
            let why = match SafeTensors::read_metadata(bytes) {
                _ if header.is_some_and(|header| header > length as u64 - 8) => {
                    format!("it is cut off after {length} bytes")
                }
                Err(SafeTensorError::MetadataIncompleteBuffer) => {
                    format!("it is cut off after {length} bytes, or has bytes too many")
                }
                _ => "bytes of it have changed since it was written (its checksum does not fit)".into(),
            };
            return Err(damaged(why));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|error| unreadable(name, bytes, &error))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
        let text = header.metadata().as_ref().and_then(|metadata| metadata.get("wgrad"));
        let text = text.and_then(|text| text.get(DIGITS + 1..)).ok_or_else(|| damaged("it has no manifest".into()))?;
        let manifest = Manifest::read(name, text)?;
        let tensor = |(name, view): (String, TensorView<'_>)| {
            let stored = Stored::read(&view).map_err(|why| damaged(format!("`{name}`: {why}")))?;
            Ok((name, stored))
        };
        Ok(Self { manifest, tensors: file.tensors().into_iter().map(tensor).collect::<Result<_>>()? })
    }
}

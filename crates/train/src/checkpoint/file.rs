//! File format of a checkpoint: a safetensors file. Its metadata contain a checksum and a manifest, which
//! describes the training run as JSON.
//!
//! ```text
//! {"__metadata__":{"wgrad":"CHECKSUM MANIFEST"}, …
//! ```
//!
//! The checksum is the CRC-32 of the complete file, written as eight hexadecimal digits at a fixed position. It is
//! computed with zeros in place of these digits, and checked before anything else is read.

use std::collections::BTreeMap;

use safetensors::tensor::{SafeTensorError, SafeTensors, TensorView};
use safetensors::{Dtype, serialize};
use wgrad_core::{Array, Error, Result};

use super::manifest::Manifest;
use crate::error::{CheckpointError, Damage};
use wgrad_nn::entries::{unreadable, words};

/// First bytes of every checkpoint after the eight bytes with the length of the header.
const OPENING: &[u8] = br#"{"__metadata__":{"wgrad":""#;
const DIGITS: usize = 8;
/// Position of the checksum's digits in the file.
const CHECKSUM: std::ops::Range<usize> = 8 + OPENING.len()..8 + OPENING.len() + DIGITS;

/// Value in a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stored {
    /// Variable, stored as `f32`, or as `f64` if the device computes in `f64`.
    Array(std::sync::Arc<Array>),
    /// Counter, stored as one `i64`.
    Count(u64),
    /// State of a random generator, stored as `u32`.
    Words(Vec<u32>),
}

/// Tensor in the form in which it is written to the file.
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

/// Contents of a checkpoint.
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
                return count.map(Self::Count).map_err(|_| "a counter must be one number".into());
            }
            other => return Err(format!("a checkpoint has no values of type {other:?}")),
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
    /// Returns the bytes of the file. They are always the same for the same values.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let wrong = |error: &dyn std::fmt::Display| Error::from(CheckpointError::Encode { reason: error.to_string() });
        let manifest = serde_json::to_string(&self.manifest).map_err(|error| wrong(&error))?;
        let parts: Vec<_> = self.tensors.iter().map(|(name, stored)| (name, stored.parts())).collect();
        let views = parts.iter().map(|(name, Parts { dtype, dims, bytes })| {
            TensorView::new(*dtype, dims.clone(), bytes).map(|view| (*name, view)).map_err(|error| wrong(&error))
        });
        // Uses a single key, because the order of several keys would not be fixed.
        let metadata = [("wgrad".to_string(), format!("{} {manifest}", "0".repeat(DIGITS)))].into();
        let bytes = serialize(views.collect::<Result<Vec<_>>>()?, Some(metadata));
        let mut bytes = bytes.map_err(|error| wrong(&error))?;
        if bytes.get(8..CHECKSUM.start) != Some(OPENING) || bytes.len() < CHECKSUM.end {
            return Err(wrong(&"its metadata are not at the beginning of the header"));
        }
        let digits = checksum(&bytes);
        bytes[CHECKSUM].copy_from_slice(digits.as_bytes());
        Ok(bytes)
    }

    /// Parses the bytes of a file that [`Self::to_bytes`] returned. `name` is the file name for error messages.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        let damaged = |damage| Error::from(CheckpointError::Damaged { name: name.into(), damage });
        let unreadable = |error| Error::from(unreadable(name, bytes, &error));
        let header = bytes.first_chunk().map(|&length| u64::from_le_bytes(length));
        if bytes.len() >= CHECKSUM.end && bytes[8..CHECKSUM.start] != *OPENING {
            let not_checkpoint = |_| CheckpointError::NotCheckpoint { name: name.into() }.into();
            return Err(SafeTensors::deserialize(bytes).map_or_else(unreadable, not_checkpoint));
        }
        if bytes.len() < CHECKSUM.end {
            return Err(damaged(Damage::CutOff { bytes: bytes.len() }));
        }
        if *checksum(bytes).as_bytes() != bytes[CHECKSUM] {
            let length = bytes.len();
            return Err(damaged(match SafeTensors::read_metadata(bytes) {
                _ if header.is_some_and(|header| header > length as u64 - 8) => Damage::CutOff { bytes: length },
                Err(SafeTensorError::MetadataIncompleteBuffer) => Damage::Length { bytes: length },
                _ => Damage::Checksum,
            }));
        }
        let file = SafeTensors::deserialize(bytes).map_err(unreadable)?;
        let header = |error: SafeTensorError| damaged(Damage::Header { reason: error.to_string() });
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(header)?;
        let text = header.metadata().as_ref().and_then(|metadata| metadata.get("wgrad"));
        let text = text.and_then(|text| text.get(DIGITS + 1..)).ok_or_else(|| damaged(Damage::NoManifest))?;
        let manifest = Manifest::read(name, text)?;
        let tensor = |(name, view): (String, TensorView<'_>)| match Stored::read(&view) {
            Ok(stored) => Ok((name, stored)),
            Err(reason) => Err(damaged(Damage::Tensor { name, reason })),
        };
        Ok(Self { manifest, tensors: file.tensors().into_iter().map(tensor).collect::<Result<_>>()? })
    }
}

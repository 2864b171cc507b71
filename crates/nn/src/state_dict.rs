//! The model as a safetensors file, under PyTorch's names.

use std::collections::BTreeMap;
#[cfg(not(target_arch = "wasm32"))]
use std::path::Path;

use safetensors::tensor::{SafeTensorError, TensorView};
use safetensors::{Dtype, serialize};
use wgrad_core::{Array, Counter, Error, Kind, Params, Result, Shape, Variable};

use crate::{Load, LoadReport};

/// What a state dict holds under one name.
pub enum Entry {
    Variable(Variable),
    Counter(Counter),
}

impl Entry {
    pub fn shape(&self) -> Shape {
        match self {
            Self::Variable(variable) => variable.shape().clone(),
            Self::Counter(_) => Shape::scalar(),
        }
    }
}

/// What a file gives for one name.
pub enum Value {
    Array(Array),
    Count(u64),
}

/// Saves and loads parameters and buffers: PyTorch's `state_dict`.
///
/// A scope (`params.at("encoder")`) saves and loads what is inside it, under names that begin there. Optimizer state
/// is not part of it, and neither are counters whose last name begins with `@`.
///
/// ```
/// use wgrad_core::Params;
/// use wgrad_nn::{StateDict, layers::Linear};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("model.safetensors");
/// let params = Params::seeded(7);
/// let model = Linear::new(&params.at("fc"), 3, 2);
/// params.save(&path)?;
///
/// let other = Params::seeded(8);
/// let copy = Linear::new(&other.at("fc"), 3, 2);
/// other.load(&path)?;
/// assert_eq!(copy.weight().value()?, model.weight().value()?);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
pub trait StateDict {
    /// Writes a safetensors file: `f32`, counters as `i64`; the same values give the same bytes.
    ///
    /// The file appears under its name only when it is complete.
    ///
    /// # Errors
    /// When a session is ahead of the host's values (call `session.sync()` first), or the file cannot be written.
    #[cfg(not(target_arch = "wasm32"))]
    fn save(&self, path: impl AsRef<Path>) -> Result<()>;

    /// Reads a safetensors file that has exactly the names and shapes of the model. [`Load`] has options: other names,
    /// parts to leave out, and what PyTorch's `strict=False` allows.
    ///
    /// # Errors
    /// When the file cannot be read, is not a safetensors file, or names, shapes or types differ; the message lists
    /// all of them, and nothing is changed.
    #[cfg(not(target_arch = "wasm32"))]
    fn load(&self, path: impl AsRef<Path>) -> Result<()>;

    /// Reads what fits from a safetensors file, and says what did not.
    ///
    /// # Errors
    /// When the file cannot be read or is not a safetensors file.
    #[cfg(not(target_arch = "wasm32"))]
    fn load_partial(&self, path: impl AsRef<Path>) -> Result<LoadReport>;

    /// The bytes that [`Self::save`] writes.
    ///
    /// # Errors
    /// When a session is ahead of the host's values.
    fn to_safetensors(&self) -> Result<Vec<u8>>;

    /// [`Self::load`] from bytes; `name` stands for them in messages.
    ///
    /// # Errors
    /// As [`Self::load`].
    fn load_safetensors(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// [`Self::load_partial`] from bytes; `name` stands for them in messages.
    ///
    /// # Errors
    /// As [`Self::load_partial`].
    fn load_safetensors_partial(&self, name: &str, bytes: &[u8]) -> Result<LoadReport>;
}

impl StateDict for Params {
    #[cfg(not(target_arch = "wasm32"))]
    fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        crate::write::replace(path, &self.to_safetensors()?).map_err(Error::io(path))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn load(&self, path: impl AsRef<Path>) -> Result<()> {
        Load::from(path).apply(self).map(|_| ())
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn load_partial(&self, path: impl AsRef<Path>) -> Result<LoadReport> {
        Load::from(path).strict(false).skip_misfits(true).apply(self)
    }

    fn to_safetensors(&self) -> Result<Vec<u8>> {
        let mut tensors = vec![];
        for (name, entry) in entries(self) {
            let (dtype, bytes): (_, Vec<u8>) = match &entry {
                Entry::Variable(variable) => {
                    (Dtype::F32, variable.value()?.to_f32().iter().flat_map(|value| value.to_le_bytes()).collect())
                }
                Entry::Counter(counter) => (Dtype::I64, counter.get().cast_signed().to_le_bytes().to_vec()),
            };
            tensors.push((name, dtype, entry.shape().dims().to_vec(), bytes));
        }
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, SafeTensorError>>();
        // What PyTorch's own writer puts there; one key, so the order is no question.
        let metadata = [("format".to_string(), "pt".to_string())].into();
        views
            .and_then(|views| serialize(views, Some(metadata)))
            .map_err(|error| Error::Data(format!("the state dict cannot be written as safetensors: {error}")))
    }

    fn load_safetensors(&self, name: &str, bytes: &[u8]) -> Result<()> {
        Load::from_bytes(name, bytes).apply(self).map(|_| ())
    }

    fn load_safetensors_partial(&self, name: &str, bytes: &[u8]) -> Result<LoadReport> {
        Load::from_bytes(name, bytes).strict(false).skip_misfits(true).apply(self)
    }
}

/// The state dict of a scope, by name.
pub fn entries(params: &Params) -> BTreeMap<String, Entry> {
    let scope = params.path();
    let inside = |name: &str| match name.strip_prefix(scope) {
        Some(rest) if scope.is_empty() => Some(rest.to_string()),
        Some(rest) => rest.strip_prefix('.').map(str::to_string),
        None => None,
    };
    let in_model = |name: &str| !name.rsplit('.').next().unwrap_or(name).starts_with('@');
    let variables = params.variables().into_iter().filter(|variable| variable.kind() != Kind::State);
    let variables = variables.filter_map(|v| Some((inside(v.name())?, Entry::Variable(v))));
    let counters = params.counters().into_iter().filter(|(name, _)| in_model(name));
    variables.chain(counters.filter_map(|(name, counter)| Some((inside(&name)?, Entry::Counter(counter))))).collect()
}

/// The file's value for an entry, or why it does not fit.
pub fn value(entry: &Entry, view: &TensorView<'_>) -> Result<Value, String> {
    let (shape, found) = (entry.shape(), Shape::from(view.shape()));
    let counter = matches!(entry, Entry::Counter(_));
    // A counter may be [1], as some exporters write scalars.
    if shape != found && !(counter && found.numel() == 1) {
        return Err(format!("the model has {shape}, the file {found}"));
    }
    let bytes = view.data();
    let array = match (counter, view.dtype()) {
        (true, Dtype::I64) => {
            let count = i64::from_le_bytes(bytes.try_into().map_err(|_| "not one number".to_string())?);
            return u64::try_from(count).map(Value::Count).map_err(|_| format!("a count cannot be {count}"));
        }
        (true, other) => return Err(format!("a count is I64, in the file it is {other:?}")),
        (false, Dtype::F32) => Array::new(shape, words(bytes, f32::from_le_bytes)),
        (false, Dtype::F64) => Array::new(shape, words(bytes, f64::from_le_bytes)),
        (false, Dtype::F16) => Array::new(shape, words(bytes, |half| from_half(u16::from_le_bytes(half)))),
        (false, Dtype::BF16) => {
            Array::new(shape, words(bytes, |brain: [u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(brain)) << 16)))
        }
        (false, other) => return Err(format!("floats are F32, F64, F16 or BF16, in the file it is {other:?}")),
    };
    array.map(Value::Array).map_err(|error| error.to_string())
}

pub fn words<const N: usize, T>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&word| from(word)).collect()
}

/// A half-precision float: 1 bit of sign, 5 of exponent, 10 of mantissa. Exact.
fn from_half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    match exponent {
        0 => sign * mantissa * 2f32.powi(-24),
        31 if mantissa == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1024.0 + mantissa) * 2f32.powi(exponent - 25),
    }
}

/// Why bytes are not a safetensors file, for people.
pub fn unreadable(name: &str, bytes: &[u8], error: &SafeTensorError) -> String {
    let header = bytes.first_chunk().map(|&length| u64::from_le_bytes(length));
    let have = bytes.len() as u64;
    let why = match header {
        _ if bytes.is_empty() => "the file is empty".into(),
        _ if bytes.starts_with(b"PK\x03\x04") => {
            "this is a zip archive, probably PyTorch's own format; save it there with \
             `safetensors.torch.save_file(model.state_dict(), \"model.safetensors\")`, or turn the file into one as the \
             README says"
                .into()
        }
        _ if bytes.starts_with(b"\x80\x02") => "this is a Python pickle, not a safetensors file".into(),
        None => "the file is too short to have a header".into(),
        // The header begins with a brace where it is one at all.
        Some(_) if bytes.get(8).is_some_and(|&byte| byte != b'{') => "this is not a safetensors file".into(),
        Some(length) if length > have - 8 => {
            format!("the file is cut off: its header takes {length} bytes, of which {} are there", have - 8)
        }
        _ => match error {
            SafeTensorError::MetadataIncompleteBuffer => {
                "the file is cut off or has bytes that belong to nothing: its header does not match its length".into()
            }
            error => format!("the header is damaged: {error}"),
        },
    };
    format!("{name} cannot be read as safetensors: {why}")
}

#[cfg(test)]
#[path = "state_dict_tests.rs"]
mod tests;

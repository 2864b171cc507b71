//! State dict entries, and their conversion to and from safetensors files.

use std::collections::BTreeMap;

use safetensors::Dtype;
use safetensors::tensor::{SafeTensorError, TensorView};
use wgrad_core::{Array, Counter, Kind, Params, Result, Shape, Variable};

use crate::{LoadError, UnreadableFile};

/// An entry of a state dict: a variable or a counter.
pub enum StateEntry {
    /// A parameter or buffer.
    Variable(Variable),
    /// A counter, such as batch norm's `num_batches_tracked`.
    Counter(Counter),
}

impl StateEntry {
    /// Returns the shape of the entry's value; a counter is a scalar.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Variable(variable) => variable.shape().clone(),
            Self::Counter(_) => Shape::scalar(),
        }
    }
}

/// A value that was read from a file, to be assigned to a [`StateEntry`].
pub enum StateValue {
    /// A variable's value.
    Array(Array),
    /// A counter's value.
    Count(u64),
}

/// Returns the state dict of the scope `params`: a map from names, relative to the scope, to parameters, buffers
/// and counters.
///
/// The map excludes optimizer state, and counters with an `@` after the last dot of the name.
pub fn entries(params: &Params) -> BTreeMap<String, StateEntry> {
    let scope = params.path();
    let inside = |name: &str| match name.strip_prefix(scope) {
        Some(rest) if scope.is_empty() => Some(rest.to_string()),
        Some(rest) => rest.strip_prefix('.').map(str::to_string),
        None => None,
    };
    let in_model = |name: &str| !name.rsplit('.').next().unwrap_or(name).starts_with('@');
    let variables = params.variables().into_iter().filter(|variable| variable.kind() != Kind::State);
    let variables = variables.filter_map(|v| Some((inside(v.name())?, StateEntry::Variable(v))));
    let counters = params.counters().into_iter().filter(|(name, _)| in_model(name));
    variables
        .chain(counters.filter_map(|(name, counter)| Some((inside(&name)?, StateEntry::Counter(counter)))))
        .collect()
}

/// Converts a tensor that was read from a file into a value for `entry`.
///
/// # Errors
/// Returns a message if the shapes differ or the tensor's type cannot be converted.
pub fn value(entry: &StateEntry, view: &TensorView<'_>) -> Result<StateValue, String> {
    let (shape, found) = (entry.shape(), Shape::from(view.shape()));
    let counter = matches!(entry, StateEntry::Counter(_));
    // A counter may have the shape [1], because some exporters write scalars with that shape.
    if shape != found && !(counter && found.numel() == 1) {
        return Err(format!("the model has {shape}, the file {found}"));
    }
    let bytes = view.data();
    let array = match (counter, view.dtype()) {
        (true, Dtype::I64) => {
            let count = i64::from_le_bytes(bytes.try_into().map_err(|_| "not one number".to_string())?);
            return u64::try_from(count).map(StateValue::Count).map_err(|_| format!("a count cannot be {count}"));
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
    array.map(StateValue::Array).map_err(|error| error.to_string())
}

/// Splits `bytes` into words of `N` bytes and converts each word with `from`.
pub fn words<const N: usize, T>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&word| from(word)).collect()
}

/// Converts an IEEE half-precision float (1 sign bit, 5 exponent bits, 10 mantissa bits) to `f32` exactly.
pub(crate) fn from_half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    match exponent {
        0 => sign * mantissa * 2f32.powi(-24),
        31 if mantissa == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1024.0 + mantissa) * 2f32.powi(exponent - 25),
    }
}

/// Returns the error about a file that is not a safetensors file, with the most likely reason.
pub fn unreadable(file: &str, bytes: &[u8], error: &SafeTensorError) -> LoadError {
    let header = bytes.first_chunk().map(|&length| u64::from_le_bytes(length));
    let have = bytes.len() as u64;
    let problem = match header {
        _ if bytes.is_empty() => UnreadableFile::Empty,
        _ if bytes.starts_with(b"PK\x03\x04") => UnreadableFile::Zip,
        _ if bytes.starts_with(b"\x80\x02") => UnreadableFile::Pickle,
        None => UnreadableFile::TooShort,
        // A safetensors header is JSON, so its first byte is a brace.
        Some(_) if bytes.get(8).is_some_and(|&byte| byte != b'{') => UnreadableFile::OtherFormat,
        Some(length) if length > have - 8 => UnreadableFile::HeaderCutOff { length, present: have - 8 },
        _ => match error {
            SafeTensorError::MetadataIncompleteBuffer => UnreadableFile::Length,
            error => UnreadableFile::Header { message: error.to_string() },
        },
    };
    LoadError::Unreadable { file: file.into(), problem }
}

/// Assigns `value` to `entry`.
///
/// # Errors
/// Returns an error if the shapes differ.
///
/// # Panics
/// Panics if a variable is paired with a count, or a counter with an array.
pub fn set(entry: StateEntry, value: StateValue) -> Result<()> {
    match (entry, value) {
        (StateEntry::Variable(variable), StateValue::Array(array)) => Variable::set(&variable, Array::clone(&array)),
        (StateEntry::Counter(counter), StateValue::Count(count)) => {
            Counter::set(&counter, count);
            Ok(())
        }
        _ => unreachable!("`value` converts to the kind of the entry"),
    }
}

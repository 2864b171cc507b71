//! The model as a safetensors file, under PyTorch's names.

#[cfg(not(target_arch = "wasm32"))]
use std::path::Path;

use safetensors::tensor::{SafeTensorError, TensorView};
use safetensors::{Dtype, serialize};
use wgrad_core::{Error, Params, Result};

use crate::entries::{Entry, entries};
use crate::{Load, LoadError, LoadReport};

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
            .map_err(|source| LoadError::NotWritten { source }.into())
    }

    fn load_safetensors(&self, name: &str, bytes: &[u8]) -> Result<()> {
        Load::from_bytes(name, bytes).apply(self).map(|_| ())
    }

    fn load_safetensors_partial(&self, name: &str, bytes: &[u8]) -> Result<LoadReport> {
        Load::from_bytes(name, bytes).strict(false).skip_misfits(true).apply(self)
    }
}

#[cfg(test)]
#[path = "state_dict_tests.rs"]
mod tests;

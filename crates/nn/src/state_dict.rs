//! State dicts: a model's parameters, buffers and counters in safetensors files, with PyTorch's names.

#[cfg(not(target_arch = "wasm32"))]
use std::path::Path;

use safetensors::tensor::{SafeTensorError, TensorView};
use safetensors::{Dtype, serialize};
use wgrad_core::{Error, Params, Result};

use crate::entries::{StateEntry, entries};
use crate::{Load, LoadError, LoadReport};

/// Saves and loads parameters, buffers and counters as safetensors files; PyTorch's `state_dict` and
/// `load_state_dict`.
///
/// Called on a scope such as `params.at("encoder")`, the functions save and load only the entries inside the
/// scope, with names relative to the scope. Optimizer state, and counters with an `@` after the last dot of the
/// name, are not included.
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
    /// Writes a safetensors file: variables as `F32`, counters as `I64`.
    ///
    /// Equal values result in equal bytes. The file is replaced atomically: it appears only when it is complete.
    ///
    /// # Errors
    /// Returns an error if a session has newer values than the host (to avoid this, call `session.sync()` first),
    /// or if the file cannot be written.
    #[cfg(not(target_arch = "wasm32"))]
    fn save(&self, path: impl AsRef<Path>) -> Result<()>;

    /// Loads a safetensors file that has exactly the model's names and shapes.
    ///
    /// To rename or skip entries, or to allow missing entries, use [`Load`].
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is not a safetensors file, or if names, shapes or types
    /// differ. The error message lists all differences, and the model is unchanged.
    #[cfg(not(target_arch = "wasm32"))]
    fn load(&self, path: impl AsRef<Path>) -> Result<()>;

    /// Loads the entries of a safetensors file whose name, shape and type match the model's, and reports all
    /// others.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is not a safetensors file.
    #[cfg(not(target_arch = "wasm32"))]
    fn load_partial(&self, path: impl AsRef<Path>) -> Result<LoadReport>;

    /// Returns the bytes that [`Self::save`] writes.
    ///
    /// # Errors
    /// Returns an error if a session has newer values than the host.
    fn to_safetensors(&self) -> Result<Vec<u8>>;

    /// Performs [`Self::load`] with `bytes`, the contents of a safetensors file; messages call the file `name`.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Self::load`].
    fn load_safetensors(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// Performs [`Self::load_partial`] with `bytes`, the contents of a safetensors file; messages call the file
    /// `name`.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Self::load_partial`].
    fn load_safetensors_partial(&self, name: &str, bytes: &[u8]) -> Result<LoadReport>;
}

impl StateDict for Params {
    #[cfg(not(target_arch = "wasm32"))]
    fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        crate::write::atomic(path, &self.to_safetensors()?).map_err(Error::io(path))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn load(&self, path: impl AsRef<Path>) -> Result<()> {
        Load::from(path).apply(self).map(|_| ())
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn load_partial(&self, path: impl AsRef<Path>) -> Result<LoadReport> {
        Load::from(path).strict(false).skip_mismatched(true).apply(self)
    }

    fn to_safetensors(&self) -> Result<Vec<u8>> {
        let mut tensors = vec![];
        for (name, entry) in entries(self) {
            let (dtype, bytes): (_, Vec<u8>) = match &entry {
                StateEntry::Variable(variable) => {
                    (Dtype::F32, variable.value()?.to_f32().iter().flat_map(|value| value.to_le_bytes()).collect())
                }
                StateEntry::Counter(counter) => (Dtype::I64, counter.get().cast_signed().to_le_bytes().to_vec()),
            };
            tensors.push((name, dtype, entry.shape().dims().to_vec(), bytes));
        }
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, SafeTensorError>>();
        // This is the metadata that PyTorch's own writer adds. It has only one key, so the order of the hash map
        // does not matter.
        let metadata = [("format".to_string(), "pt".to_string())].into();
        views
            .and_then(|views| serialize(views, Some(metadata)))
            .map_err(|source| LoadError::NotWritten { source }.into())
    }

    fn load_safetensors(&self, name: &str, bytes: &[u8]) -> Result<()> {
        Load::from_bytes(name, bytes).apply(self).map(|_| ())
    }

    fn load_safetensors_partial(&self, name: &str, bytes: &[u8]) -> Result<LoadReport> {
        Load::from_bytes(name, bytes).strict(false).skip_mismatched(true).apply(self)
    }
}

#[cfg(test)]
#[path = "state_dict_tests.rs"]
mod tests;

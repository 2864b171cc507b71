//! Storage of a dataset's features, in memory or on disk.

use std::sync::Arc;

use wgrad_core::{Array, Result};

use crate::scratch::Scratch;

/// Features of a dataset's rows, in memory or in a temporary file.
#[derive(Clone, Debug)]
pub(crate) enum Features {
    /// Array `f32[rows, features]`, which clones share.
    Memory(Arc<Array>),
    /// All rows of a temporary file, or only those listed in `rows`.
    Disk { scratch: Arc<Scratch>, rows: Option<Arc<[u32]>> },
}

impl PartialEq for Features {
    /// Compares the values of features in memory; for features on disk, compares the file and the row numbers.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Memory(a), Self::Memory(b)) => a == b,
            (Self::Disk { scratch: a, rows: x }, Self::Disk { scratch: b, rows: y }) => Arc::ptr_eq(a, b) && x == y,
            _ => false,
        }
    }
}

impl Features {
    pub(crate) fn in_memory(x: Array) -> Self {
        Self::Memory(Arc::new(x))
    }

    pub(crate) fn on_disk(scratch: Scratch) -> Self {
        Self::Disk { scratch: Arc::new(scratch), rows: None }
    }

    /// Appends the features of some rows, which must exist, to `values`.
    pub(crate) fn gather(&self, rows: &[u32], width: usize, values: &mut Vec<f32>) -> Result<()> {
        match self {
            Self::Memory(array) => {
                let x = array.as_slice::<f32>().unwrap_or_default();
                for &row in rows {
                    values.extend_from_slice(&x[row as usize * width..][..width]);
                }
            }
            Self::Disk { scratch, rows: subset } => {
                let real = |row: u32| subset.as_ref().map_or(row, |subset| subset[row as usize]);
                // Reads each run of consecutive rows at once.
                for run in rows.chunk_by(|&a, &b| real(a).checked_add(1) == Some(real(b))) {
                    let start = values.len();
                    values.resize(start + run.len() * width, 0.0);
                    scratch.read(u64::from(real(run[0])) * width as u64, &mut values[start..])?;
                }
            }
        }
        Ok(())
    }

    /// Returns the features of the given rows, which must exist, in the given order.
    pub(crate) fn subset(&self, rows: &[u32], width: usize) -> Result<Self> {
        match self {
            Self::Memory(_) => {
                let mut x = Vec::with_capacity(rows.len() * width);
                self.gather(rows, width, &mut x)?;
                Ok(Self::in_memory(Array::new([rows.len(), width], x)?))
            }
            Self::Disk { scratch, rows: subset } => {
                let real = |&row: &u32| subset.as_ref().map_or(row, |subset| subset[row as usize]);
                Ok(Self::Disk { scratch: Arc::clone(scratch), rows: Some(rows.iter().map(real).collect()) })
            }
        }
    }
}

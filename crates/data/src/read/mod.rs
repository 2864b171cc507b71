//! From a file of rows to a [`Table`]: CSV, Parquet and Arrow.

#[cfg(feature = "arrow")]
mod arrow;
mod assemble;
mod build;
mod csv;
mod format;
mod names;
mod source;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use wgrad_core::{Error, Result};

use crate::error::{ColumnarError, ColumnarFormat, DataError};
use crate::path::explain;
use crate::scratch::Scratch;
use crate::table::Table;

impl Table {
    /// Reads a file of rows: CSV, and with the feature `arrow` Parquet and Arrow, told apart by their first bytes.
    ///
    /// # Errors
    /// As [`Table::read_csv`]; when the file is damaged, has a column of a type that is no number, text or time, or needs
    /// the feature `arrow`.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        open(path.as_ref(), false, false)
    }

    /// As [`Table::read`], with numbers and the rows of datasets in temporary files: see [`Table::scan_csv`].
    ///
    /// # Errors
    /// As [`Table::read`], and when a temporary file cannot be written.
    pub fn scan(path: impl AsRef<Path>) -> Result<Self> {
        open(path.as_ref(), true, false)
    }

    /// Reads a CSV file.
    ///
    /// # Errors
    /// When the file cannot be read, is not UTF-8, is empty or has a header only; when a column has no name or two have
    /// the same; when a row has more or fewer fields than the header.
    pub fn read_csv(path: impl AsRef<Path>) -> Result<Self> {
        open(path.as_ref(), false, true)
    }

    /// Reads a CSV file that is too large for memory: numbers go into a temporary file, and so do the rows of every
    /// [`Dataset`](crate::Dataset) made of it, from where a trainer reads them batch by batch. The results are the same
    /// bits as with [`Table::read_csv`].
    ///
    /// What stays in memory is some 20 bytes per row for labels and orders, and 4 bytes per cell of text. The temporary
    /// files take 8 bytes per number and 4 per feature of a row; they are in the folder that `TMPDIR` names, which should
    /// not be one that is in memory, and are gone when the table and its datasets are dropped, or the process ends.
    ///
    /// ```
    /// use wgrad_data::{Seed, Table};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("tumours.csv");
    /// # std::fs::write(&path, "a,y\n1,0\n2,0\n3,1\n4,1\n").unwrap();
    /// let (train, test) = Table::scan_csv(&path)?.target("y")?.split(0.5, Seed(7))?;
    /// assert!(train.is_on_disk() && train.rows() == 2);
    /// assert_eq!(train.gather(&[0])?, [Table::read_csv(&path)?.target("y")?.split(0.5, Seed(7))?.0.x()[0]]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Table::read_csv`], and when the temporary file cannot be written.
    pub fn scan_csv(path: impl AsRef<Path>) -> Result<Self> {
        open(path.as_ref(), true, true)
    }

    /// Reads CSV text that is in memory already, as in a browser; `file` is what messages call it.
    ///
    /// # Errors
    /// As [`Table::read_csv`].
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        csv::read(file, || Ok(bytes), None)
    }
}

/// A file, which may have to be CSV; with `spill`, its numbers go into a temporary file.
fn open(path: &Path, spill: bool, csv: bool) -> Result<Table> {
    let name = path.display().to_string();
    let failed = |error| Error::io(path)(explain(path, error));
    let spill = spill.then(Scratch::new).transpose()?.map(Arc::new);
    // What is no plain file, such as a pipe, can be read only once.
    if std::fs::metadata(path).map_err(failed)?.is_file() {
        let mut head = vec![];
        File::open(path).and_then(|file| file.take(8).read_to_end(&mut head)).map_err(failed)?;
        match format::detect(&head) {
            None => {}
            Some(format) if csv => {
                return Err(DataError::Columnar { file: name, error: ColumnarError::NotCsv { format } }.into());
            }
            Some(format) => return typed(path, format, spill.as_ref()),
        }
        return csv::read(&name, || File::open(path).map_err(failed), spill.as_ref());
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    csv::read(&name, || Ok(&bytes[..]), spill.as_ref())
}

/// A file whose columns have types.
#[cfg(feature = "arrow")]
fn typed(path: &Path, format: ColumnarFormat, spill: Option<&Arc<Scratch>>) -> Result<Table> {
    arrow::read(path, format, |column, columns| build::Builder::new(crate::table::Blocks::on(spill, column, columns)))
}

#[cfg(not(feature = "arrow"))]
fn typed(path: &Path, format: ColumnarFormat, _: Option<&Arc<Scratch>>) -> Result<Table> {
    let error = ColumnarError::NoReader { format };
    Err(DataError::Columnar { file: path.display().to_string(), error }.into())
}

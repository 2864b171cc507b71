//! Readers of tables from CSV, Parquet and Arrow files.

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
    /// Reads a table from a CSV file or, with the feature `arrow`, a Parquet or Arrow file. The first bytes
    /// determine the format.
    ///
    /// # Errors
    /// The same as for [`Table::read_csv`]; also when the file is damaged, has a column of an unsupported type, or
    /// needs the feature `arrow`.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        open(path.as_ref(), false, false)
    }

    /// Reads a table as [`Table::read`] does, but keeps numbers and datasets in temporary files; see
    /// [`Table::scan_csv`].
    ///
    /// # Errors
    /// The same as for [`Table::read`], and when a temporary file cannot be written.
    pub fn scan(path: impl AsRef<Path>) -> Result<Self> {
        open(path.as_ref(), true, false)
    }

    /// Reads a CSV file.
    ///
    /// # Errors
    /// When the file cannot be read, is not UTF-8, is empty or has only a header; when a column has no name, or
    /// two columns have the same name; when a row has more or fewer fields than the header.
    pub fn read_csv(path: impl AsRef<Path>) -> Result<Self> {
        open(path.as_ref(), false, true)
    }

    /// Reads a CSV file that is too large for memory. Numbers are kept in a temporary file, and so are the
    /// features of every [`Dataset`](crate::Dataset) created from the table; a trainer reads them one batch at a
    /// time. The results are bit-identical to those with [`Table::read_csv`].
    ///
    /// About 20 bytes per row (for labels and row orders) and 4 bytes per text cell stay in memory. The temporary
    /// files take 8 bytes per number in the table and 4 bytes per feature in a row of a dataset. They are in the
    /// folder that the environment variable `TMPDIR` names, which should be on disk, and are deleted when the
    /// table and its datasets are dropped or the process ends.
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
    /// The same as for [`Table::read_csv`], and when the temporary file cannot be written.
    pub fn scan_csv(path: impl AsRef<Path>) -> Result<Self> {
        open(path.as_ref(), true, true)
    }

    /// Reads CSV text from memory, for instance in a browser; `file` is the file name shown in messages.
    ///
    /// # Errors
    /// The same as for [`Table::read_csv`].
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        csv::read(file, || Ok(bytes), None)
    }
}

/// Reads a file, which must be CSV if `csv` is true. If `spill` is true, its numbers are kept in a temporary file.
fn open(path: &Path, spill: bool, csv: bool) -> Result<Table> {
    let name = path.display().to_string();
    let failed = |error| Error::io(path)(explain(path, error));
    let spill = spill.then(Scratch::new).transpose()?.map(Arc::new);
    // A pipe or another special file can be read only once, so its first bytes are not examined.
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

/// Reads a file with typed columns.
#[cfg(feature = "arrow")]
fn typed(path: &Path, format: ColumnarFormat, spill: Option<&Arc<Scratch>>) -> Result<Table> {
    arrow::read(path, format, |column, columns| build::Builder::new(crate::table::Blocks::on(spill, column, columns)))
}

#[cfg(not(feature = "arrow"))]
fn typed(path: &Path, format: ColumnarFormat, _: Option<&Arc<Scratch>>) -> Result<Table> {
    let error = ColumnarError::NoReader { format };
    Err(DataError::Columnar { file: path.display().to_string(), error }.into())
}

//! Array files: NumPy's `.npy` and `.npz` formats, and IDX, the format of MNIST.

mod header;
mod idx;
mod npy;
mod number;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use wgrad_core::{Array, Data, Error, Result};

use crate::Dataset;
use crate::error::{ArrayFileError, DataError, DatasetError};
use crate::path::explain;

/// Opens a file; returns an error if the path is a folder.
fn open(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path).and_then(|file| {
        if file.metadata()?.is_dir() { Err(std::io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
    });
    Ok(BufReader::new(file.map_err(|error| Error::io(path)(explain(path, error)))?))
}

/// Returns an error about an array file or about one array in the file.
fn failure(path: &Path, array: Option<String>, error: ArrayFileError) -> Error {
    DataError::ArrayFile { path: path.into(), array, error }.into()
}

/// Reads a NumPy array from a file written with `numpy.save`.
///
/// 16-bit and 32-bit floats become `f32`, 64-bit floats `f64`. Booleans and integers become `u32` if all values
/// fit, else `f64`. Both byte orders are supported.
///
/// # Errors
/// When the file cannot be read, is damaged or truncated, or does not contain an array of real numbers in C order.
/// Python objects, texts, records, complex numbers and Fortran order are rejected with a message that explains how
/// to convert them.
pub fn read_npy(path: impl AsRef<Path>) -> Result<Array> {
    let path = path.as_ref();
    npy::read(open(path)?).map_err(|error| failure(path, None, error))
}

/// Reads all arrays of a `.npz` file written with `numpy.savez` or `numpy.savez_compressed`; returns a map from
/// the name of each array to the array.
///
/// ```no_run
/// use wgrad_data::{Dataset, read_npz};
/// // numpy.savez("digits.npz", x=x, y=y)
/// let arrays = read_npz("digits.npz")?;
/// let data = Dataset::from_arrays(&arrays["x"], &arrays["y"])?;
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// The same as for [`read_npy`], for any of the arrays. Files in the archive that are not `.npy` files are
/// skipped.
pub fn read_npz(path: impl AsRef<Path>) -> Result<BTreeMap<String, Array>> {
    let path = path.as_ref();
    let damaged =
        |error: zip::result::ZipError| failure(path, None, ArrayFileError::NotNpz { reason: error.to_string() });
    let mut archive = zip::ZipArchive::new(open(path)?).map_err(damaged)?;
    let mut arrays = BTreeMap::new();
    for at in 0..archive.len() {
        let member = archive.by_index(at).map_err(damaged)?;
        let Some(name) = member.name().strip_suffix(".npy").map(String::from) else { continue };
        let array = npy::read(member).map_err(|error| failure(path, Some(name.clone()), error))?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

/// Reads an IDX file, the format of MNIST, with or without gzip compression. Number types are converted as in
/// [`read_npy`].
///
/// # Errors
/// When the file cannot be read, is damaged or truncated, or is not an IDX file.
pub fn read_idx(path: impl AsRef<Path>) -> Result<Array> {
    let path = path.as_ref();
    let mut file = open(path)?;
    let mut head = vec![];
    file.by_ref().take(2).read_to_end(&mut head).map_err(Error::io(path))?;
    let packed = head == [0x1f, 0x8b];
    let whole = std::io::Cursor::new(head).chain(file);
    let array = if packed { idx::read(flate2::read::GzDecoder::new(whole)) } else { idx::read(whole) };
    array.map_err(|error| failure(path, None, error))
}

impl Dataset {
    /// Creates a dataset from arrays: `x[i]`, flattened in row-major order, contains the features of row `i`, and
    /// `y[i]` is the label of row `i`. Classes are the distinct labels, sorted as numbers. Features are named
    /// `x0`, `x1`, ….
    ///
    /// ```
    /// use wgrad_core::Array;
    /// use wgrad_data::Dataset;
    /// let x = Array::new([2, 1, 3], vec![0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0])?;
    /// let data = Dataset::from_arrays(&x, &Array::vector(vec![7u32, 4]))?;
    /// assert_eq!((data.rows(), data.features(), data.y()), (2, 3, &[1, 0][..]));
    /// assert_eq!(data.classes(), ["4", "7"]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When `y` is not a vector with one label per row of `x`, there are no rows, a value is not finite, or the
    /// labels look like a quantity instead of classes.
    pub fn from_arrays(x: &Array, y: &Array) -> Result<Self> {
        let (dims, labels) = (x.shape().dims(), y.shape());
        let Some((&rows, features)) = dims.split_first().filter(|(rows, _)| labels.dims() == [**rows]) else {
            return Err(DatasetError::LabelShape { x: x.shape().clone(), y: labels.clone() }.into());
        };
        let features: usize = features.iter().product();
        let labels: Vec<f64> = y.to_f64().into_iter().map(|label| label + 0.0).collect();
        if let Some(row) = labels.iter().position(|label| !label.is_finite()) {
            return Err(DatasetError::Label { row, label: labels[row] }.into());
        }
        let mut classes = labels.clone();
        classes.sort_unstable_by(f64::total_cmp);
        classes.dedup();
        if classes.len() * 2 > rows && classes.len() > 20 {
            return Err(DatasetError::Quantity { distinct: classes.len(), rows }.into());
        }
        let class = |label: &f64| u32::try_from(classes.partition_point(|class| class < label)).unwrap_or(u32::MAX);
        let y = labels.iter().map(class).collect();
        Self::new((0..features).map(|i| format!("x{i}")), x.to_f32(), y, classes.iter().map(ToString::to_string))
    }

    /// Creates a dataset from two arrays of a `.npz` file; see [`read_npz`] and [`Self::from_arrays`].
    ///
    /// # Errors
    /// The same as for these two functions, and when an array does not exist; the message then lists the arrays of
    /// the file.
    pub fn from_npz(path: impl AsRef<Path>, x: &str, y: &str) -> Result<Self> {
        let path = path.as_ref();
        let arrays = read_npz(path)?;
        let array = |name: &str| {
            let names = || arrays.keys().cloned().collect();
            let missing = || ArrayFileError::NoArray { name: name.to_string(), arrays: names() };
            arrays.get(name).ok_or_else(|| failure(path, None, missing()))
        };
        Self::from_arrays(array(x)?, array(y)?)
    }

    /// Creates a dataset from two `.npy` files; see [`read_npy`] and [`Self::from_arrays`].
    ///
    /// # Errors
    /// The same as for these two functions.
    pub fn from_npy(x: impl AsRef<Path>, y: impl AsRef<Path>) -> Result<Self> {
        Self::from_arrays(&read_npy(x)?, &read_npy(y)?)
    }

    /// Creates a dataset from two IDX files, such as MNIST's images and labels; integer pixel values are divided
    /// by 255. See [`read_idx`] and [`Self::from_arrays`].
    ///
    /// # Errors
    /// The same as for these two functions.
    pub fn from_idx(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<Self> {
        let (x, y) = (read_idx(images)?, read_idx(labels)?);
        let x = match x.data() {
            Data::U32(_) => Array::new(x.shape().dims(), x.to_f32().into_iter().map(|byte| byte / 255.0).collect())?,
            _ => x,
        };
        Self::from_arrays(&x, &y)
    }
}

#[cfg(test)]
mod tests;

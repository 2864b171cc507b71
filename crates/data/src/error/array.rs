//! Errors of files of arrays.

use wgrad_core::text::{did_you_mean, list};

/// Problem of a `.npy`, `.npz` or IDX file, for [`DataError::ArrayFile`](super::DataError::ArrayFile).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArrayFileError {
    /// The file does not begin as a `.npy` file.
    NotNpy,
    /// The file does not begin as an IDX file.
    NotIdx {
        /// The first four bytes.
        magic: [u8; 4],
    },
    /// The file is no zip archive, or a damaged one.
    NotNpz {
        /// The message of the reader.
        reason: String,
    },
    /// A `.npy` file of a version that is not supported.
    NpyVersion {
        /// The major version.
        version: u8,
    },
    /// A header that is longer than any header of an array of numbers.
    HeaderLength {
        /// The length in bytes.
        length: usize,
        /// The longest header that is read.
        limit: usize,
    },
    /// The file ends in its header.
    HeaderCutOff,
    /// The header cannot be read from disk.
    HeaderUnreadable {
        /// The message of the system.
        reason: String,
    },
    /// A header that is not text.
    HeaderNotText,
    /// A header without a key.
    HeaderKey {
        /// The key.
        key: String,
        /// The header.
        header: String,
    },
    /// A header whose shape is no tuple.
    HeaderShape {
        /// The header.
        header: String,
    },
    /// A shape whose sizes are not numbers.
    ShapeSizes {
        /// The text between the parentheses.
        sizes: String,
    },
    /// An array of records.
    Records,
    /// An array in Fortran order.
    FortranOrder,
    /// An array of something else than real numbers.
    Dtype {
        /// NumPy's code of the type, such as `<U2`.
        code: String,
        /// The kind of the type.
        dtype: Dtype,
    },
    /// A shape with more numbers than an array can have.
    TooLarge {
        /// The shape.
        shape: Vec<usize>,
    },
    /// The numbers cannot be read from disk or from the archive.
    Unreadable {
        /// The message of the system.
        reason: String,
    },
    /// The file holds fewer or more bytes than its header says.
    Length {
        /// The shape.
        shape: Vec<usize>,
        /// The number of bytes of a number.
        size: usize,
        /// The number of bytes of all numbers.
        expected: usize,
        /// The number of bytes in the file; none if there are more than expected.
        found: Option<usize>,
    },
    /// The numbers do not make an array.
    Array {
        /// The message.
        reason: String,
    },
    /// A `.npz` file without an array that was asked for.
    NoArray {
        /// The name.
        name: String,
        /// The names of the arrays in the file.
        arrays: Vec<String>,
    },
}

/// Type of a NumPy array that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Pickled Python objects.
    Objects,
    /// Texts.
    Texts,
    /// Complex numbers.
    Complex,
    /// Dates or durations.
    Times,
    /// Any other type.
    Unknown,
}

impl ArrayFileError {
    pub(super) fn message(&self) -> String {
        let sizes = |shape: &[usize]| shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ");
        match self {
            Self::NotNpy => "this is no .npy file: it does not begin as one. Write it with numpy.save.".into(),
            Self::NotIdx { magic } => {
                format!("this is no IDX file: it begins with the bytes {magic:02x?}, not with two zeros and a type")
            }
            Self::NotNpz { reason } => format!("this is no whole .npz file: {reason}"),
            Self::NpyVersion { version } => {
                format!("the .npy file is of version {version}, and versions 1 to 3 are understood")
            }
            Self::HeaderLength { length, limit } => {
                format!("the header is {length} bytes long, and no array of numbers needs more than {limit}")
            }
            Self::HeaderCutOff => "the file is cut off in its header".into(),
            Self::HeaderUnreadable { reason } => format!("the header cannot be read: {reason}"),
            Self::HeaderNotText => "the header is not text".into(),
            Self::HeaderKey { key, header } => format!("the header has no `{key}`: {header}"),
            Self::HeaderShape { header } => format!("the header has no shape: {header}"),
            Self::ShapeSizes { sizes } => format!("the shape `({sizes})` is no list of sizes"),
            Self::Records => "the array is one of records, not of numbers. Write its fields as arrays of their own, \
                              with numpy.savez(…, name=array[\"name\"])."
                .into(),
            Self::FortranOrder => "the array is in Fortran order, column by column. Write it with numpy.save(…, \
                                   numpy.ascontiguousarray(array))."
                .into(),
            Self::Dtype { code, dtype } => {
                let what = match dtype {
                    Dtype::Objects => "holds Python objects (pickled), which could be any program".into(),
                    Dtype::Texts => format!("holds texts (`{code}`)"),
                    Dtype::Complex => format!("holds complex numbers (`{code}`)"),
                    Dtype::Times => format!("holds dates or times (`{code}`)"),
                    Dtype::Unknown => format!("is of type `{code}`, which is not understood"),
                };
                format!("the array {what}. Write numbers, with numpy.save(…, array.astype(numpy.float32)).")
            }
            Self::TooLarge { shape } => {
                format!("the header says {} numbers, more than there can be", sizes(shape))
            }
            Self::Unreadable { reason } => format!("the numbers cannot be read: {reason}"),
            Self::Length { shape, size, expected, found } => {
                let (what, found) = match found {
                    Some(found) => ("the file is cut off", found.to_string()),
                    None => ("there is more in the file", "more".into()),
                };
                format!("{what}: {} numbers of {size} take {expected} bytes, and {found} are there", sizes(shape))
            }
            Self::Array { reason } => reason.clone(),
            Self::NoArray { name, arrays } => {
                format!("there is no array `{name}`.{} The arrays are {}.", did_you_mean(name, arrays), list(arrays))
            }
        }
    }
}

//! Errors in array files.

use wgrad_core::text::{did_you_mean, list};

/// Problem in a `.npy`, `.npz` or IDX file, for [`DataError::ArrayFile`](super::DataError::ArrayFile).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArrayFileError {
    /// The file does not start with the signature of a `.npy` file.
    NotNpy,
    /// The file does not start with the signature of an IDX file.
    NotIdx {
        /// The first four bytes.
        magic: [u8; 4],
    },
    /// The file is not a zip archive, or is a damaged one.
    NotNpz {
        /// The error message of the zip reader.
        reason: String,
    },
    /// The file has a version of the `.npy` format that is not supported.
    NpyVersion {
        /// The major version number.
        version: u8,
    },
    /// The header is longer than any header of an array of numbers.
    HeaderLength {
        /// The length of the header in bytes.
        length: usize,
        /// The maximum length of a header in bytes.
        limit: usize,
    },
    /// The file ends inside its header.
    HeaderCutOff,
    /// The header cannot be read from disk.
    HeaderUnreadable {
        /// The error message of the operating system.
        reason: String,
    },
    /// The header is not text.
    HeaderNotText,
    /// The header lacks a required key.
    HeaderKey {
        /// The missing key.
        key: String,
        /// The text of the header.
        header: String,
    },
    /// The shape in the header is not a tuple.
    HeaderShape {
        /// The text of the header.
        header: String,
    },
    /// The sizes in the shape are not numbers.
    ShapeSizes {
        /// The text between the parentheses.
        sizes: String,
    },
    /// The array contains records.
    Records,
    /// The array is in Fortran order.
    FortranOrder,
    /// The array contains something other than real numbers.
    Dtype {
        /// NumPy's code of the type, such as `<U2`.
        code: String,
        /// The element type that the code stands for.
        dtype: Dtype,
    },
    /// The shape has more elements than an array can have.
    TooLarge {
        /// The shape.
        shape: Vec<usize>,
    },
    /// The numbers cannot be read from disk or from the archive.
    Unreadable {
        /// The error message of the operating system.
        reason: String,
    },
    /// The file contains fewer or more bytes than its header requires.
    Length {
        /// The shape in the header.
        shape: Vec<usize>,
        /// The number of bytes per number.
        size: usize,
        /// The number of bytes that all numbers need.
        expected: usize,
        /// The number of bytes in the file; `None` if there are more than expected.
        found: Option<usize>,
    },
    /// The numbers cannot be turned into an array.
    Array {
        /// The error message.
        reason: String,
    },
    /// The `.npz` file does not contain the requested array.
    NoArray {
        /// The requested name.
        name: String,
        /// The names of the arrays in the file.
        arrays: Vec<String>,
    },
}

/// Element type of a NumPy array that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Pickled Python objects.
    Objects,
    /// Text.
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
            Self::NotNpy => "this is not a .npy file: it does not begin like one. Write it with numpy.save.".into(),
            Self::NotIdx { magic } => {
                format!("this is not an IDX file: it begins with the bytes {magic:02x?}, not with two zeros and a type")
            }
            Self::NotNpz { reason } => format!("this is not a complete .npz file: {reason}"),
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
            Self::ShapeSizes { sizes } => format!("the shape `({sizes})` is not a list of sizes"),
            Self::Records => "the array holds records, not numbers. Write its fields as arrays of their own, \
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
                format!("the header says {} numbers, more than an array can hold", sizes(shape))
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

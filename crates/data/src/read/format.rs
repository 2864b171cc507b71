//! Detection of file formats with typed columns.

use crate::error::ColumnarFormat;

/// Returns the format that the first bytes of a file identify; `None` for CSV.
///
/// Arrow has two formats: one for files, which starts with a magic string, and one for streams, which starts with
/// a continuation marker and a length.
pub(super) fn detect(head: &[u8]) -> Option<ColumnarFormat> {
    match head {
        [b'P', b'A', b'R', b'1' | b'E', ..] => Some(ColumnarFormat::Parquet),
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] | [0xff, 0xff, 0xff, 0xff, ..] => Some(ColumnarFormat::Arrow),
        _ => None,
    }
}

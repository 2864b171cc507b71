//! Errors of CSV text.

use wgrad_core::text::count;

/// Problem in CSV text, for [`DataError::Csv`](super::DataError::Csv).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CsvError {
    /// The file contains no lines, or only blank ones.
    Empty,
    /// The file has a header and nothing else.
    NoRows,
    /// The second pass over the file found different rows than the first.
    Changed,
    /// The file is encoded in UTF-16.
    Utf16,
    /// A record is not UTF-8.
    NotUtf8 {
        /// The line on which the record starts.
        line: u64,
    },
    /// A quote is never closed.
    OpenQuote {
        /// The line on which the record with the quote starts.
        line: u64,
    },
    /// The fields are separated with something other than commas.
    Separator {
        /// The separator: a semicolon or a tab.
        separator: char,
    },
    /// A row has a different number of fields than the header.
    FieldCount {
        /// The line on which the row starts.
        line: u64,
        /// The number of fields in the row.
        fields: usize,
        /// The number of columns in the header.
        columns: usize,
    },
    /// The CSV parser reported an error that no other variant describes.
    Parser {
        /// The error message of the parser.
        reason: String,
    },
}

impl CsvError {
    /// Returns the line that the error refers to, if there is one.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::NotUtf8 { line } | Self::OpenQuote { line } | Self::FieldCount { line, .. } => Some(*line),
            _ => None,
        }
    }

    /// Returns the message without the file name and the line.
    pub(super) fn message(&self) -> String {
        match self {
            Self::Empty => {
                "the file is empty. A line with the names of the columns and one line per row are needed.".into()
            }
            Self::NoRows => "there is a header, but no row below it.".into(),
            Self::Changed => "the file changed while it was read. Read it again.".into(),
            Self::Utf16 => "the file is in UTF-16. Save it as CSV in UTF-8.".into(),
            Self::NotUtf8 { .. } => "the text is not UTF-8. Save the file as CSV in UTF-8.".into(),
            Self::OpenQuote { .. } => "a quote is opened and never closed. Add the second one.".into(),
            Self::Separator { separator } => {
                let word = if *separator == '\t' { "tabs" } else { "semicolons" };
                format!("the fields are separated by {word}. Save the file with commas between them.")
            }
            Self::FieldCount { fields, columns, .. } => format!(
                "{} where the header names {}. A comma inside a field needs quotes around the field; a field without \
                 a value still needs its comma.",
                count(*fields, "field"),
                count(*columns, "column")
            ),
            Self::Parser { reason } => reason.clone(),
        }
    }
}

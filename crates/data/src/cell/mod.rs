//! Interpretation of a cell's text as a number, a date, a boolean or a missing value.

pub(crate) mod date;
pub(crate) mod number;

/// Returns the text of a cell without surrounding blanks. The cell must be valid UTF-8.
pub(crate) fn text(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or_default().trim()
}

/// Parses `true` or `false` in upper or lower case; returns `None` for other texts.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

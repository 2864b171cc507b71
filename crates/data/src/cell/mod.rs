//! The text of a cell: a number, a date, true or false, or nothing.

pub(crate) mod date;
pub(crate) mod number;

/// Returns the text of a cell, which is UTF-8, without surrounding blanks.
pub(crate) fn text(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or_default().trim()
}

/// Returns what a text says that is `true` or `false`, in any case of the letters.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

//! Interpretation of a cell's text: number, date, boolean or missing.

pub(crate) mod date;
pub(crate) mod number;

/// Returns the text of a cell, which is UTF-8, without surrounding blanks.
pub(crate) fn text(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or_default().trim()
}

/// Parses `true` or `false` in any letter case; none for other texts.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

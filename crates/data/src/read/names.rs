//! The names of the columns of a file.

use std::collections::HashSet;

use wgrad_core::Result;

use crate::error::{DataError, TableError};

/// Checks the names of columns: each has one, and no two the same.
pub(super) fn named<'n>(file: &str, names: impl IntoIterator<Item = &'n str>) -> Result<Vec<String>> {
    let failure = |error| Err(DataError::Table { file: file.to_string(), error }.into());
    let mut known: Vec<String> = vec![];
    let mut twice: Vec<String> = vec![];
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() {
            return failure(TableError::UnnamedColumn { column: known.len() });
        }
        if !seen.insert(name) && !twice.iter().any(|other| other == name) {
            twice.push(name.to_string());
        }
        known.push(name.to_string());
    }
    if twice.is_empty() { Ok(known) } else { failure(TableError::DuplicateColumns { names: twice }) }
}

//! Names of a file's columns.

use std::collections::HashSet;

use wgrad_core::Result;

use crate::error::{DataError, TableError};

/// Checks that every column has a name and no two columns have the same name; returns the names.
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

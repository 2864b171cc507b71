//! The names of the columns of a file.

use std::collections::HashSet;

use wgrad_core::text::list;
use wgrad_core::{Error, Result};

/// Checks the names of columns: each has one, and no two the same.
pub(super) fn named<'n>(file: &str, names: impl IntoIterator<Item = &'n str>) -> Result<Vec<String>> {
    let mut known: Vec<String> = vec![];
    let mut twice: Vec<&str> = vec![];
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() {
            return Err(Error::Data(format!(
                "{file}: column {} has no name. Name it in the first line or remove it \
                 (pandas writes the index so: save with `index=False`).",
                known.len() + 1
            )));
        }
        if !seen.insert(name) && !twice.contains(&name) {
            twice.push(name);
        }
        known.push(name.to_string());
    }
    if twice.is_empty() {
        return Ok(known);
    }
    Err(Error::Data(format!(
        "{file}: more than one column is called {}. Give each column a name of its own.",
        list(twice)
    )))
}

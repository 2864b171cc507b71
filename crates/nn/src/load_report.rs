//! Report about a load, with the outcome for each entry.

use std::fmt;

/// Result of a load: a list of entry names, in alphabetical order, for each outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Entries that were loaded from the file into the model.
    pub loaded: Vec<String>,
    /// Entries of the model that are not in the file; they keep their values.
    pub missing: Vec<String>,
    /// Entries of the file that are not in the model.
    pub unexpected: Vec<String>,
    /// Entries whose shape or type differs between model and file, each with the reason; the model's entries keep
    /// their values.
    pub mismatched: Vec<(String, String)>,
    /// Entries of the model or the file that [`Load::skip`](crate::Load::skip) excluded; the model's entries keep
    /// their values.
    pub skipped: Vec<String>,
}

impl LoadReport {
    /// Returns whether all names, shapes and types of model and file agree, except those of skipped entries.
    pub fn is_complete(&self) -> bool {
        self.differences().is_empty()
    }

    /// Returns the differences between model and file as text, one line per kind of difference.
    pub(crate) fn differences(&self) -> Vec<String> {
        let lists = [("missing from the file", &self.missing), ("not in the model", &self.unexpected)];
        let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
        let lists = lists.map(|(what, names)| format!("{what}: {}", names.join(", ")));
        lists.chain(self.mismatches()).collect()
    }

    /// Returns one line of text for each entry whose shape or type differs.
    pub(crate) fn mismatches(&self) -> impl Iterator<Item = String> {
        self.mismatched.iter().map(|(name, why)| format!("{name}: {why}"))
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.loaded.len();
        write!(f, "{count} {} loaded", if count == 1 { "tensor" } else { "tensors" })?;
        if !self.skipped.is_empty() {
            write!(f, "\n  left out: {}", self.skipped.join(", "))?;
        }
        self.differences().iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

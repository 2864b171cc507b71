//! Choices among the variants of an op's kernel.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Choice that an op made among the variants of its kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TuningChoice {
    /// The tuning key, which consists of the op's name and the sizes that its speed depends on, such as
    /// `matmul 512x1024x2048 nt`.
    pub key: String,
    /// The names of the variants that the device can run.
    pub variants: Vec<&'static str>,
    /// The index in `variants` of the chosen variant.
    pub chosen: usize,
}

impl TuningChoice {
    /// Returns the name of the chosen variant.
    pub fn variant(&self) -> &'static str {
        self.variants[self.chosen]
    }
}

/// Map from tuning keys to names of kernel variants. An op whose key has no entry uses its default variant.
///
/// The map can be saved as text, with one `key = variant` per line:
///
/// ```
/// use wgrad_core::TuningChoices;
/// let mut choices = TuningChoices::default();
/// choices.set("matmul 64x64x64 nn", "matmul_direct_8x8");
/// assert_eq!(choices.get("matmul 64x64x64 nn"), Some("matmul_direct_8x8"));
/// assert_eq!(TuningChoices::parse(&choices.to_string()), choices);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TuningChoices(Arc<BTreeMap<String, String>>);

impl TuningChoices {
    /// Returns the variant for a tuning key. If the key has no entry, the entry for the op's name alone (the first
    /// word of the key) is used.
    pub fn get(&self, key: &str) -> Option<&str> {
        let op = key.split(' ').next().unwrap_or(key);
        self.0.get(key).or_else(|| self.0.get(op)).map(String::as_str)
    }

    /// Returns whether there is an entry for exactly this key.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Sets the variant for a tuning key, or for all keys of an op if `key` is the op's name.
    pub fn set(&mut self, key: impl Into<String>, variant: impl Into<String>) {
        Arc::make_mut(&mut self.0).insert(key.into(), variant.into());
    }

    /// Returns the keys and their variants, in alphabetical order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, variant)| (key.as_str(), variant.as_str()))
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Parses text written by [`Display`](fmt::Display). Lines of any other form are skipped, because the file may
    /// be from another version.
    pub fn parse(text: &str) -> Self {
        let entry = |line: &str| line.split_once(" = ").map(|(key, variant)| (key.into(), variant.into()));
        Self(Arc::new(text.lines().filter_map(entry).collect()))
    }
}

impl<A: Into<String>, B: Into<String>> Extend<(A, B)> for TuningChoices {
    fn extend<I: IntoIterator<Item = (A, B)>>(&mut self, entries: I) {
        entries.into_iter().for_each(|(key, variant)| self.set(key, variant));
    }
}

impl fmt::Display for TuningChoices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(key, variant)| writeln!(f, "{key} = {variant}"))
    }
}

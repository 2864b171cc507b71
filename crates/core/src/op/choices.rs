//! Which variant of a kernel runs where an op has several.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// That an op chose among variants of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The op and what its speed depends on, such as `matmul 512x1024x2048 nt`.
    pub site: String,
    /// The names of the variants that the device can run.
    pub variants: Vec<&'static str>,
    /// The one that runs.
    pub chosen: usize,
}

impl Choice {
    /// The name of the variant that runs.
    pub fn variant(&self) -> &'static str {
        self.variants[self.chosen]
    }
}

/// A table of sites and the variant that runs there; what it does not name is left to the op.
///
/// Its text, one `site = variant` per line, is how it is kept between runs:
///
/// ```
/// use wgrad_core::Choices;
/// let mut choices = Choices::default();
/// choices.set("matmul 64x64x64 nn", "matmul_direct_8x8");
/// assert_eq!(choices.get("matmul 64x64x64 nn"), Some("matmul_direct_8x8"));
/// assert_eq!(Choices::parse(&choices.to_string()), choices);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Choices(Arc<BTreeMap<String, String>>);

impl Choices {
    /// The variant for a site; a row that names only the op, the first word of a site, counts for all its sites.
    pub fn get(&self, site: &str) -> Option<&str> {
        let op = site.split(' ').next().unwrap_or(site);
        self.0.get(site).or_else(|| self.0.get(op)).map(String::as_str)
    }

    /// Whether the very site has a row.
    pub fn knows(&self, site: &str) -> bool {
        self.0.contains_key(site)
    }

    /// Sets the variant of a site, or of all sites of an op.
    pub fn set(&mut self, site: impl Into<String>, variant: impl Into<String>) {
        Arc::make_mut(&mut self.0).insert(site.into(), variant.into());
    }

    /// The sites and their variants, in the order of the sites.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(site, variant)| (site.as_str(), variant.as_str()))
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads what [`Display`](fmt::Display) wrote; other lines are skipped, because a cache may be of another version.
    pub fn parse(text: &str) -> Self {
        let row = |line: &str| line.split_once(" = ").map(|(site, variant)| (site.into(), variant.into()));
        Self(Arc::new(text.lines().filter_map(row).collect()))
    }
}

impl<A: Into<String>, B: Into<String>> Extend<(A, B)> for Choices {
    fn extend<I: IntoIterator<Item = (A, B)>>(&mut self, rows: I) {
        rows.into_iter().for_each(|(site, variant)| self.set(site, variant));
    }
}

impl fmt::Display for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(site, variant)| writeln!(f, "{site} = {variant}"))
    }
}

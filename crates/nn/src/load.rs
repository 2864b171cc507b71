//! Loading of a state dict from a safetensors file into a model, with options to rename and to skip entries.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
#[cfg(not(target_arch = "wasm32"))]
use std::path::{Path, PathBuf};

use safetensors::tensor::SafeTensors;
use wgrad_core::{Error, Params, Result, Shape, nearest};

use crate::entries::{StateEntry, entries, set, unreadable, value};
use crate::{LoadError, LoadFix, LoadReport};

enum Source<'a> {
    #[cfg(not(target_arch = "wasm32"))]
    File(PathBuf),
    Bytes(String, &'a [u8]),
}

type Rename<'a> = Box<dyn Fn(&str) -> String + 'a>;

/// Builder that loads a safetensors file whose names or shapes differ from the model's; PyTorch's
/// `load_state_dict`.
///
/// Floats of 16 bits are converted to `f32`. Floats of 64 bits keep their precision on a device that computes in
/// `f64`, otherwise they are converted to `f32`. An entry `num_batches_tracked` may be missing from the file, as
/// in files of PyTorch before 0.4.1; the model then keeps its count.
///
/// ```
/// use wgrad_core::Params;
/// use wgrad_nn::{Load, StateDict, layers::Linear};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("model.safetensors");
/// // A file with a head of another size, whose names have `module.` in front: saved from a DataParallel.
/// let pretrained = Params::seeded(7);
/// let backbone = Linear::new(&pretrained.at("module.fc1"), 8, 4);
/// let _ = Linear::new(&pretrained.at("module.head"), 4, 1000);
/// pretrained.save(&path)?;
///
/// let params = Params::seeded(8);
/// let copy = Linear::new(&params.at("fc1"), 8, 4);
/// let _ = Linear::new(&params.at("head"), 4, 1);
/// let report = Load::from(&path).strip_prefix("module.").skip("head").apply(&params)?;
/// assert_eq!((report.loaded.len(), report.is_complete()), (2, true));
/// assert_eq!(copy.weight().value()?, backbone.weight().value()?);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[must_use]
pub struct Load<'a> {
    source: Source<'a>,
    renames: Vec<Rename<'a>>,
    skips: Vec<String>,
    strict: bool,
    skip_mismatched: bool,
}

impl fmt::Debug for Load<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.source.name();
        write!(f, "Load({name}, strict: {}, without {:?}, ", self.strict, self.skips)?;
        write!(f, "{} renamings, skip_mismatched: {})", self.renames.len(), self.skip_mismatched)
    }
}

impl Source<'_> {
    fn name(&self) -> String {
        match self {
            #[cfg(not(target_arch = "wasm32"))]
            Self::File(path) => path.display().to_string(),
            Self::Bytes(name, _) => name.clone(),
        }
    }
}

impl<'a> Load<'a> {
    fn new(source: Source<'a>) -> Self {
        Self { source, renames: vec![], skips: vec![], strict: true, skip_mismatched: false }
    }

    /// Creates a builder that loads the safetensors file at `path`. [`Self::apply`] reads the file.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn from(path: impl AsRef<Path>) -> Self {
        Self::new(Source::File(path.as_ref().into()))
    }

    /// Creates a builder that loads `bytes`, the contents of a safetensors file; messages call the file `name`.
    pub fn from_bytes(name: impl Into<String>, bytes: &'a [u8]) -> Self {
        Self::new(Source::Bytes(name.into(), bytes))
    }

    /// If `true`, [`Self::apply`] returns an error if a name is only in the model or only in the file; if `false`,
    /// it lists such names in the report. Default: `true`.
    ///
    /// If a shape or a type differs, `apply` returns an error in both cases, as in PyTorch, unless
    /// [`Self::skip_mismatched`] is set.
    pub fn strict(self, strict: bool) -> Self {
        Self { strict, ..self }
    }

    /// If `true`, entries whose shape or type differs keep the model's value, and [`Self::apply`] lists them in
    /// the report instead of returning an error. Default: `false`.
    pub fn skip_mismatched(self, skip: bool) -> Self {
        Self { skip_mismatched: skip, ..self }
    }

    /// Renames each entry of the file with the function `rename`. Several functions are applied in the order of
    /// the calls.
    ///
    /// ```
    /// # use wgrad_nn::Load;
    /// let load = Load::from("encoder.safetensors").rename(|name| name.replace("gamma", "weight").replace("beta", "bias"));
    /// ```
    pub fn rename(mut self, rename: impl Fn(&str) -> String + 'a) -> Self {
        self.renames.push(Box::new(rename));
        self
    }

    /// Removes `prefix` from the file's names that begin with it. PyTorch's `DataParallel` adds the prefix
    /// `module.`, `torch.compile` adds `_orig_mod.`.
    pub fn strip_prefix(self, prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        self.rename(move |name| name.strip_prefix(&prefix).unwrap_or(name).to_string())
    }

    /// Skips the entry `scope`, or all entries inside that scope, in the file and in the model, for example
    /// because a head is trained from scratch. The file's names are compared after [`Self::rename`].
    pub fn skip(mut self, scope: impl Into<String>) -> Self {
        self.skips.push(scope.into());
        self
    }

    /// Loads the file into the variables inside `params`, and reports which entries were loaded and which were
    /// not.
    ///
    /// # Errors
    /// Changes nothing and returns an error, which lists all differences, if
    ///
    /// - the file cannot be read or is not a safetensors file;
    /// - a name is missing or unexpected, and the load is strict;
    /// - a shape or type differs, unless [`Self::skip_mismatched`] is set;
    /// - two entries of the file are renamed to the same name;
    /// - a skipped scope has no entries.
    pub fn apply(&self, params: &Params) -> Result<LoadReport> {
        match &self.source {
            #[cfg(not(target_arch = "wasm32"))]
            Source::File(path) => self.load(params, &std::fs::read(path).map_err(Error::io(path))?),
            Source::Bytes(_, bytes) => self.load(params, bytes),
        }
    }

    fn load(&self, params: &Params, bytes: &[u8]) -> Result<LoadReport> {
        let name = self.source.name();
        let unreadable = |error| unreadable(&name, bytes, &error);
        let file = SafeTensors::deserialize(bytes).map_err(unreadable)?;
        let keys = self.renamed(&file)?;
        let mut entries = entries(params);
        let (mut values, mut report) = (vec![], LoadReport::default());
        self.exclude_skipped(&keys, &mut entries, &mut report)?;
        let mut shapes = HashMap::new();
        for (key, original) in keys.iter().filter(|(key, _)| !self.skips(key)) {
            let view = file.tensor(original).map_err(unreadable)?;
            match entries.remove(key) {
                None => {
                    shapes.insert(key.as_str(), Shape::from(view.shape()));
                    report.unexpected.push(key.clone());
                }
                Some(entry) => match value(&entry, &view) {
                    Ok(value) => {
                        report.loaded.push(key.clone());
                        values.push((entry, value));
                    }
                    Err(why) => report.mismatched.push((key.clone(), why)),
                },
            }
        }
        // Files of PyTorch before 0.4.1 do not contain these counts; PyTorch's own loader does not require them
        // either.
        entries.retain(|name, entry| !(matches!(entry, StateEntry::Counter(_)) && last(name) == "num_batches_tracked"));
        report.missing = entries.keys().cloned().collect();
        let wrong = self.strict && !(report.missing.is_empty() && report.unexpected.is_empty());
        if wrong || !self.skip_mismatched && !report.mismatched.is_empty() {
            let correspondence = suggest(&entries, &shapes);
            return Err(mismatch(&name, report, self.strict, correspondence).into());
        }
        values.into_iter().try_for_each(|(entry, value)| set(entry, value))?;
        Ok(report)
    }

    /// Returns a map from the new name of each entry of the file to its original name.
    fn renamed(&self, file: &SafeTensors<'_>) -> Result<BTreeMap<String, String>> {
        let mut keys = BTreeMap::new();
        let mut originals = file.names();
        originals.sort_unstable();
        for original in originals {
            let key = self.renames.iter().fold(original.to_string(), |key, rename| rename(&key));
            if let Some(other) = keys.insert(key.clone(), original.to_string()) {
                let (file, second) = (self.source.name(), original.to_string());
                return Err(LoadError::Renamed { file, first: other, second, name: key }.into());
            }
        }
        Ok(keys)
    }

    fn skips(&self, name: &str) -> bool {
        self.skips.iter().any(|scope| inside(scope, name))
    }

    fn exclude_skipped(
        &self,
        keys: &BTreeMap<String, String>,
        entries: &mut BTreeMap<String, StateEntry>,
        report: &mut LoadReport,
    ) -> Result<()> {
        let names = || keys.keys().chain(entries.keys()).map(String::as_str);
        for scope in &self.skips {
            if !names().any(|name| inside(scope, name)) {
                let parents = names().flat_map(|name| name.match_indices('.').map(|(at, _)| &name[..at]).chain([name]));
                let nearest = nearest(scope, parents.filter(|&name| !name.is_empty())).map(str::to_string);
                let (file, scope) = (self.source.name(), scope.clone());
                return Err(LoadError::NothingToSkip { file, scope, nearest }.into());
            }
        }
        let mut skipped: Vec<_> = names().filter(|name| self.skips(name)).map(str::to_string).collect();
        skipped.sort_unstable();
        skipped.dedup();
        report.skipped = skipped;
        entries.retain(|name, _| !self.skips(name));
        Ok(())
    }
}

fn inside(scope: &str, name: &str) -> bool {
    name.strip_prefix(scope.trim_end_matches('.')).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// A guess at how the names of the file and of the model correspond, for a suggestion in the error message.
enum Correspondence {
    /// The file's names are the model's names with this prefix.
    FilePrefix(String),
    /// The model's names are the file's names with this prefix.
    ModelPrefix(String),
    /// Pairs of similar names with equal shapes; the first name of a pair is the file's.
    Pairs(Vec<(String, String)>),
}

fn suggest(missing: &BTreeMap<String, StateEntry>, unexpected: &HashMap<&str, Shape>) -> Correspondence {
    let mut found: Vec<&str> = unexpected.keys().copied().collect();
    found.sort_unstable();
    let lacking: Vec<&str> = missing.keys().map(String::as_str).collect();
    for (longer, shorter, make) in [
        (&found, &lacking, Correspondence::FilePrefix as fn(String) -> Correspondence),
        (&lacking, &found, Correspondence::ModelPrefix),
    ] {
        let cut = |name: &str, of: &str| name.strip_suffix(of).filter(|front| front.ends_with('.')).map(str::to_string);
        let fronts = longer.iter().take(1).flat_map(|name| shorter.iter().filter_map(|of| cut(name, of)));
        let fits =
            |front: &str| longer.iter().filter(|n| n.strip_prefix(front).is_some_and(|n| shorter.contains(&n))).count();
        if let Some(front) = fronts.max_by_key(|front| fits(front))
            && 2 * fits(&front) > longer.len()
        {
            return make(front);
        }
    }
    let mut pairs = vec![];
    for name in found {
        let alike = missing.iter().filter(|(other, entry)| {
            last(other) == last(name) && matches!(entry, StateEntry::Variable(_)) && entry.shape() == unexpected[name]
        });
        pairs.extend(nearest(name, alike.map(|(other, _)| other.as_str())).map(|other| (name.into(), other.into())));
    }
    Correspondence::Pairs(pairs)
}

fn mismatch(file: &str, report: LoadReport, strict: bool, correspondence: Correspondence) -> LoadError {
    let differences = if strict { report.differences() } else { report.mismatches().collect() };
    let mut fixes = vec![];
    match correspondence {
        _ if !strict => {}
        Correspondence::FilePrefix(prefix) => fixes.push(LoadFix::StripPrefix { prefix }),
        Correspondence::ModelPrefix(front) => fixes.push(LoadFix::At { scope: front.trim_end_matches('.').into() }),
        Correspondence::Pairs(pairs) => {
            fixes.extend(pairs.into_iter().take(3).map(|(file, model)| LoadFix::Rename { file, model }));
        }
    }
    if let Some((first, _)) = report.mismatched.first() {
        let scope = first.rsplit_once('.').map_or(first.as_str(), |(scope, _)| scope);
        fixes.push(LoadFix::Skip { scope: scope.into() });
    }
    fixes.push(LoadFix::Partial);
    LoadError::Mismatch { file: file.into(), report: report.into(), differences, fixes }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;

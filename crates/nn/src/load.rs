//! Loading a state dict into a model: all of it, or with names changed and parts left out.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
#[cfg(not(target_arch = "wasm32"))]
use std::path::{Path, PathBuf};

use safetensors::tensor::SafeTensors;
use wgrad_core::{Error, Params, Result, Shape, nearest};

use crate::entries::{Entry, entries, set, unreadable, value};
use crate::{LoadError, LoadFix};

/// What a load did, by names of the model in alphabetical order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// What was loaded.
    pub loaded: Vec<String>,
    /// What the model has and the file has not; it keeps its value.
    pub missing: Vec<String>,
    /// What the file has and the model has not.
    pub unexpected: Vec<String>,
    /// What both have, but not in the same shape or type, with the reason; it keeps its value.
    pub unfit: Vec<(String, String)>,
    /// What was left out by [`Load::skip`], of the model or the file; what the model has of it keeps its value.
    pub skipped: Vec<String>,
}

impl LoadReport {
    /// Whether names, shapes and types were all the same, but for what was to be left out.
    pub fn is_complete(&self) -> bool {
        self.differences().is_empty()
    }

    fn differences(&self) -> Vec<String> {
        let lists = [("missing from the file", &self.missing), ("not in the model", &self.unexpected)];
        let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
        let lists = lists.map(|(what, names)| format!("{what}: {}", names.join(", ")));
        lists.chain(self.invalid()).collect()
    }

    fn invalid(&self) -> impl Iterator<Item = String> {
        self.unfit.iter().map(|(name, why)| format!("{name}: {why}"))
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

enum Source<'a> {
    #[cfg(not(target_arch = "wasm32"))]
    File(PathBuf),
    Bytes(String, &'a [u8]),
}

type Rename<'a> = Box<dyn Fn(&str) -> String + 'a>;

/// How to load a safetensors file whose names or shapes are not quite those of the model: PyTorch's `load_state_dict`.
///
/// Floats of 64 or 16 bits become `f32` (64 bits stay for a device that computes in them). `num_batches_tracked` may be
/// missing, as in files of old versions of PyTorch; the model keeps its count then.
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
    skip_misfits: bool,
}

impl fmt::Debug for Load<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.source.name();
        write!(f, "Load({name}, strict: {}, without {:?}, ", self.strict, self.skips)?;
        write!(f, "{} renamings, skip_misfits: {})", self.renames.len(), self.skip_misfits)
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
        Self { source, renames: vec![], skips: vec![], strict: true, skip_misfits: false }
    }

    /// To load this safetensors file. Nothing is read before [`Self::apply`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn from(path: impl AsRef<Path>) -> Self {
        Self::new(Source::File(path.as_ref().into()))
    }

    /// To load these bytes; `name` stands for them in messages.
    pub fn from_bytes(name: impl Into<String>, bytes: &'a [u8]) -> Self {
        Self::new(Source::Bytes(name.into(), bytes))
    }

    /// Whether every name must be on both sides, which is the default. Without, what one side lacks is in the report.
    ///
    /// Shapes and types that differ are errors in either case, as in PyTorch: see [`Self::skip_misfits`].
    pub fn strict(self, strict: bool) -> Self {
        Self { strict, ..self }
    }

    /// Whether what has another shape or type in the file is left as it is, and reported, instead of being an error.
    pub fn skip_misfits(self, skip: bool) -> Self {
        Self { skip_misfits: skip, ..self }
    }

    /// Gives each name of the file another one. Several changes are made in their order.
    ///
    /// ```
    /// # use wgrad_nn::Load;
    /// let load = Load::from("encoder.safetensors").rename(|name| name.replace("gamma", "weight").replace("beta", "bias"));
    /// ```
    pub fn rename(mut self, rename: impl Fn(&str) -> String + 'a) -> Self {
        self.renames.push(Box::new(rename));
        self
    }

    /// Takes `prefix` away from the names that begin with it: `module.` of a `DataParallel`, `_orig_mod.` of a compiled
    /// model.
    pub fn strip_prefix(self, prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        self.rename(move |name| name.strip_prefix(&prefix).unwrap_or(name).to_string())
    }

    /// Leaves out one name, or everything inside a scope, of the file and of the model: a head that is to be trained anew.
    /// Names are the model's.
    pub fn skip(mut self, scope: impl Into<String>) -> Self {
        self.skips.push(scope.into());
        self
    }

    /// Loads into the variables of `params`, or of the scope that it is at, and says what was loaded and what was not.
    ///
    /// # Errors
    /// When the file cannot be read or is not a safetensors file; names are missing or unexpected in a strict load; shapes or
    /// types differ, unless they are to be skipped; a renaming gives two names the same name; there is nothing in a scope
    /// to be skipped. The message lists all differences, and nothing is changed.
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
        self.take_skipped(&keys, &mut entries, &mut report)?;
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
                    Err(why) => report.unfit.push((key.clone(), why)),
                },
            }
        }
        // PyTorch's own files of before version 0.4.1 have no counts; its loader does not ask for them either.
        entries.retain(|name, entry| !(matches!(entry, Entry::Counter(_)) && last(name) == "num_batches_tracked"));
        report.missing = entries.keys().cloned().collect();
        let wrong = self.strict && !(report.missing.is_empty() && report.unexpected.is_empty());
        if wrong || !self.skip_misfits && !report.unfit.is_empty() {
            let likely = likely(&entries, &shapes);
            return Err(mismatch(&name, report, self.strict, likely).into());
        }
        values.into_iter().try_for_each(|(entry, value)| set(entry, value))?;
        Ok(report)
    }

    /// The file's names as they are to be, with what they are.
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

    fn take_skipped(
        &self,
        keys: &BTreeMap<String, String>,
        entries: &mut BTreeMap<String, Entry>,
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

/// Names that may be meant for each other: in the file and in the model.
enum Likely {
    /// The file's names have this in front.
    Longer(String),
    /// The model's names have this in front.
    Shorter(String),
    /// Pairs of names, the file's first, of equal shapes.
    Pairs(Vec<(String, String)>),
}

fn likely(missing: &BTreeMap<String, Entry>, unexpected: &HashMap<&str, Shape>) -> Likely {
    let mut found: Vec<&str> = unexpected.keys().copied().collect();
    found.sort_unstable();
    let lacking: Vec<&str> = missing.keys().map(String::as_str).collect();
    for (longer, shorter, make) in
        [(&found, &lacking, Likely::Longer as fn(String) -> Likely), (&lacking, &found, Likely::Shorter)]
    {
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
            last(other) == last(name) && matches!(entry, Entry::Variable(_)) && entry.shape() == unexpected[name]
        });
        pairs.extend(nearest(name, alike.map(|(other, _)| other.as_str())).map(|other| (name.into(), other.into())));
    }
    Likely::Pairs(pairs)
}

fn mismatch(file: &str, report: LoadReport, strict: bool, likely: Likely) -> LoadError {
    let differences = if strict { report.differences() } else { report.invalid().collect() };
    let mut fixes = vec![];
    match likely {
        _ if !strict => {}
        Likely::Longer(prefix) => fixes.push(LoadFix::StripPrefix { prefix }),
        Likely::Shorter(front) => fixes.push(LoadFix::At { scope: front.trim_end_matches('.').into() }),
        Likely::Pairs(pairs) => {
            fixes.extend(pairs.into_iter().take(3).map(|(file, model)| LoadFix::Rename { file, model }));
        }
    }
    if let Some((first, _)) = report.unfit.first() {
        let scope = first.rsplit_once('.').map_or(first.as_str(), |(scope, _)| scope);
        fixes.push(LoadFix::Skip { scope: scope.into() });
    }
    fixes.push(LoadFix::Partial);
    LoadError::Mismatch { file: file.into(), report: report.into(), differences, fixes }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;

//! Generator of `docs/coverage.md`: tables of PyTorch's API that show which parts wgrad has, which differ, and
//! which it lacks.
//!
//! The tables are built from data of the tests. `tests/torch/index.json` lists the operators and modules whose
//! samples run, and `tests/torch/unsupported.json` the differences and the absent operators, with reasons.
//! `optim.json` and `optim_unsupported.json` in the same folder list optimizers, and `tests/golden/schedules.json`
//! lists schedules. `tests/torch/by_hand.json` describes the parts of the API for which PyTorch has no samples.
//! `cargo xtask docs` writes the page, and `tests/documents.rs` checks that it is up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// Areas of PyTorch's API, each with its title in `docs/coverage.md` and the prefix of the area's names. The
/// tables leave out the prefix.
///
/// A loss module (`nn.…Loss`) belongs to the losses, any other name to the first area with a matching prefix.
const AREAS: [(&str, &str); 14] = [
    ("Functions of layers and losses", "nn.functional."),
    ("Initialisation", "nn.init."),
    ("Utilities of layers", "nn.utils."),
    ("Layers", "nn."),
    ("Schedules", "optim.lr_scheduler."),
    ("Optimizers", "optim."),
    ("Gradients", "autograd."),
    ("Data", "utils.data."),
    ("Linear algebra", "linalg."),
    ("Fourier transforms", "fft."),
    ("Signal windows", "signal."),
    ("Special functions", "special."),
    ("Losses", "nn.Loss"),
    ("Tensor operators", ""),
];

/// Titles of the areas, in the order in which `docs/coverage.md` shows them.
const ORDER: [&str; 14] = [
    "Tensor operators",
    "Layers",
    "Functions of layers and losses",
    "Losses",
    "Optimizers",
    "Schedules",
    "Initialisation",
    "Utilities of layers",
    "Gradients",
    "Data",
    "Linear algebra",
    "Special functions",
    "Fourier transforms",
    "Signal windows",
];

/// First words of the reason that `unsupported.json` gives for operators that are not public API and not counted.
const INTERNAL: &str = "masked tensors, sparse tensors and PyTorch's internal operators";
/// First words of the reason that `unsupported.json` gives for other names or forms of covered operators.
const OTHER_NAME: &str = "another name, an in-place form";

/// Variants in PyTorch's tests that are other implementations of the same operator and are not counted.
const IMPLEMENTATIONS: [&str; 3] = ["decomposed", "triton_optimized", "chunked"];

/// Details of the coverage of one name of PyTorch's API, collected over the variants of the operator or module.
#[derive(Default)]
struct Entry {
    /// `true` if at least one variant is covered.
    there: bool,
    /// Differences from PyTorch, each a sentence without its full stop.
    differs: BTreeSet<String>,
    /// Reasons why variants are absent, each with the names of the absent variants.
    absent: BTreeMap<String, BTreeSet<String>>,
}

/// Coverage of one name of PyTorch's API, as `docs/coverage.md` shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    There,
    Differs,
    Absent,
}

impl Entry {
    fn state(&self) -> State {
        match (self.there, self.differs.is_empty() && self.absent.is_empty()) {
            (true, true) => State::There,
            (true, false) => State::Differs,
            (false, _) if !self.differs.is_empty() => State::Differs,
            (false, _) => State::Absent,
        }
    }
}

/// Coverage of every name of PyTorch's API.
type Api = BTreeMap<String, Entry>;

/// Splits the name of an operator or module into its API name and the variant, which follows after a dot.
fn api_name(name: &str) -> (String, Option<&str>) {
    let prefixes = ["nn.functional.", "signal.windows.", "linalg.", "special.", "fft.", "nn."];
    let prefix = prefixes.iter().find(|prefix| name.starts_with(**prefix)).map_or(0, |prefix| prefix.len());
    match name[prefix..].split_once('.') {
        Some((base, variant)) => (format!("{}{base}", &name[..prefix]), Some(variant)),
        None => (name.to_owned(), None),
    }
}

/// Returns whether a name is public API. The names of Python's special methods and PyTorch's internals begin with
/// an underscore or with `torch.`.
fn is_public(name: &str) -> bool {
    !name.starts_with('_') && !name.starts_with("torch.")
}

/// Converts a JSON name or list of names to a list.
fn names(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        value => value.as_str().into_iter().collect(),
    }
}

/// Returns a sentence without its full stop.
fn sentence(text: &str) -> &str {
    text.trim().trim_end_matches('.')
}

/// Returns a sentence with a small first letter, unless it begins with a name.
fn lower(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if !text.starts_with("PyTorch") => first.to_lowercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}

/// Reads a JSON file, whose path is relative to the repository's root.
fn json(root: &Path, file: &str) -> Result<Value, String> {
    let text = fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))
}

/// Adds the operators and modules whose samples run, the differences that their tests list, and the absent
/// operators.
fn add_samples(api: &mut Api, index: &Value, unsupported: &Value) {
    for name in index["subjects"].as_object().into_iter().flat_map(|subjects| subjects.keys()) {
        if is_public(name) {
            api.entry(api_name(name).0).or_default().there = true;
        }
    }
    for entry in unsupported["cases"].as_array().into_iter().flatten() {
        let text = |key: &str| sentence(entry[key].as_str().unwrap_or_default());
        for name in names(&entry["of"]).into_iter().filter(|name| is_public(name)) {
            let differs = format!("not supported: {} ({})", text("what"), lower(text("reason")));
            api.entry(api_name(name).0).or_default().differs.insert(differs);
        }
    }
    for entry in unsupported["errors"].as_array().into_iter().flatten() {
        let text = |key: &str| sentence(entry[key].as_str().unwrap_or_default());
        for name in names(&entry["of"]).into_iter().filter(|name| is_public(name)) {
            let differs = format!("accepts what PyTorch refuses with `{}` ({})", text("text"), lower(text("reason")));
            api.entry(api_name(name).0).or_default().differs.insert(differs);
        }
    }
    for group in unsupported["absent"].as_array().into_iter().flatten() {
        let reason = sentence(group["reason"].as_str().unwrap_or_default());
        if reason.starts_with(INTERNAL) {
            continue;
        }
        for name in names(&group["names"]).into_iter().filter(|name| is_public(name)) {
            let (base, variant) = api_name(name);
            if variant.is_some_and(|variant| IMPLEMENTATIONS.contains(&variant)) {
                continue;
            }
            let entry = api.entry(base).or_default();
            if reason.starts_with(OTHER_NAME) {
                if !entry.there {
                    entry.differs.insert("another name or form of an operator that is covered".into());
                }
            } else {
                entry.absent.entry(reason.to_owned()).or_default().extend(variant.map(str::to_owned));
            }
        }
    }
}

/// Adds the optimizers and schedules.
fn add_optimizers(api: &mut Api, optimizers: &Value, unsupported: &Value, schedules: &Value) {
    for name in optimizers["supported"].as_object().into_iter().flat_map(|supported| supported.keys()) {
        // PyTorch has no Lion. Its expected values come from the program in the paper that introduced it.
        if name != "Lion" {
            api.entry(format!("optim.{name}")).or_default().there = true;
        }
    }
    for (name, reason) in unsupported["optimizers"].as_object().into_iter().flatten() {
        let reason = sentence(reason.as_str().unwrap_or_default()).to_owned();
        api.entry(format!("optim.{name}")).or_default().absent.entry(reason).or_default();
    }
    for case in schedules["cases"].as_array().into_iter().flatten() {
        if let Some(name) = case["schedule"][0].as_str() {
            api.entry(format!("optim.lr_scheduler.{name}")).or_default().there = true;
        }
    }
}

/// Adds the entries that are written by hand. An entry replaces everything recorded for the name before.
fn add_by_hand(api: &mut Api, by_hand: &Value) {
    for entry in by_hand.as_array().into_iter().flatten() {
        let name = entry["torch"].as_str().unwrap_or_default();
        let mut facts = Entry { there: entry["wgrad"].is_string(), ..Entry::default() };
        facts.differs.extend(entry["differs"].as_str().map(str::to_owned));
        if let Some(reason) = entry["absent"].as_str() {
            facts.absent.entry(reason.to_owned()).or_default();
        }
        api.insert(name.to_owned(), facts);
    }
}

/// Returns the title of the area to which a name of PyTorch's API belongs, and the name without the area's prefix.
fn area(name: &str) -> (&'static str, &str) {
    if name.starts_with("nn.") && !name.starts_with("nn.functional.") && name.ends_with("Loss") {
        return ("Losses", &name["nn.".len()..]);
    }
    let found = AREAS.iter().find(|(_, prefix)| name.starts_with(prefix)).expect("the last prefix is empty");
    (found.0, &name[found.1.len()..])
}

/// Returns the prefix of an area's names, which the area's tables leave out, such as `torch.nn.`.
fn prefix(title: &str) -> String {
    let prefix = match title {
        "Losses" => "nn.",
        title => AREAS.iter().find(|(known, _)| *known == title).map_or("", |(_, prefix)| prefix),
    };
    format!("torch.{prefix}")
}

/// Formats the differences between wgrad and PyTorch for an entry, as a cell of a table.
fn differences(entry: &Entry) -> String {
    let mut parts: Vec<String> = entry.differs.iter().cloned().collect();
    for (reason, variants) in &entry.absent {
        let variants: Vec<String> = variants.iter().map(|variant| format!("`{variant}`")).collect();
        parts.push(format!("without {} ({reason})", variants.join(", ")));
    }
    parts.join("; ").replace('|', "\\|")
}

/// Formats a list of names, each in backticks.
fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Formats a fraction as a whole number of percent.
fn percent(part: usize, of: usize) -> String {
    format!("{:.0} %", 100.0 * part as f64 / of.max(1) as f64)
}

/// Generates the text of `docs/coverage.md`.
///
/// # Errors
/// If one of the JSON files cannot be read.
pub fn page(root: &Path) -> Result<String, String> {
    let mut api = Api::new();
    let index = json(root, "tests/torch/index.json")?;
    add_samples(&mut api, &index, &json(root, "tests/torch/unsupported.json")?);
    let optimizers = json(root, "tests/torch/optim.json")?;
    let schedules = json(root, "tests/golden/schedules.json")?;
    add_optimizers(&mut api, &optimizers, &json(root, "tests/torch/optim_unsupported.json")?, &schedules);
    add_by_hand(&mut api, &json(root, "tests/torch/by_hand.json")?);

    let mut areas: BTreeMap<&str, Vec<(&str, &Entry)>> = BTreeMap::new();
    for (name, entry) in &api {
        let (title, short) = area(name);
        areas.entry(title).or_default().push((short, entry));
    }

    let version = index["torch"].as_str().unwrap_or("?");
    let mut text = format!(
        "{}{}",
        HEAD.replace("VERSION", version),
        "\n| area | names | there | differs | absent | there or differs |\n|---|---:|---:|---:|---:|---:|\n"
    );
    let count = |entries: &[(&str, &Entry)], state| entries.iter().filter(|(_, entry)| entry.state() == state).count();
    let mut totals = [0; 4];
    for title in ORDER {
        let entries = areas.get(title).map_or(&[][..], Vec::as_slice);
        let counts = [State::There, State::Differs, State::Absent].map(|state| count(entries, state));
        let [there, differs, absent] = counts;
        let known = percent(there + differs, entries.len());
        let anchor = title.to_lowercase().replace(' ', "-");
        _ = writeln!(text, "| [{title}](#{anchor}) | {} | {there} | {differs} | {absent} | {known} |", entries.len());
        for (total, count) in totals.iter_mut().zip([entries.len(), there, differs, absent]) {
            *total += count;
        }
    }
    let [all, there, differs, absent] = totals;
    _ = writeln!(text, "| all | {all} | {there} | {differs} | {absent} | {} |", percent(there + differs, all));

    for title in ORDER {
        section(&mut text, title, areas.get(title).map_or(&[][..], Vec::as_slice));
    }
    Ok(text)
}

/// Writes the section for one area of the API.
fn section(text: &mut String, title: &str, entries: &[(&str, &Entry)]) {
    _ = writeln!(text, "\n## {title}\n\nNames of `{}`.", prefix(title).trim_end_matches('.'));
    let of = |state| entries.iter().filter(move |(_, entry)| entry.state() == state);
    let there: Vec<&str> = of(State::There).map(|(name, _)| *name).collect();
    if !there.is_empty() {
        _ = writeln!(text, "\n**There:** {}", quoted(&there));
    }
    let mut texts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, entry) in of(State::Differs) {
        texts.entry(differences(entry)).or_default().push(name);
    }
    let mut rows: Vec<(Vec<&str>, String)> = texts.into_iter().map(|(text, names)| (names, text)).collect();
    rows.sort();
    if !rows.is_empty() {
        text.push_str("\n| differs | how |\n|---|---|\n");
        for (names, how) in rows {
            _ = writeln!(text, "| {} | {how} |", quoted(&names));
        }
    }
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, entry) in of(State::Absent) {
        for reason in entry.absent.keys() {
            reasons.entry(reason).or_default().push(name);
        }
    }
    if !reasons.is_empty() {
        text.push_str("\n| absent | reason |\n|---|---|\n");
        for (reason, names) in reasons {
            _ = writeln!(text, "| {} | {} |", quoted(&names), reason.replace('|', "\\|"));
        }
    }
}

const HEAD: &str = "\
<!-- Generated by `cargo xtask docs`. Change the files in tests/torch, not this page. -->

# Coverage of PyTorch's API

This page lists PyTorch's API by name and says which names wgrad has.

- **There**: PyTorch VERSION carries samples of the operator or module for its own tests. wgrad runs all of them, and the
  outputs and gradients agree within the error bounds.
- **Differs**: wgrad has it under another name or in another form, without some options, or with a stricter check of its
  arguments. The table says how.
- **Absent**: wgrad does not have it.

The samples and the tests that run them are in
[tests/torch](https://github.com/wgrad/wgrad/blob/main/tests/torch/README.md); the differences come from
[unsupported.json](https://github.com/wgrad/wgrad/blob/main/tests/torch/unsupported.json). PyTorch carries no samples for
some parts of its API: containers, initialisation, utilities, gradients, data, and some layers. These names are kept by
hand in [by_hand.json](https://github.com/wgrad/wgrad/blob/main/tests/torch/by_hand.json). A test checks that the wgrad
name of each such entry exists, but no test compares its behaviour with PyTorch's.

Names of wgrad follow Rust's spelling: `nn.BCEWithLogitsLoss` is `BceWithLogitsLoss`, and operators are methods of
`Tensor`.

Not counted: sparse, masked and quantized tensors, internal operators and Python's notation, and the packages for other
subjects, such as `torch.amp`, `torch.distributed`, `torch.cuda`, `torch.compile` and `torch.onnx`.
";

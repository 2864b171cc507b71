//! Lists of unsupported features and known differences, in `unsupported.json` and `pending.txt`. Every entry must
//! still apply, and everything unsupported must be listed.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::Value;

use crate::call::{Adapter, Refusal};
use crate::compare::{Precision, Traced, refusal, trace};
use crate::fixture::{Case, Subject, folder, json};

/// Entry of the lists `cases` and `errors` in `unsupported.json`.
struct Entry {
    of: Vec<String>,
    /// Text of a call adapter's refusal, or start of PyTorch's error message.
    what: String,
    reason: String,
}

/// Entry of the list `looser` in `unsupported.json`: a case whose bound is larger than the derived bound.
struct Looser {
    of: String,
    key: String,
    f64: Option<f64>,
    f32: Option<f64>,
}

pub struct Rules {
    cases: Vec<Entry>,
    errors: Vec<Entry>,
    looser: Vec<Looser>,
    looser_used: Mutex<BTreeSet<usize>>,
    absent: Vec<(String, usize)>,
    left_out: Vec<(String, String)>,
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(words).collect(),
        value => vec![value.as_str().expect("a name").into()],
    }
}

impl Entry {
    fn read(value: &Value, what: &str) -> Self {
        let text = |key: &str| value[key].as_str().unwrap_or_else(|| panic!("{value} has no {key}")).to_string();
        Self { of: words(&value["of"]), what: text(what), reason: text("reason") }
    }
}

impl Rules {
    pub fn read() -> Self {
        let rules = json("unsupported.json");
        let list = |key: &str| rules[key].as_array().unwrap_or_else(|| panic!("a list of {key}")).clone();
        let text = |value: &Value, key: &str| value[key].as_str().expect("a text").to_string();
        Self {
            cases: list("cases").iter().map(|entry| Entry::read(entry, "what")).collect(),
            errors: list("errors").iter().map(|entry| Entry::read(entry, "text")).collect(),
            looser: list("looser")
                .iter()
                .map(|entry| {
                    assert!(entry["reason"].is_string(), "{entry} has no reason");
                    Looser {
                        of: text(entry, "of"),
                        key: text(entry, "key"),
                        f64: entry["f64"].as_f64(),
                        f32: entry["f32"].as_f64(),
                    }
                })
                .collect(),
            looser_used: Mutex::default(),
            absent: list("absent").iter().map(|group| (text(group, "reason"), words(&group["names"]).len())).collect(),
            left_out: list("left_out").iter().map(|rule| (text(rule, "key"), text(rule, "reason"))).collect(),
        }
    }

    /// Returns whether the list `cases` in `unsupported.json` says that an input has no gradient in wgrad.
    pub fn allows_no_gradient(&self, case: &Case, name: &str) -> bool {
        let what = format!("no gradient of {name}");
        self.cases.iter().any(|entry| entry.of.contains(&case.subject) && entry.what == what)
    }

    /// Returns the larger bound that is listed for a case, if there is one.
    pub fn looser(&self, case: &Case, key: &str, on: Precision) -> Option<f64> {
        let at = self
            .looser
            .iter()
            .position(|rule| (rule.of == case.subject || rule.of == case.to_string()) && key.starts_with(&rule.key))?;
        let bound = if on == Precision::F64 { self.looser[at].f64 } else { self.looser[at].f32 };
        if bound.is_some() {
            self.looser_used.lock().expect("no panics").insert(at);
        }
        bound
    }

    /// Translates every recorded call, compares the refusals with the lists, and prints a summary.
    ///
    /// # Errors
    /// If a refused call is not listed, or a listed entry does not apply.
    pub fn check(&self, subjects: &[(&Subject, Option<Adapter>)]) -> Result<(), String> {
        let mut wrong = vec![];
        let mut used: BTreeSet<(&str, usize)> = BTreeSet::new();
        let (mut lacking, mut refused) = (0, 0);
        for (subject, adapter) in subjects {
            let Some(adapter) = adapter else { continue };
            for case in &subject.cases {
                let found = if case.error.is_some() {
                    refusal(case, *adapter).map(|said| said.map(|said| said.is_some()))
                } else {
                    trace(case, *adapter).map(|traced| match traced {
                        Traced::Graph(..) => Ok(true),
                        Traced::Refused(refusal) => Err(refusal),
                    })
                };
                match found {
                    Err(panicked) => wrong.push(panicked),
                    Ok(Ok(true)) => refused += usize::from(case.error.is_some()),
                    Ok(Ok(false)) => {
                        let text = case.error.as_deref().unwrap_or("");
                        let listed = |entry: &Entry| entry.of.contains(&case.subject) && text.starts_with(&entry.what);
                        match self.errors.iter().position(listed) {
                            Some(at) => _ = used.insert(("errors", at)),
                            None => wrong.push(format!("{case}: wgrad takes what PyTorch refuses: {text}")),
                        }
                    }
                    Ok(Err(Refusal::Lacks(what) | Refusal::Untypable(what))) => {
                        let listed = |entry: &Entry| entry.of.contains(&case.subject) && what == entry.what;
                        lacking += 1;
                        match self.cases.iter().position(listed) {
                            Some(at) => _ = used.insert(("cases", at)),
                            None => wrong.push(format!("{case}: not listed: {what}")),
                        }
                    }
                }
            }
        }
        for (list, entries) in [("cases", &self.cases), ("errors", &self.errors)] {
            for (at, entry) in entries.iter().enumerate() {
                if !used.contains(&(list, at)) && !entry.what.starts_with("no gradient of") {
                    wrong.push(format!("unsupported.json, {list}: {:?} {:?} does not apply", entry.of, entry.what));
                }
            }
        }
        self.print(lacking, refused);
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    fn print(&self, lacking: usize, refused: usize) {
        println!("Not supported, of PyTorch's cases:");
        for (key, reason) in &self.left_out {
            println!("- left out ({key}): {reason}");
        }
        for (reason, count) in &self.absent {
            println!("- {count} modules and operators: {reason}");
        }
        for entry in &self.cases {
            println!("- {}, {}: {}", entry.of.join(", "), entry.what, entry.reason);
        }
        for entry in &self.errors {
            println!("- {} accepts where PyTorch says {:?}: {}", entry.of.join(", "), entry.what, entry.reason);
        }
        let absent: usize = self.absent.iter().map(|(_, count)| count).sum();
        println!(
            "{} entries in all: {} rules of the generator, {absent} absent modules and operators, {} options ({lacking} \
             cases), {} errors. {refused} of PyTorch's errors are errors here, too.",
            self.left_out.len() + absent + self.cases.len() + self.errors.len(),
            self.left_out.len(),
            self.cases.len(),
            self.errors.len(),
        );
    }
}

/// Returns the modules and operators in `pending.txt`, which have no call adapter yet.
pub fn pending() -> BTreeSet<String> {
    let text = std::fs::read_to_string(folder().join("pending.txt")).expect("pending.txt");
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(Into::into).collect()
}

//! Tests that read the source files and check CONTRIBUTING.md's rules for names and comments.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use syn::visit::{self, Visit};

use super::{files, root};

/// Folders with Rust files of the project.
const FOLDERS: [&str; 8] = ["crates", "shaders", "src", "tests", "examples", "benches", "xtask", "fuzz"];

/// Libraries in which no two public types may have the same name. The command is not a library.
const LIBRARIES: [&str; 7] = ["core", "kernels", "nn", "data", "metrics", "train", "parity"];

/// Words with which a doc comment must not begin, because its first line is a noun phrase or begins with a verb.
const OPENINGS: [&str; 10] = ["What", "How", "Whether", "Where", "Which", "Who", "Whom", "When", "Why", "Whose"];

/// Words that the project no longer uses, each with the clearer word that replaces it.
const OLD_WORDS: [(&str, &str); 13] = [
    ("misfit", "invalid argument"),
    ("misfits", "invalid arguments"),
    ("mill", "parity harness"),
    ("doctor", "parity harness"),
    ("planted", "injected"),
    ("guilty", "culprit"),
    ("blame", "culprit, localise"),
    ("portion", "chunk"),
    ("portions", "chunks"),
    ("told apart", "distinguished"),
    ("stand in for", "replace"),
    ("stands in for", "replaces"),
    ("holds it to", "compares it with"),
];

/// Largest allowed length of a test's name.
const LONGEST_NAME: usize = 60;

/// Returns the Rust files of the project with their texts, without `benches/peers`, which uses other frameworks.
fn sources() -> Vec<(PathBuf, String)> {
    let folders = FOLDERS.iter().filter(|folder| root().join(folder).is_dir());
    let all = folders.flat_map(|folder| files(folder, "rs"));
    // This file contains the words that it forbids, so it is left out.
    let counts = |path: &PathBuf| !path.ends_with("architecture/words.rs") && !path.to_string_lossy().contains("peers");
    all.filter(counts).map(|path| (path.clone(), fs::read_to_string(path).expect("a source file"))).collect()
}

fn shown(path: &std::path::Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Returns the first lines of the doc comments of a text, with their numbers.
fn first_lines(text: &str) -> Vec<(usize, &str)> {
    let docs = |line: &str| line.trim_start().starts_with("///") || line.trim_start().starts_with("//!");
    let lines: Vec<&str> = text.lines().collect();
    let first = |&i: &usize| docs(lines[i]) && (i == 0 || !docs(lines[i - 1]));
    (0..lines.len()).filter(first).map(|i| (i + 1, lines[i].trim_start()[3..].trim_start())).collect()
}

#[test]
fn doc_comments_open_with_a_noun_or_a_verb() {
    let (mut all, mut found) = (0, vec![]);
    for (path, text) in sources() {
        for (number, line) in first_lines(&text) {
            all += 1;
            let word = line.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
            if OPENINGS.contains(&word) || line.starts_with("So many") {
                found.push(format!("{}:{number}: {line}", shown(&path)));
            }
        }
    }
    assert!(found.is_empty(), "{} of {all} doc comments:\n{}", found.len(), found.join("\n"));
}

/// Public types of a file.
#[derive(Default)]
struct Types(Vec<String>);

impl<'ast> Visit<'ast> for Types {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let (visibility, name) = match item {
            syn::Item::Struct(item) => (&item.vis, &item.ident),
            syn::Item::Enum(item) => (&item.vis, &item.ident),
            syn::Item::Union(item) => (&item.vis, &item.ident),
            syn::Item::Trait(item) => (&item.vis, &item.ident),
            syn::Item::Type(item) => (&item.vis, &item.ident),
            _ => return visit::visit_item(self, item),
        };
        // A trait or type alias with a `cfg` attribute may have alternatives of the same name for other targets,
        // so it is not counted.
        let conditional = |attribute: &syn::Attribute| attribute.path().is_ident("cfg");
        let attributes = match item {
            syn::Item::Trait(item) => &item.attrs,
            syn::Item::Type(item) => &item.attrs,
            _ => return self.add(visibility, name),
        };
        if !attributes.iter().any(conditional) {
            self.add(visibility, name);
        }
    }

    // Types that are defined inside a function are not visible outside it, so they are not counted.
    fn visit_block(&mut self, _: &'ast syn::Block) {}
}

impl Types {
    fn add(&mut self, visibility: &syn::Visibility, name: &syn::Ident) {
        if matches!(visibility, syn::Visibility::Public(_)) {
            self.0.push(name.to_string());
        }
    }
}

#[test]
fn each_public_type_has_a_name_of_its_own() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in LIBRARIES.iter().flat_map(|name| files(&format!("crates/{name}/src"), "rs")) {
        let text = fs::read_to_string(&path).expect("a source file");
        let mut types = Types::default();
        types.visit_file(&syn::parse_file(&text).expect("Rust"));
        // Several crates may define a type alias named `Result`.
        for name in types.0.into_iter().filter(|name| name != "Result") {
            places.entry(name).or_default().push(shown(&path));
        }
    }
    let twice = places.iter().filter(|(_, places)| places.len() > 1);
    let twice: Vec<_> = twice.map(|(name, places)| format!("{name}: {}", places.join(", "))).collect();
    assert!(twice.is_empty(), "{} names have more than one type:\n{}", twice.len(), twice.join("\n"));
}

#[test]
fn test_names_are_short() {
    let mut found = vec![];
    for (path, text) in sources() {
        let mut test = false;
        for line in text.lines().map(str::trim_start) {
            if let Some(name) = line.strip_prefix("fn ").filter(|_| test) {
                let name = name.split(['(', '<']).next().unwrap_or_default();
                if name.len() > LONGEST_NAME {
                    found.push(format!("{}: {name} has {} characters", shown(&path), name.len()));
                }
            }
            // Other attributes may follow between `#[test]` and the function.
            test = line.starts_with("#[test]") || (test && line.starts_with('#'));
        }
    }
    assert!(found.is_empty(), "{} names of tests:\n{}", found.len(), found.join("\n"));
}

/// Returns whether a text contains `word` (or this phrase of several words) and not only as a part of other words.
fn has_word(text: &str, word: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    text.match_indices(word)
        .any(|(at, _)| edge(text[..at].chars().next_back()) && edge(text[at + word.len()..].chars().next()))
}

#[test]
fn old_words_are_gone() {
    let mut found = vec![];
    let shaders = files("shaders", "wgsl").into_iter();
    let shaders = shaders.map(|path| (path.clone(), fs::read_to_string(path).expect("a shader")));
    for (path, text) in sources().into_iter().chain(shaders) {
        for (number, line) in text.lines().enumerate() {
            let line = line.to_lowercase();
            for (word, instead) in OLD_WORDS.iter().filter(|(word, _)| has_word(&line, word)) {
                found.push(format!("{}:{}: `{word}`, say {instead}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{} places:\n{}", found.len(), found.join("\n"));
}

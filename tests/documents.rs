//! Checks of the documents: the generated page is up to date, every page is in the guide, its code is compiled,
//! and links work.

#[path = "../xtask/src/coverage.rs"]
mod coverage;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    let text = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    // Git may check out files with Windows line endings.
    text.replace("\r\n", "\n")
}

/// Returns the file names of the guide's pages, without the table of contents.
fn pages() -> Vec<String> {
    let entries = fs::read_dir(root().join("docs")).expect("the folder of the guide");
    let pages = entries.flatten().map(|entry| entry.path()).filter(|path| path.extension() == Some("md".as_ref()));
    let names = pages.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let mut names: Vec<String> = names.filter(|name| name != "SUMMARY.md").collect();
    names.sort();
    names
}

/// Returns the targets of the Markdown links in a document, except those in code blocks.
fn links(text: &str) -> Vec<String> {
    let outside = text.split("```").step_by(2).collect::<String>();
    outside.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// Returns the anchors of a document's headings, which GitHub and mdBook derive from the text in the same way.
fn anchors(text: &str) -> BTreeSet<String> {
    let outside = text.split("```").step_by(2).collect::<String>();
    let headings = outside.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn coverage_page_is_current() {
    let made = coverage::page(&root()).expect("the files of tests/torch");

    assert!(made == read("docs/coverage.md"), "docs/coverage.md is not current: run `cargo xtask docs`");
}

#[test]
fn names_of_the_hand_kept_list_exist() {
    fn collect(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).expect("a folder of sources").flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, text);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                text.push_str(&fs::read_to_string(&path).expect("a source file"));
            }
        }
    }
    let mut sources = String::new();
    for name in ["core", "nn", "data"] {
        collect(&root().join("crates").join(name).join("src"), &mut sources);
    }
    let words: BTreeSet<&str> = sources.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let list: serde_json::Value = serde_json::from_str(&read("tests/torch/by_hand.json")).expect("JSON");
    for entry in list.as_array().expect("a list") {
        let known = entry["wgrad"].as_str().is_none_or(|name| words.contains(name));
        assert!(known, "tests/torch/by_hand.json: {entry}: no such name in core, nn or data");
        let one = entry["wgrad"].is_string() != entry["absent"].is_string();
        assert!(one && entry["torch"].is_string(), "tests/torch/by_hand.json: {entry}");
    }
}

#[test]
fn documents_are_short() {
    for (file, most) in [("README.md", 150), ("ARCHITECTURE.md", 120)] {
        let lines = read(file).lines().count();
        assert!(lines <= most, "{file} has {lines} lines, at most {most} fit: move a part to docs/");
    }
}

#[test]
fn table_of_contents_lists_every_page() {
    let listed: BTreeSet<String> = links(&read("docs/SUMMARY.md")).into_iter().collect();
    let present: BTreeSet<String> = pages().into_iter().collect();
    assert_eq!(listed, present, "docs/SUMMARY.md and the files of docs/");
}

#[test]
fn every_page_with_programs_is_compiled() {
    let library = read("src/lib.rs");
    for page in pages() {
        let programs = read(&format!("docs/{page}")).contains("```rust");
        let included = library.contains(&format!("include_str!(\"../docs/{page}\")"));
        assert_eq!(programs, included, "src/lib.rs includes docs/{page} as a doctest if it has programs");
    }
}

#[test]
fn links_lead_somewhere() {
    let repository = "https://github.com/wgrad/wgrad/blob/main/";
    let mut documents = vec!["README.md".into(), "ARCHITECTURE.md".into(), "CONTRIBUTING.md".into()];
    documents.extend(pages().into_iter().map(|page| format!("docs/{page}")));
    for document in documents {
        let text = read(&document);
        for link in links(&text) {
            let folder = Path::new(&document).parent().expect("a file has a folder");
            let (target, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let path = match target.strip_prefix(repository) {
                Some(path) => PathBuf::from(path),
                None if target.contains("://") => continue,
                None if target.is_empty() => PathBuf::from(&document),
                None => folder.join(target),
            };
            assert!(root().join(&path).exists(), "{document}: {link} leads nowhere");
            if !anchor.is_empty() {
                let there = anchors(&read(path.to_str().expect("UTF-8"))).contains(anchor);
                assert!(there, "{document}: {link} has no such heading");
            }
            // The built guide contains only the pages in `docs/`.
            let outside = document.starts_with("docs/") && target.starts_with("../");
            assert!(!outside, "{document}: {link} leads out of the guide: use {repository}…");
        }
    }
}

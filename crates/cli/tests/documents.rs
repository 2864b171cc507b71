//! Runs the commands in the guide and the README: the lines that start with `$ wgrad` in code blocks marked
//! `console`.
//!
//! The blocks of a document run one after another in one folder, which contains `examples/data`. Every other line
//! of a block must occur in the command's output, where numbers may differ. The line `...` represents omitted
//! text. A block that follows a comment `<!-- not run: reason -->` does not run.

mod common;

use std::fs;
use std::path::Path;

use common::{Place, example};

/// Returns a line without the parts that depend on the machine: numbers, table borders and the number of spaces.
fn shape(line: &str) -> String {
    let mut text = String::new();
    for c in line.chars() {
        match c {
            '0'..='9' | '.' => {
                if !text.ends_with('#') {
                    text.push('#');
                }
            }
            '│' | ' ' => {
                if !text.ends_with(' ') {
                    text.push(' ');
                }
            }
            c => text.push(c),
        }
    }
    text.trim().to_owned()
}

/// Runs the `console` blocks of a document and compares their output.
fn run(document: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join(document)).expect("a document").replace("\r\n", "\n");
    let parts: Vec<&str> = text.split("```").collect();
    let place = Place::new();
    fs::create_dir_all(place.path("examples/data")).expect("a folder in a temporary folder");
    for name in ["breast_cancer.csv", "digits.csv"] {
        fs::copy(example(name), place.path("examples/data").join(name)).expect("a file of the examples");
    }
    for at in (1..parts.len()).step_by(2) {
        let Some(block) = parts[at].strip_prefix("console\n") else { continue };
        let last = parts[at - 1].trim_end().lines().last().unwrap_or_default();
        if last.starts_with("<!-- not run: ") {
            continue;
        }
        let mut output = String::new();
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                let arguments = command.strip_prefix("wgrad").unwrap_or_else(|| panic!("{document}: {line}"));
                let run = place.wgrad(arguments);
                assert_eq!(run.code, Some(0), "{document}: {command}\n{}{}", run.out, run.err);
                output = format!("{}\n{}", run.out, run.err);
            } else if line != "..." {
                let there = output.lines().any(|printed| shape(printed) == shape(line));
                assert!(there, "{document}: the output has no line like `{line}`:\n{output}");
            }
        }
    }
}

/// Defines one test for each document, so that documents are tested in parallel.
macro_rules! documents {
    ($($name:ident: $document:literal),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                run($document);
            }
        )*

        #[test]
        fn every_document_with_commands_is_run() {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
            for entry in fs::read_dir(root.join("docs")).expect("the guide").flatten() {
                let path = entry.path();
                if path.extension() == Some("md".as_ref()) {
                    let name = format!("docs/{}", entry.file_name().to_string_lossy());
                    let text = fs::read_to_string(&path).expect("a page");
                    assert!(!text.contains("```console") || [$($document),*].contains(&name.as_str()), "{name}");
                }
            }
        }
    };
}

documents! {
    readme: "README.md",
    checkpoints: "docs/checkpoints.md",
    data: "docs/data.md",
    decisions: "docs/decisions.md",
    drivers: "docs/drivers.md",
    lockstep: "docs/lockstep.md",
    parity: "docs/parity.md",
    rare_classes: "docs/rare-classes.md",
    reports: "docs/reports.md",
    training: "docs/training.md",
    tuning: "docs/tuning.md",
}

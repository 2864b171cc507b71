//! Tests that the WGSL of every pointwise op is valid, and that the list of all pointwise ops is complete.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use naga::valid::{Capabilities, ValidationFlags, Validator};
use wgrad_core::ops::pointwise_ops;
use wgrad_core::{DType, Pointwise};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the files in a folder that have the given extension, as pairs (stem, text) sorted by name.
fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder exists");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    let text = |path: PathBuf| {
        let stem = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        (stem, fs::read_to_string(&path).expect("it can be read"))
    };
    paths.into_iter().map(text).collect()
}

fn validate(name: &str, source: &str) {
    let module = naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|error| panic!("{name} does not parse:\n{}", error.emit_to_string(source)));
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    if let Err(error) = validator.validate(&module) {
        panic!("{name} is not valid:\n{}", error.emit_to_string(source));
    }
}

/// Returns the WGSL function that the GPU backend generates for a pointwise op.
fn function(op: &Pointwise) -> String {
    let name = |dtype| if dtype == DType::U32 { "u32" } else { "f32" };
    let args = op.args.iter().zip(op.types).map(|(arg, &dtype)| format!("{arg}: {}", name(dtype)));
    let attributes = op.attributes.iter().map(|attribute| format!("{attribute}: f32"));
    let parameters = args.chain(attributes).collect::<Vec<_>>().join(", ");
    format!("fn op_{}({parameters}) -> {} {{ return {}; }}\n", op.name, name(op.out), op.wgsl)
}

#[test]
fn every_op_is_a_valid_function() {
    for op in pointwise_ops() {
        validate(op.name, &format!("{}{}", op.library, function(op)));
    }
}

#[test]
fn all_ops_fit_into_one_kernel() {
    let mut source = String::new();
    let mut libraries: Vec<&str> = pointwise_ops().iter().map(|op| op.library).collect();
    libraries.sort_unstable();
    libraries.dedup();
    source.extend(libraries);
    for op in pointwise_ops() {
        write!(source, "{}", function(op)).expect("strings grow");
    }
    validate("all ops", &source);
}

#[test]
fn the_list_has_every_op() {
    let folders = ["pointwise", "pointwise/activations", "losses"]
        .map(|family| files(&format!("crates/core/src/ops/{family}"), "rs"));
    let declared: usize = folders.iter().flatten().map(|(_, source)| source.matches("reference<F>: ").count()).sum();
    assert_eq!(pointwise_ops().len(), declared, "list the `OPS` of a new file in `ops::pointwise_ops`");
}

//! Generates one constant per WGSL file, documented by the first line of its opening comment.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    let root = Path::new(&root);
    let mut source = constants(root);
    writeln!(source, "/// Functions that several kernels use.\npub mod lib {{").expect("strings grow");
    source.push_str(&constants(&root.join("lib")));
    source.push_str("}\n\n/// Name and text of every file.\npub const FILES: &[(&str, &str)] = &[\n");
    source.push_str(&list(root, ""));
    source.push_str(&list(&root.join("lib"), "lib/"));
    source.push_str("];\n");
    let target = Path::new(&env::var("OUT_DIR").expect("set by cargo")).join("shaders.rs");
    fs::write(target, source).expect("the build folder is writable");
}

/// Returns the WGSL files of a folder, sorted by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of this package");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "wgsl"));
    paths.sort();
    paths
}

/// Returns the source of the `FILES` entries for a folder: one pair (name, constant) per WGSL file.
fn list(folder: &Path, prefix: &str) -> String {
    files(folder).iter().fold(String::new(), |mut source, path| {
        let name = path.file_stem().expect("a file").to_string_lossy();
        let constant = format!("{}{}", prefix.replace('/', "::"), name.to_uppercase());
        writeln!(source, "    (\"{prefix}{name}\", {constant}),").expect("strings grow");
        source
    })
}

/// Returns the source of one constant per WGSL file in a folder.
fn constants(folder: &Path) -> String {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut source = String::new();
    for path in files(folder) {
        println!("cargo::rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path).expect("a readable shader");
        let about = text.lines().next().unwrap_or_default().trim_start_matches("// ").replace('`', "'");
        // Format the line as code; otherwise rustdoc would take an index in brackets, such as `[i]`, for a link.
        let about = format!("`{about}`");
        let file = path.to_string_lossy();
        let name = path.file_stem().expect("a file").to_string_lossy().to_uppercase();
        writeln!(source, "#[doc = {about:?}]\npub const {name}: &str = include_str!({file:?});").expect("strings grow");
    }
    source
}

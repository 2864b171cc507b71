//! Declares every file of `src/ops` as a module, so that a new op is a new file and nothing else.

use std::fmt::Write as _;
use std::{env, fs, path::Path};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    let folder = Path::new(&root).join("src/ops");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("the folder of ops")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.strip_suffix(".rs").map(String::from))
        .filter(|name| name != "mod")
        .collect();
    names.sort();
    let mut source = String::new();
    for name in names {
        let path = folder.join(format!("{name}.rs"));
        writeln!(
            source,
            "#[path = \"{}\"]\nmod {name};\n#[allow(unused_imports, reason = \"some files only serve others\")]\npub use {name}::*;",
            path.display().to_string().escape_default()
        )
        .expect("strings grow");
    }
    let target = Path::new(&env::var("OUT_DIR").expect("set by cargo")).join("ops.rs");
    fs::write(target, source).expect("the build folder is writable");
}

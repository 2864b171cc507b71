//! Tests that read the source files and check ARCHITECTURE.md's rules for dependencies and its rules for files.

#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/words.rs"]
mod words;

use std::path::{Path, PathBuf};
use std::{env, fs};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the files in a folder and its subfolders whose names end with `ending`.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    fn collect(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of the project").flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, ending, found);
            } else if path.extension().is_some_and(|e| e == ending) {
                found.push(path);
            }
        }
    }
    let mut found = vec![];
    collect(&root().join(folder), ending, &mut found);
    found.sort();
    assert!(!found.is_empty(), "{folder} has no .{ending} files");
    found
}

/// Returns the code of a file, without its comments and its test module.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    let text = text.split("#[cfg(test)]").next().expect("split gives at least one part");
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn forbid(folder: &str, words: &[&str], why: &str) {
    let mut found = vec![];
    // These files may contain the words, because tests name the kernels that they test, and injected faults name
    // the kernels that they change.
    let exempt =
        |path: &PathBuf| ["tests.rs", "fault_injection.rs"].iter().any(|end| path.to_string_lossy().ends_with(end));
    for path in files(folder, "rs").into_iter().filter(|path| !exempt(path)) {
        let code = code(&path);
        for (number, line) in code.lines().enumerate() {
            let holds = |word: &&&str| {
                line.match_indices(**word).any(|(at, _)| {
                    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
                    edge(line[..at].chars().next_back()) && edge(line[at + word.len()..].chars().next())
                })
            };
            if let Some(word) = words.iter().find(holds) {
                found.push(format!("{}: `{word}` in code line {}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{why}\n{}", found.join("\n"));
}

fn manifest(folder: &str) -> String {
    fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest")
}

#[test]
fn core_names_no_gpu_api_and_no_layer() {
    let why = "core holds graphs, ops, autodiff, plans and the reference; layers live in nn";
    forbid("crates/core/src", &["wgpu", "naga", "wgrad_kernels", "wgrad_nn", "Optimizer"], why);
    assert!(!manifest("crates/core").contains("wgpu"));
}

#[test]
fn the_frame_of_core_names_no_op() {
    let why = "graphs, plans and the CPU backend run whatever op they are given";
    let words = ["relu", "sigmoid", "softmax", "batch_norm", "dropout"];
    for folder in ["host", "op", "graph", "plan", "cpu", "session", "verify"] {
        forbid(&format!("crates/core/src/{folder}"), &words, why);
    }
}

#[test]
fn the_gpu_backend_names_no_op() {
    let ops = files("crates/core/src/ops", "rs");
    let stems: Vec<String> = ops
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|stem| stem != "mod")
        .collect();
    let mut words: Vec<&str> = stems.iter().map(String::as_str).collect();
    words.push("relu");
    // These words also have other meanings (iterators have `sum` and `max`, buffers have `axes`), so they are not
    // checked.
    let common = [
        "arithmetic",
        "axes",
        "binary",
        "concat",
        "gather",
        "kernels",
        "max",
        "parts",
        "reference",
        "sort",
        "sum",
        "variants",
        "windows",
    ];
    words.retain(|word| !common.contains(word));
    forbid("crates/kernels/src", &words, "kernels runs whatever it is given");
}

#[test]
fn nn_adds_no_kernel() {
    forbid("crates/nn/src", &["wgpu", "Kernel", "Dispatch", "Pointwise", "wgsl"], "layers compose ops");
}

#[test]
fn parity_adds_no_kernel_and_names_no_gpu_api() {
    forbid("crates/parity/src", &["wgpu", "Kernel", "wgsl"], "the harness compares what is there with its reference");
}

/// The project's crates, each with the other crates of the project on which it may depend.
const LAYERS: [(&str, &[&str]); 9] = [
    ("shaders", &[]),
    ("crates/core", &["shaders"]),
    ("crates/kernels", &["core", "shaders"]),
    ("crates/nn", &["core"]),
    ("crates/data", &["core"]),
    ("crates/metrics", &["core"]),
    ("crates/train", &["core", "data", "metrics", "nn"]),
    ("crates/parity", &["core", "kernels", "nn"]),
    ("crates/cli", &["core", "kernels", "data", "metrics", "nn", "parity", "train"]),
];

/// Returns the project's crates on which a manifest depends, without its dev-dependencies.
fn dependencies(folder: &str) -> Vec<String> {
    let manifest = manifest(folder);
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| Some(line.strip_prefix("wgrad-")?.split(['.', ' ']).next()?.to_owned())).collect()
}

#[test]
fn crates_depend_in_one_direction() {
    for (folder, expected) in LAYERS {
        assert_eq!(dependencies(folder), expected, "{folder}");
    }
    for (folder, _) in &LAYERS[..8] {
        for package in ["clap", "comfy-table"] {
            assert!(!manifest(folder).contains(package), "{folder} must not depend on {package}");
        }
    }
}

/// Returns the arrows of a Mermaid diagram in a document. The line `a --> b & c` has two arrows.
fn drawn(document: &str, picture: usize) -> Vec<(String, String)> {
    let picture = document.split("```mermaid\n").nth(picture + 1).and_then(|rest| rest.split("```").next());
    let lines = picture.expect("a picture").lines().filter_map(|line| line.trim().split_once(" --> "));
    lines.flat_map(|(from, to)| to.split(" & ").map(|to| (from.to_owned(), to.to_owned()))).collect()
}

#[test]
fn the_diagram_of_crates_is_true() {
    let document = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the document");
    let mut drawn = drawn(&document, 0);
    drawn.sort();
    let mut present: Vec<(String, String)> = vec![];
    for (folder, _) in LAYERS {
        let name = folder.trim_start_matches("crates/");
        present.extend(dependencies(folder).into_iter().map(|to| (name.to_owned(), to)));
    }
    present.extend(dependencies(".").into_iter().map(|to| ("wgrad".to_owned(), to)));
    present.sort();
    assert_eq!(drawn, present, "redraw the picture in ARCHITECTURE.md");
}

#[test]
fn folders_of_core_stand_in_order() {
    let library = fs::read_to_string(root().join("crates/core/src/lib.rs")).expect("a source");
    let document = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the document");
    for entry in fs::read_dir(root().join("crates/core/src")).expect("the sources").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            assert!(library.contains(&format!("mod {name};")), "lib.rs does not declare {name}");
            assert!(document.contains(&format!("`core/{name}/`")), "ARCHITECTURE.md does not name core/{name}/");
        }
    }
    let mut drawn = drawn(&document, 1);
    let mut present = circles::arrows(&root().join("crates/core/src"));
    drawn.sort();
    present.sort();
    assert_eq!(drawn, present, "redraw the picture of core's folders in ARCHITECTURE.md");
}

/// Accepted dependency cycles between files: the crate and one file of the cycle, with the reason in a comment.
const CIRCLES: [(&str, &str); 2] = [
    // A graph's nodes contain ops, and the gradient rules of ops add tensors to that graph.
    ("crates/core", "graph/tensor.rs"),
    // A trainer contains callbacks, which take the trainer as an argument.
    ("crates/train", "trainer.rs"),
];

#[test]
fn files_make_no_circles() {
    let mut found = vec![];
    for (folder, _) in &LAYERS[1..] {
        for circle in circles::circles(&root().join(folder).join("src")) {
            let known = CIRCLES.iter().any(|(known, file)| known == folder && circle.iter().any(|name| name == file));
            if !known {
                found.push(format!("{folder}: {}", circle.join(", ")));
            }
        }
    }
    assert!(found.is_empty(), "move what they share one level down:\n{}", found.join("\n"));
}

#[test]
fn unsafe_code_stands_where_it_may() {
    // These files need unsafe code: for the pointers that the gemm crate takes, for marking kernels that never
    // access memory out of bounds, and for compiling these kernels without wgpu's runtime checks.
    let allowed = [
        "crates/core/src/host/gemm.rs",
        "crates/core/src/op/launch.rs",
        "crates/kernels/src/kernels/trusted.rs",
        "crates/kernels/src/kernels/compile.rs",
    ];
    for folder in ["crates", "src", "xtask/src", "examples"] {
        for path in files(folder, "rs") {
            let text = code(&path);
            let inside = text.contains("unsafe {") || text.contains("unsafe fn") || text.contains("unsafe impl");
            let known = allowed.iter().any(|file| path.ends_with(file));
            assert!(!inside || known, "{} has unsafe code", path.display());
        }
    }
}

#[test]
fn every_shader_opens_with_its_maths() {
    for path in files("shaders", "wgsl") {
        let text = fs::read_to_string(&path).expect("a shader");
        assert!(text.starts_with("// "), "{} has no opening comment", path.display());
    }
}

#[test]
fn every_shader_belongs_to_an_op() {
    let sources: String =
        files("crates", "rs").iter().map(|path| fs::read_to_string(path).expect("a source")).collect();
    for path in files("shaders", "wgsl") {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a file name").to_uppercase();
        let shared = path.parent().is_some_and(|folder| folder.ends_with("lib"));
        let constant = format!("wgrad_shaders::{}{name}", if shared { "lib::" } else { "" });
        assert!(sources.contains(&constant), "no op includes {}", path.display());
    }
}

#[test]
fn files_can_be_read_in_one_sitting() {
    for folder in ["crates", "src", "xtask/src", "tests", "examples"] {
        for path in files(folder, "rs") {
            let lines = fs::read_to_string(&path).expect("a source").lines().count();
            assert!(lines <= 560, "{} has {lines} lines: what is the second thing in it?", path.display());
        }
    }
}

#[test]
fn reports_name_the_version_of_wgpu_that_is_built() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("the versions in use");
    let after = lock.split("name = \"wgpu\"\nversion = \"").nth(1).expect("wgpu is in use");
    assert_eq!(after.split('.').next(), Some(wgrad::gpu::WGPU));
}

//! A temporary folder for each test, and functions that run `wgrad` in it.

#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Output and exit code of a finished `wgrad` process.
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Run {
    /// Parses the last line of standard output as JSON.
    pub fn json(&self) -> Value {
        let line = self.out.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{}", self.err))
    }

    /// Asserts that the process succeeded.
    #[track_caller]
    pub fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self
    }

    /// Asserts that the process exited with this code.
    #[track_caller]
    pub fn bad_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        self
    }

    /// Asserts that the process exited with this code and printed one `error:`, with all of these words.
    #[track_caller]
    pub fn bad(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        assert_eq!(self.err.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in: {}", self.err);
        }
        self
    }
}

/// Temporary folders of a test: one for its files, and one for the command's caches. Both are removed on drop.
pub struct Place(tempfile::TempDir, tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        let folder = || tempfile::tempdir().expect("a temporary folder");
        Self(folder(), folder())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).expect("a file in a temporary folder");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("UTF-8")
    }

    /// Returns the sorted names of the files in the folder.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("the temporary folder");
        let mut names: Vec<_> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Runs `wgrad` in the folder. `line` contains its arguments, separated by spaces.
    pub fn wgrad(&self, line: &str) -> Run {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub fn run(&self, args: &[&str]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
        // There is no runtime folder, as in a container, where drivers may print warnings.
        command.args(args).current_dir(self.0.path()).env_remove("XDG_RUNTIME_DIR").env_remove("WAYLAND_DISPLAY");
        for caches in ["XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"] {
            command.env(caches, self.1.path());
        }
        let output = command.output().expect("the command starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Returns the path of a data file in `examples/data`.
pub fn example(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data");
    root.join(name).to_str().expect("UTF-8").into()
}

/// Returns a CSV file of `n` rows; `row` formats the row with the given index.
pub fn csv(header: &str, n: u32, row: impl Fn(u32) -> String) -> String {
    let rows: Vec<String> = (0..n).map(row).collect();
    format!("{header}\n{}\n", rows.join("\n"))
}

/// Returns a small data set in which column `a` determines the class and column `b` is noise.
pub fn two_classes() -> String {
    csv("a,b,sick", 60, |i| {
        let (class, noise) = (i % 2, f64::from(i * 37 % 41) / 41.0);
        let label = if class == 0 { "no" } else { "yes" };
        format!("{},{},{label}", f64::from(class) + 1.4 * noise, f64::from(i * 17 % 23))
    })
}

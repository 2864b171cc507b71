//! What judges translated shaders from outside: a tool is asked about many files at a time, on all cores.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether a program is there.
pub fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Files of one kind in a temporary folder, each distinct text once.
pub struct Files {
    folder: tempfile::TempDir,
    known: BTreeSet<Vec<u8>>,
    extension: &'static str,
    pub files: Vec<(PathBuf, String)>,
}

impl Files {
    pub fn new(extension: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, known: BTreeSet::new(), extension, files: vec![] }
    }

    /// Writes a file, to be named `entry` by those that must be told.
    pub fn add(&mut self, bytes: Vec<u8>, entry: &str) -> Result<(), String> {
        if self.known.contains(&bytes) {
            return Ok(());
        }
        let file = self.folder.path().join(format!("{}.{}", self.files.len(), self.extension));
        std::fs::write(&file, &bytes).map_err(|error| error.to_string())?;
        self.known.insert(bytes);
        self.files.push((file, entry.to_string()));
        Ok(())
    }

    /// Asks a tool, `batch` files at a time, and returns what it says about those that it refuses.
    pub fn judge(&self, batch: usize, command: impl Fn(&[(PathBuf, String)]) -> Command + Sync) -> Vec<String> {
        let batches: Vec<_> = self.files.chunks(batch).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = batches.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let workers: Vec<_> = batches
                .chunks(share)
                .map(|mine| scope.spawn(|| mine.iter().filter_map(|files| refused(command(files))).collect::<Vec<_>>()))
                .collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("it does not panic")).collect()
        })
    }
}

/// What a tool says when it fails.
fn refused(mut command: Command) -> Option<String> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    (!output.status.success()).then(|| String::from_utf8_lossy(&said).trim().to_string())
}

/// The text of a file that a message is about, for a look at what was refused.
pub fn excerpt(file: &Path, line: usize) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim().to_string()
}

//! External tools that check translated shaders. They run on all cores, with many files per call.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Returns the command of a tool: a program, or a script with the library that `cargo xtask adapters` downloaded
/// for it.
fn command(tool: &str) -> Command {
    let (program, script, library) = match tool {
        "tint" => ("node", "tint.mjs", "dawn.node"),
        "dxc" => ("python3", "dxc.py", "libdxcompiler.so"),
        program => return Command::new(program),
    };
    let mut command = Command::new(program);
    command.arg(Path::new("tests/shaders").join(script));
    command.arg(Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("shader-compilers").join(library));
    command
}

/// Returns whether a tool is installed and works. Its library may fail to load on this machine.
pub fn is_available(tool: &str) -> bool {
    let mut command = command(tool);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Files of one kind in a temporary folder, without duplicates. If the environment variable `WGRAD_KEEP_SHADERS`
/// names a folder, the files are kept there, for example to compile them with a driver.
pub struct Files {
    folder: TempDir,
    known: BTreeSet<Vec<u8>>,
    pub extension: &'static str,
    pub files: Vec<(PathBuf, String)>,
}

impl Files {
    pub fn new(extension: &'static str) -> Self {
        let kept = std::env::var_os("WGRAD_KEEP_SHADERS");
        let folder = kept.as_ref().map_or_else(tempfile::tempdir, |folder| TempDir::with_prefix_in(extension, folder));
        let mut folder = folder.expect("a temporary folder");
        folder.disable_cleanup(kept.is_some());
        Self { folder, known: BTreeSet::new(), extension, files: vec![] }
    }

    /// Writes a file whose name contains the kernel's name, for messages. `entry` is the entry point, which some
    /// tools need.
    pub fn add(&mut self, bytes: Vec<u8>, kernel: &str, entry: &str) -> Result<(), String> {
        if self.known.contains(&bytes) {
            return Ok(());
        }
        let file = self.folder.path().join(format!("{}-{kernel}.{}", self.files.len(), self.extension));
        std::fs::write(&file, &bytes).map_err(|error| error.to_string())?;
        self.known.insert(bytes);
        self.files.push((file, entry.to_string()));
        Ok(())
    }

    /// Checks all files with a tool, in batches of `batch` files. Returns the tool's messages about rejected
    /// files. `arguments` adds a batch to the tool's command line.
    pub fn check(
        &self,
        tool: &str,
        batch: usize,
        arguments: impl Fn(&mut Command, &[(PathBuf, String)]) + Sync,
    ) -> Vec<String> {
        let ask = |files: &[(PathBuf, String)]| {
            let mut command = command(tool);
            arguments(&mut command, files);
            refused(command)
        };
        let batches: Vec<_> = self.files.chunks(batch).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = batches.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let workers: Vec<_> = batches
                .chunks(share)
                .map(|mine| scope.spawn(|| mine.iter().filter_map(|files| ask(files)).collect::<Vec<_>>()))
                .collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("it does not panic")).collect()
        })
    }
}

/// Runs a command. Returns its output if the command fails.
fn refused(mut command: Command) -> Option<String> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    (!output.status.success()).then(|| format!("{}: {}", output.status, String::from_utf8_lossy(&said).trim()))
}

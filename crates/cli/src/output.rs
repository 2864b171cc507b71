//! Output of the command: standard output, standard error, and files that are written completely or not at all.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;
use wgrad_core::{Error, Result};

use crate::error::CommandError;

/// Writes a line to standard error.
pub fn note(line: &str) {
    // If standard error cannot be written, there is nowhere left to report the failure.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes text to standard output. A closed pipe, as in `| head`, does not return an error.
///
/// # Errors
/// If standard output cannot be written for another reason.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io("standard output")(error)),
        _ => Ok(()),
    }
}

/// Prints the result of a check and returns the exit code: 0 if the check passed, otherwise 1.
///
/// If `line` is given, it is printed to standard output as JSON, and the text to standard error.
///
/// # Errors
/// If standard output cannot be written.
pub fn verdict(passes: bool, text: &str, line: Option<Value>) -> Result<ExitCode> {
    match line {
        Some(line) => {
            note(text.trim_end());
            print(&format!("{line}\n"))?;
        }
        None => print(text)?,
    }
    Ok(if passes { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Formats names in backticks, separated by commas.
pub fn list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Formats a number with its noun, as in `1 row` or `2 rows`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Checks that files can be written into a folder. Leaves the file system unchanged. `option` is the command-line
/// option that named the folder.
///
/// # Errors
/// If the folder does not exist and cannot be created, is not a folder, or cannot be written.
pub fn check_folder(folder: &Path, option: &'static str) -> Result<()> {
    let made = make_folder(folder, option)?;
    let probe = folder.join(temporary("probe"));
    let written = fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe));
    for folder in made.iter().rev() {
        let _ = fs::remove_dir(folder);
    }
    written.map_err(|source| cannot_write(folder, source, option))
}

/// Creates a folder and its missing parents. Returns the folders that it created, outermost first.
fn make_folder(folder: &Path, option: &'static str) -> Result<Vec<PathBuf>> {
    let mut missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.as_os_str().is_empty()).collect();
    missing.retain(|path| !path.exists());
    missing.reverse();
    let mut made = vec![];
    for path in missing {
        if let Err(source) = fs::create_dir(path) {
            made.iter().rev().for_each(|path: &PathBuf| drop(fs::remove_dir(path)));
            return Err(cannot_write(folder, source, option));
        }
        made.push(path.to_path_buf());
    }
    if folder.is_dir() {
        return Ok(made);
    }
    Err(CommandError::NotFolder { path: folder.into(), option }.into())
}

fn cannot_write(path: &Path, source: io::Error, option: &'static str) -> Error {
    CommandError::Write { path: path.into(), source, option }.into()
}

fn temporary(name: &str) -> String {
    format!(".{name}.{}.tmp", std::process::id())
}

/// Set of files that appear together: each is written under a temporary name and renamed when all are complete.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    /// Command-line option that names the folder, for error messages.
    option: &'static str,
    /// Folders that were created for these files.
    made: Vec<PathBuf>,
    /// Temporary path and final path of each written file.
    written: Vec<(PathBuf, PathBuf)>,
}

impl Files {
    /// Prepares to write files into a folder, which is created if it does not exist. `option` is the command-line
    /// option that named the folder.
    ///
    /// # Errors
    /// See [`check_folder`].
    pub fn new(folder: &Path, option: &'static str) -> Result<Self> {
        Ok(Self { made: make_folder(folder, option)?, folder: folder.into(), option, written: vec![] })
    }

    /// Writes a file under a temporary name.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let (now, then) = (self.folder.join(temporary(name)), self.folder.join(name));
        self.written.push((now.clone(), then.clone()));
        let written = fs::File::create(&now).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(|source| cannot_write(&then, source, self.option))
    }

    /// Renames all files to their final names, in the order in which they were written.
    ///
    /// An older file with the last file's name is removed first, so that readers never find the files of two runs
    /// mixed: the files are valid only if the last one is there.
    ///
    /// # Errors
    /// If a file cannot be replaced.
    pub fn publish(self) -> Result<()> {
        if let [_, .., (_, last)] = &self.written[..]
            && let Err(source) = fs::remove_file(last)
            && source.kind() != ErrorKind::NotFound
        {
            return Err(cannot_write(last, source, self.option));
        }
        self.written
            .iter()
            .try_for_each(|(now, then)| fs::rename(now, then).map_err(|source| cannot_write(then, source, self.option)))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // This removes only files that were not published, because published files have no temporary names, and
        // only empty folders, because `remove_dir` fails for others.
        for (now, _) in &self.written {
            let _ = fs::remove_file(now);
        }
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Splits a path into its folder and its file name. `option` is the command-line option that named the path.
///
/// # Errors
/// If the path does not end in a file name.
pub fn split(path: &Path, option: &'static str) -> Result<(PathBuf, String)> {
    let name = path.file_name().map(OsString::from).and_then(|name| name.into_string().ok());
    let Some(name) = name.filter(|_| !path.is_dir()) else {
        return Err(CommandError::NotFile { path: path.into(), option }.into());
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok((folder.unwrap_or_else(|| Path::new(".")).into(), name))
}

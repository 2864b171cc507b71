//! Output of the command: standard output, standard error, and files that are written completely or not at all.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;
use wgrad_core::{Error, Result};

/// Writes a line to standard error.
pub fn note(line: &str) {
    // If standard error cannot be written, there is no way to report it.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes text to standard output. A reader that has closed the pipe (`| head`) is not an error.
///
/// # Errors
/// If the stream cannot be written for another reason.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io("standard output")(error)),
        _ => Ok(()),
    }
}

/// Prints the result of a check and returns the exit code, 1 if it did not pass.
///
/// With `line`, the JSON goes to standard output and the text to standard error.
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

/// A message of the library in the words of the command: options instead of methods. `drop` is what drops columns.
pub fn for_the_command_line(message: &str, drop: &str) -> String {
    const CALL: &str = ".drop_columns([";
    let mut text = options(message).replace(".drop_columns (most often", &format!("{drop} (most often"));
    while let Some((before, rest)) = text.split_once(CALL) {
        let Some((names, after)) = rest.split_once("])") else { break };
        text = format!("{before}{drop} {}{after}", shell_word(&names.replace("\", \"", ",").replace('"', "")));
    }
    text
}

/// Replaces each `Type::method(…) (--option VALUE)` by the option.
fn options(message: &str) -> String {
    let mut text = String::new();
    let mut rest = message;
    while let Some((before, option)) = rest.split_once(" (--") {
        let Some((option, after)) = option.split_once(')') else { break };
        // The call ends here; it begins at the blank before its name, which is outside its parentheses.
        let name = before.strip_suffix(')').and_then(|call| call.rsplit_once('(')).map_or(before, |(name, _)| name);
        let start = name.rfind(' ').map_or(0, |at| at + 1);
        text.push_str(&before[..start]);
        text.push_str("--");
        text.push_str(option);
        rest = after;
    }
    text + rest
}

/// Quotes a word for a shell if it needs quotes.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-.,:/".contains(c);
    if word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// Formats names in backticks, separated by commas.
pub fn list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Formats a count with its noun: `1 row`, `2 rows`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Checks that files can be written into a folder. Leaves the file system unchanged.
///
/// # Errors
/// If the folder does not exist and cannot be created, is not a folder, or cannot be written.
pub fn check_folder(folder: &Path) -> Result<()> {
    let made = make_folder(folder)?;
    let probe = folder.join(temporary("probe"));
    let written = fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe));
    for folder in made.iter().rev() {
        let _ = fs::remove_dir(folder);
    }
    written.map_err(|error| cannot_write(folder, &error))
}

/// Creates a folder and its missing parents. Returns the created ones, outermost first.
fn make_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.as_os_str().is_empty()).collect();
    missing.retain(|path| !path.exists());
    missing.reverse();
    let mut made = vec![];
    for path in missing {
        if let Err(error) = fs::create_dir(path) {
            made.iter().rev().for_each(|path: &PathBuf| drop(fs::remove_dir(path)));
            return Err(cannot_write(folder, &error));
        }
        made.push(path.to_path_buf());
    }
    if folder.is_dir() {
        return Ok(made);
    }
    Err(Error::Data(format!(
        "{} is a file, so nothing can be saved in it; choose a folder with --out",
        folder.display()
    )))
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    Error::Data(format!("{path} cannot be written: {error}; choose another place with --out"))
}

fn temporary(name: &str) -> String {
    format!(".{name}.{}.tmp", std::process::id())
}

/// Set of files that appear together: they are written under temporary names first.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    /// Folders that were created for the files.
    made: Vec<PathBuf>,
    /// Temporary and final path of each written file.
    written: Vec<(PathBuf, PathBuf)>,
}

impl Files {
    /// Prepares to write files into a folder. Creates the folder if it does not exist.
    ///
    /// # Errors
    /// See [`check_folder`].
    pub fn new(folder: &Path) -> Result<Self> {
        Ok(Self { made: make_folder(folder)?, folder: folder.into(), written: vec![] })
    }

    /// Writes a file under a temporary name.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let (now, then) = (self.folder.join(temporary(name)), self.folder.join(name));
        self.written.push((now.clone(), then.clone()));
        let written = fs::File::create(&now).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(|error| cannot_write(&then, &error))
    }

    /// Renames all files to their final names, in the order in which they were written.
    ///
    /// The last file makes the others valid, so an older file of its name is removed first: files of two runs are
    /// never mixed.
    ///
    /// # Errors
    /// If a file cannot be replaced.
    pub fn publish(self) -> Result<()> {
        if let [_, .., (_, last)] = &self.written[..]
            && let Err(error) = fs::remove_file(last)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(cannot_write(last, &error));
        }
        self.written
            .iter()
            .try_for_each(|(now, then)| fs::rename(now, then).map_err(|error| cannot_write(then, &error)))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Published files have been renamed, and `remove_dir` keeps a folder that is not empty.
        for (now, _) in &self.written {
            let _ = fs::remove_file(now);
        }
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Splits a path into its folder and its file name.
///
/// # Errors
/// If the path does not end in a file name.
pub fn split(path: &Path) -> Result<(PathBuf, String)> {
    let name = path.file_name().map(OsString::from).and_then(|name| name.into_string().ok());
    let Some(name) = name.filter(|_| !path.is_dir()) else {
        return Err(Error::Data(format!("{} is not the name of a file; give one with --out", path.display())));
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok((folder.unwrap_or_else(|| Path::new(".")).into(), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_become_options() {
        assert_eq!(
            for_the_command_line("Drop them with .drop_columns([\"name\", \"home city\"]), or not.", "--drop"),
            "Drop them with --drop 'name,home city', or not."
        );
        assert_eq!(for_the_command_line("Missing::FillMean (--missing mean) fills", ""), "--missing mean fills");
        assert_eq!(
            for_the_command_line("use Split::by_time(\"my day\") (--time my day), or .limit(7) (--limit 7). (--x", ""),
            "use --time my day, or --limit 7. (--x"
        );
    }
}

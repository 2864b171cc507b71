//! What the command writes: to its two streams, and files that are complete or not there.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;
use wgrad_core::{Error, Result};

/// Writes a line to standard error.
pub fn note(line: &str) {
    // If nobody can be told, there is nobody to tell.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes text to standard output. A reader that has gone (`| head`) is no error.
///
/// # Errors
/// When the stream cannot be written for another reason.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io("standard output")(error)),
        _ => Ok(()),
    }
}

/// Prints what was found, or with `line` that for programs and the text beside it; gives the exit code, 1 if it does not pass.
///
/// # Errors
/// When standard output cannot be written.
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

/// A word that a shell takes as one.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-.,:/".contains(c);
    if word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// Names in backticks, separated by commas.
pub fn list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// `1 row`, `2 rows`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Finds out whether files can be written into a folder, and leaves everything as it was.
///
/// # Errors
/// When the folder is not there and cannot be made, is no folder, or cannot be written.
pub fn check_folder(folder: &Path) -> Result<()> {
    let made = make_folder(folder)?;
    let probe = folder.join(temporary("probe"));
    let written = fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe));
    for folder in made.iter().rev() {
        let _ = fs::remove_dir(folder);
    }
    written.map_err(|error| cannot_write(folder, &error))
}

/// Makes a folder with those above it; returns the new ones, outermost first.
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

/// Files that appear together: written under temporary names first.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    /// The folders that were not there before.
    made: Vec<PathBuf>,
    /// Where each file is now, and where it belongs.
    written: Vec<(PathBuf, PathBuf)>,
}

impl Files {
    /// Files in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// As [`check_folder`].
    pub fn new(folder: &Path) -> Result<Self> {
        Ok(Self { made: make_folder(folder)?, folder: folder.into(), written: vec![] })
    }

    /// Writes a file under a temporary name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let (now, then) = (self.folder.join(temporary(name)), self.folder.join(name));
        self.written.push((now.clone(), then.clone()));
        let written = fs::File::create(&now).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(|error| cannot_write(&then, &error))
    }

    /// Gives all files their names, in the order in which they were written.
    ///
    /// The last one is what makes them valid, so an older one of its name goes first: there is never a mix.
    ///
    /// # Errors
    /// When a file cannot be replaced.
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
        // What was published has moved, and a folder with something in it stays.
        for (now, _) in &self.written {
            let _ = fs::remove_file(now);
        }
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The folder of a path and the name in it.
///
/// # Errors
/// When the path ends in no name.
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

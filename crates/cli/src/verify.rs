//! `wgrad verify-resume`: checks that a training run that is stopped and resumed saves the same bytes as one that
//! is not.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use wgrad_core::{Error, Result};

use crate::args::whole;
use crate::error::CommandError;
use crate::output::{note, print};
use crate::train;

/// The arguments of `wgrad verify-resume`.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(
    after_help = "Three processes train with the given options in a temporary folder: one from beginning to end; one \
    that stops after a random step; and one that resumes there. Then the saved models are compared, byte by byte. The \
    options of `wgrad train` about where to save and what to print have no effect. Exit code 1 if the models differ."
)]
pub struct Args {
    /// The step after which to stop. [default: a random one]
    #[arg(long, allow_negative_numbers = true, value_name = "STEP", value_parser = whole(1, "at least 1"))]
    at_step: Option<usize>,
    #[command(flatten)]
    train: train::Args,
}

/// Runs the command: trains without a stop, trains up to a stop, resumes, and compares the saved models.
///
/// # Errors
/// If a training run fails, or the folder for temporary files cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let folder = TempFolder::new()?;
    let arguments = training_arguments(std::env::args_os());
    note_step(args, "1 of 3: a training from beginning to end");
    let whole = child(&arguments, &folder.0.join("whole"), &["--json".into()], 0)?;
    let line = whole.lines().last().unwrap_or_default();
    let report: Value = serde_json::from_str(line).unwrap_or_default();
    let steps = report["steps"].as_u64().unwrap_or(0);
    let step = match args.at_step.map(|step| step as u64) {
        Some(step) if step >= steps => {
            return Err(CommandError::StopAfterEnd { step, steps }.into());
        }
        Some(step) => step,
        None if steps < 2 => {
            return Err(CommandError::TooFewSteps { steps }.into());
        }
        None => 1 + random() % (steps - 1),
    };
    note_step(args, &format!("2 of 3: one that stops after step {step} of {steps}"));
    let parts = folder.0.join("parts");
    child(&arguments, &parts, &["--stop-after".into(), step.to_string().into()], 130)?;
    note_step(args, "3 of 3: one that goes on from there");
    child(&arguments, &parts, &["--resume".into()], 0)?;
    let [whole, parts] = [folder.0.join("whole"), parts].map(|folder| read(&folder));
    let (whole, parts) = (whole?, parts?);
    let same = whole == parts;
    let at = whole.iter().zip(&parts).position(|(a, b)| a != b).unwrap_or(whole.len().min(parts.len()));
    let device = &report["adapter"];
    if args.train.json {
        let line = json!({ "same": same, "step": step, "steps": steps, "bytes": whole.len(), "adapter": device });
        print(&format!("{line}\n"))?;
    } else if same {
        let bytes = whole.len();
        print(&format!(
            "the same: stopped after step {step} of {steps} and resumed, the model has the same {bytes} bytes\n"
        ))?;
    } else {
        print(&format!(
            "DIFFERENT: stopped after step {step} of {steps} and resumed, the model differs from byte {at} on\n\
             this is a bug of wgrad or of the driver; check again with --at-step {step}, and on --device cpu\n"
        ))?;
    }
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn note_step(args: &Args, text: &str) {
    if !args.train.quiet {
        note(text);
    }
}

/// Returns a number derived from the clock, for choosing a random step.
fn random() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

/// Returns the arguments of this command that are passed to `wgrad train`: without the subcommand, and without the
/// options that this command sets itself.
fn training_arguments(all: impl Iterator<Item = OsString>) -> Vec<OsString> {
    const VALUES: [&str; 4] = ["--at-step", "--out", "--checkpoint-every", "--stop-after"];
    const FLAGS: [&str; 5] = ["--json", "--quiet", "--resume", "--overwrite", "--find-lr"];
    let (mut kept, mut skip) = (vec![], false);
    for word in all.skip(2) {
        let text = word.to_string_lossy();
        let name = text.split('=').next().unwrap_or_default();
        if std::mem::take(&mut skip) || FLAGS.contains(&name) {
            continue;
        }
        if VALUES.contains(&name) {
            skip = !text.contains('=');
            continue;
        }
        kept.push(word);
    }
    kept
}

/// Trains in a child process, which must exit with `code`. Returns the child's standard output.
fn child(arguments: &[OsString], out: &Path, more: &[OsString], code: i32) -> Result<String> {
    let this = std::env::current_exe().map_err(Error::io("wgrad"))?;
    let mut command = Command::new(this);
    command.arg("train").args(arguments).arg("--quiet").arg("--out").arg(out).args(more);
    let output = command.stdin(Stdio::null()).output().map_err(Error::io("wgrad train"))?;
    if output.status.code() == Some(code) {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_string();
    if stderr.is_empty() {
        return Err(CommandError::ChildEnded { command: "train".into(), status: output.status }.into());
    }
    Err(CommandError::Child { stderr }.into())
}

fn read(folder: &Path) -> Result<Vec<u8>> {
    let path = folder.join("model.safetensors");
    fs::read(&path).map_err(Error::io(&path))
}

/// Folder for temporary files; removed on drop.
struct TempFolder(PathBuf);

impl TempFolder {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("wgrad-verify-{}-{}", std::process::id(), random()));
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        Ok(Self(folder))
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_set_by_verify_resume_are_not_passed_on() {
        let all =
            "wgrad verify-resume a.csv --target y --out m --at-step=3 --json --lr 0.1 --checkpoint-every 5 --seed 2";
        let kept = training_arguments(all.split(' ').map(OsString::from));
        assert_eq!(kept, ["a.csv", "--target", "y", "--lr", "0.1", "--seed", "2"].map(OsString::from));
    }
}

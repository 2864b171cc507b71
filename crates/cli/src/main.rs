//! The `wgrad` command: `devices`, `train`, `verify-resume`, `predict`, `compare`, `tune`, `bench` and `parity`.

mod args;
mod bench;
mod compare;
mod devices;
mod error;
mod model;
mod output;
mod parity;
mod predict;
mod shell;
mod train;
mod tune;
mod variants;
mod verify;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use error::CommandError;
use wgrad_core::Result;

/// Trains a neural network on a CSV file, and predicts with it, on any GPU or on the CPU.
#[derive(Debug, Parser)]
#[command(
    name = "wgrad",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Examples:
  wgrad train tumours.csv --target malignant
  wgrad predict tumours-model new.csv --out predictions.csv
  wgrad compare tumours-model tumours-wide-model
  wgrad tune --model tumours-model --device gpu
  wgrad bench tabular mid --all-devices
  wgrad parity --report parity.html

Exit codes: 0 done, 1 the data, the model or the device cannot be used, 2 wrong usage, 130 stopped by Ctrl-C."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the devices: every GPU adapter with its limits, and the CPU.
    Devices(devices::Args),
    /// Train a classifier on a CSV file, test it on held-out rows, and save it.
    Train(Box<train::Args>),
    /// Check that a training run that is stopped and resumed gives the same model, byte for byte, as an uninterrupted
    /// one.
    VerifyResume(Box<verify::Args>),
    /// Predict the class of each row of a CSV file with a saved model.
    Predict(predict::Args),
    /// Compare trained models: settings that differ, test metrics with intervals, and differences from the first
    /// model.
    Compare(compare::Args),
    /// Measure which kernel variants are fastest on a device; `train`, `predict` and `bench` then use them.
    Tune(tune::Args),
    /// Measure the speed of training steps and kernels, after checking each against the reference.
    Bench(bench::Args),
    /// Check that every kernel computes what the reference computes, on every device of this machine.
    Parity(parity::Args),
}

fn main() -> ExitCode {
    let start = Instant::now();
    silence_the_driver();
    let (result, drop) = match Cli::parse().command {
        Command::Devices(args) => (done(devices::run(&args)), ""),
        Command::Train(args) => (train::run(&args), "--drop"),
        Command::Compare(args) => (done(compare::run(&args)), ""),
        Command::VerifyResume(args) => (verify::run(&args), "--drop"),
        Command::Tune(args) => (done(tune::run(&args)), ""),
        Command::Bench(args) => (done(bench::run(&args, start)), ""),
        Command::Parity(args) => (parity::run(&args), ""),
        Command::Predict(args) => (done(predict::run(&args)), "`wgrad train` and --drop"),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // The message of a child process already starts with `error: `.
            let prefix = if matches!(error.facts(), Some(CommandError::Child { .. })) { "" } else { "error: " };
            output::note(&format!("{prefix}{}", error::message(&error, drop)));
            ExitCode::FAILURE
        }
    }
}

fn done(result: Result<()>) -> Result<ExitCode> {
    result.map(|()| ExitCode::SUCCESS)
}

/// Restarts the process with `WAYLAND_DISPLAY` set to a path at which there is no display.
///
/// When Mesa selects a device, it looks for a Wayland display. If `XDG_RUNTIME_DIR` is not set, as in containers
/// and over SSH, libwayland then prints an error message, unless `WAYLAND_DISPLAY` is an absolute path. The
/// environment of a running process cannot be changed safely, so the command executes itself again with such a
/// path. The restarted process finds the variable set and does not restart again.
#[cfg(target_os = "linux")]
fn silence_the_driver() {
    use std::env::{args_os, current_exe, var_os};
    use std::os::unix::process::CommandExt;
    const DISPLAY: &str = "WAYLAND_DISPLAY";
    let absolute = |name: &str| var_os(name).is_some_and(|path| std::path::Path::new(&path).is_absolute());
    if absolute("XDG_RUNTIME_DIR") || absolute(DISPLAY) {
        return;
    }
    if let Ok(this) = current_exe() {
        let mut again = std::process::Command::new(this);
        if let Some(name) = args_os().next() {
            again.arg0(name);
        }
        // `exec` returns only if it fails. Then the driver prints its message, and everything else works.
        let _ = again.args(args_os().skip(1)).env(DISPLAY, "/dev/null").exec();
    }
}

#[cfg(not(target_os = "linux"))]
fn silence_the_driver() {}

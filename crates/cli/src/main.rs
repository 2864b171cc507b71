//! The `wgrad` command: `devices`, `train` and `predict`.

mod devices;
mod model;
mod output;
mod predict;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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

Exit codes: 0 done, 1 the data, the model or the device cannot be used, 2 wrong usage."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what can compute: every GPU adapter with its limits, and the CPU.
    Devices(devices::Args),
    /// Train a classifier on a CSV file, test it on rows set aside, and save it.
    Train(train::Args),
    /// Predict the classes of the rows of a CSV file with a saved model.
    Predict(predict::Args),
}

fn main() -> ExitCode {
    silence_the_driver();
    let result = match Cli::parse().command {
        Command::Devices(args) => devices::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Predict(args) => predict::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&format!("error: {}", output::for_the_command_line(&error.to_string())));
            ExitCode::FAILURE
        }
    }
}

/// Mesa's device selection asks for a Wayland display, and libwayland complains on stderr where `XDG_RUNTIME_DIR` is not
/// set, as in containers and over SSH. The environment of a running process cannot be changed safely, so the command
/// starts itself anew with the variable set; as it is set then, this happens once.
#[cfg(target_os = "linux")]
fn silence_the_driver() {
    use std::os::unix::process::CommandExt;
    const NAME: &str = "XDG_RUNTIME_DIR";
    if std::env::var_os(NAME).is_some() {
        return;
    }
    if let Ok(this) = std::env::current_exe() {
        let mut again = std::process::Command::new(this);
        if let Some(name) = std::env::args_os().next() {
            again.arg0(name);
        }
        // Returns only when it fails; then there is noise, but everything works.
        let _ = again.args(std::env::args_os().skip(1)).env(NAME, std::env::temp_dir()).exec();
    }
}

#[cfg(not(target_os = "linux"))]
fn silence_the_driver() {}

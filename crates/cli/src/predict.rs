//! `wgrad predict`: predicts the classes of new rows with a saved model.

use std::path::{Path, PathBuf};

use wgrad_core::{Array, Error, Params, Result};
use wgrad_data::Table;
use wgrad_metrics::Decision;
use wgrad_nn::Module;
use wgrad_train::{Silent, Trainer};

use crate::devices::open;
use crate::error::CommandError;
use crate::model::Model;
use crate::output::{Files, check_folder, count, list, note, print, split};
use crate::variants::Stored;

/// The arguments of `wgrad predict`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The output has a row per row of FILE, in the same order, with the columns `p_CLASS`, the probability of \
    each class, and `label`, the predicted class. The calibration and, for two classes, the threshold were chosen by the \
    training; a note on standard error describes them."
)]
pub struct Args {
    /// The folder in which `wgrad train` saved the model.
    #[arg(value_name = "DIR")]
    model: PathBuf,
    /// The CSV file with the rows. It needs the columns that the model was trained on, in any order; other columns
    /// are ignored.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file to write the predictions to; `-` is standard output. [default: -]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The device that computes: auto, cpu, cpu-f64, gpu, or an adapter's name (see `wgrad devices`).
    #[arg(long, default_value = "auto")]
    device: String,
    #[command(flatten)]
    stored: Stored,
}

/// Runs the command: predicts the rows and writes the predictions.
///
/// # Errors
/// If the model, the rows or the device cannot be used, or the output cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let params = Params::default();
    let (model, layers) = Model::load(&args.model, &params)?;
    let table = Table::read(&args.file)?;
    let x = model.preprocess.apply(&table)?;
    let out = args.out.as_deref().filter(|path| path.as_os_str() != "-");
    let destination = out.map(|out| check_destination(out, &args.file)).transpose()?;
    note_extra_columns(&model, &table);
    let device = args.stored.apply(open(&args.device, false)?, false)?;
    let logits = Trainer::new(device, &params).progress(Silent).predict_logits_rows(&x, |x| layers.forward(x))?;
    let text = csv(&model, &logits)?;
    if model.decision != Decision::default() {
        note(&format!("note: {}", model.describe_decision()));
    }
    let Some(destination) = destination else { return print(&text) };
    match &destination {
        Destination::Stream(path) => std::fs::write(path, text).map_err(Error::io(path))?,
        Destination::File(folder, name) => {
            let mut files = Files::new(folder, "--out")?;
            files.write(name, text.as_bytes())?;
            files.publish()?;
            let out = out.unwrap_or(folder).display();
            note(&format!("{} written to {out}", count(table.rows(), "prediction")));
        }
    }
    Ok(())
}

/// Destination of the predictions.
enum Destination {
    /// A file with this name in this folder. The file appears when it is complete.
    File(PathBuf, String),
    /// A pipe or a device file such as `/dev/stdout`, which must be written to and not replaced.
    Stream(PathBuf),
}

/// Returns the destination that `--out` names, after checking that it can be written.
fn check_destination(out: &Path, file: &Path) -> Result<Destination> {
    // A symbolic link is resolved, so that the file it points to is replaced and not the link itself.
    let real = out.canonicalize();
    if real.as_ref().is_ok_and(|real| file.canonicalize().is_ok_and(|file| file == *real)) {
        return Err(CommandError::OverwritesInput { path: out.into() }.into());
    }
    if out.exists() && !out.is_file() && !out.is_dir() {
        return Ok(Destination::Stream(out.into()));
    }
    let (folder, name) = split(real.as_deref().unwrap_or(out), "--out")?;
    check_folder(&folder, "--out")?;
    Ok(Destination::File(folder, name))
}

fn note_extra_columns(model: &Model, table: &Table) {
    let (targets, others): (Vec<&str>, Vec<&str>) =
        model.preprocess.extra_columns(table).into_iter().partition(|name| *name == model.target);
    if !targets.is_empty() {
        note(&format!("note: column `{}` is the target; it is ignored", model.target));
    }
    if !others.is_empty() {
        let what = if others.len() == 1 {
            "a column that the model does not know is"
        } else {
            "columns that the model does not know are"
        };
        note(&format!("note: {what} ignored: {}", list(others)));
    }
}

/// Formats the predictions as CSV.
fn csv(model: &Model, logits: &Array) -> Result<String> {
    let mut writer = csv::Writer::from_writer(vec![]);
    let header = model.classes.iter().map(|class| format!("p_{class}")).chain(["label".into()]);
    let failed = |error: &dyn std::fmt::Display| CommandError::Predictions { reason: error.to_string() };
    writer.write_record(header).map_err(|error| failed(&error))?;
    let width = logits.shape().dims().last().copied().unwrap_or(1);
    let values = logits.to_f64();
    for (row, given) in values.chunks(width).enumerate() {
        if given.iter().any(|z| !z.is_finite()) {
            return Err(CommandError::OutputNotFinite { row: row + 1 }.into());
        }
        let mut all = model.decision.probabilities(given);
        if let [p] = all[..] {
            all = vec![1.0 - p, p];
        }
        let best = model.decision.class(given) as usize;
        let cells = all.into_iter().map(number).chain([model.classes[best].clone()]);
        writer.write_record(cells).map_err(|error| failed(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    Ok(String::from_utf8(bytes).map_err(|error| failed(&error))?)
}

/// Formats a probability with the digits of a 32-bit float.
fn number(p: f64) -> String {
    let p = p as f32;
    if p == 0.0 || p >= 1e-4 { p.to_string() } else { format!("{p:e}") }
}

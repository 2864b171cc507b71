//! `wgrad train`: trains a classifier on a CSV file and saves it.

mod audit;
mod classes;
mod data;
mod decide;
mod fit;
mod lockstep;
mod options;
mod report;
mod running;
mod summary;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use wgrad_core::{DeviceInfo, Params, Result, TuningChoices};
use wgrad_data::{Dataset, Parts};

use crate::devices::open;
use crate::error::CommandError;
use crate::model::{Architecture, FORMAT, Loss, Model, Training, VERSION};
use crate::output::check_folder;
use fit::{Fitted, Outcome, Task, fit};
use options::ModelArgs;
use report::Run;

pub use options::Args;

/// Runs the command: trains a model, tests it and saves it.
///
/// # Errors
/// If the rows, the device or the output cannot be used, or the training fails.
pub fn run(args: &Args) -> Result<ExitCode> {
    let begun = SystemTime::now();
    let validation = args.decision.validation(args.data.validation.or(args.running.validation()))?;
    let parts = args.data.parts(&args.file, &args.target, args.seed, validation)?;
    let train = &parts.train;
    args.decision.check(train.classes().len())?;
    let loss = loss(args, train)?;
    let balance = args.classes.balance(train, loss)?;
    let folder = args.out.clone().unwrap_or_else(|| default_folder(&args.file));
    check_folder(&folder, "--out")?;
    let device = open(&args.device, args.quiet)?;
    let info = device.info();
    if !args.quiet {
        summary::print_data(args, &parts, &info, &balance);
    }
    let device = args.stored.apply(device, args.quiet)?;

    let params = Params::seeded(args.seed);
    let ModelArgs { hidden, dropout, .. } = &args.model;
    let outputs = loss.logits(train.classes().len());
    let architecture = Architecture::new(train.preprocess(), train.features(), hidden.0.clone(), *dropout, outputs);
    let (folder, balance, parts) = (&folder, &balance, &parts);
    let task = Task { args, folder, params: &params, architecture: &architecture, loss, balance, parts };
    let outcome = match fit(&task, device)? {
        Fitted::Done(outcome) => outcome,
        Fitted::Ended(code) => return Ok(code),
    };
    let Outcome { history, evaluation, variants } = *outcome;
    let (decision, notes) = args.decision.decide(evaluation.validation.as_ref(), balance.shift().as_ref());
    if !args.quiet {
        decide::print(&decision, evaluation.validation.as_ref(), &notes);
    }
    let report = evaluation.test.report(&decision)?;

    let model = Model {
        format: FORMAT.into(),
        version: VERSION,
        target: args.target.clone(),
        classes: train.classes().to_vec(),
        loss,
        architecture,
        preprocess: train.preprocess().clone(),
        training: training(args, parts, balance.pos_weight, &info, &variants),
        decision,
        test: report,
    };
    let scores = (!args.no_report).then(|| evaluation.test.to_safetensors()).transpose()?;
    model.save(&params, scores.as_deref(), folder)?;
    if !args.no_report {
        let run = Run { begun, history: &history, info: &info, train, balance, notes: &notes };
        run.write(folder, &model, evaluation);
    }
    args.running.remove_checkpoints(folder);
    summary::print_result(args, folder, &info, &history, &model).map(|()| ExitCode::SUCCESS)
}

fn default_folder(file: &Path) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    PathBuf::from(format!("{stem}-model"))
}

fn loss(args: &Args, train: &Dataset) -> Result<Loss> {
    let classes = train.classes().len();
    match args.model.loss {
        Some(Loss::Bce) if classes != 2 => {
            Err(CommandError::BceNeedsTwoClasses { column: args.target.clone(), classes }.into())
        }
        Some(loss) => Ok(loss),
        None if classes == 2 => Ok(Loss::Bce),
        None => Ok(Loss::Ce),
    }
}

fn training(
    args: &Args,
    Parts { train, validation, .. }: &Parts,
    pos_weight: Option<f64>,
    info: &DeviceInfo,
    variants: &TuningChoices,
) -> Training {
    let ModelArgs { epochs, batch_size, lr, weight_decay, .. } = args.model;
    Training {
        file: args.file.display().to_string(),
        rows: train.rows(),
        test: args.data.test,
        validation_rows: validation.as_ref().map_or(0, Dataset::rows),
        seed: args.seed,
        epochs,
        batch_size,
        lr,
        weight_decay,
        pos_weight,
        missing: args.data.missing.to_string(),
        device: info.kind.clone(),
        adapter: info.adapter.clone(),
        variants: variants.iter().map(|(site, variant)| (site.into(), variant.into())).collect(),
        running: [args.running.settings(), args.classes.settings(), args.data.settings()]
            .into_iter()
            .flatten()
            .collect(),
    }
}

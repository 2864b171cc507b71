//! `wgrad train`: from a CSV file to a saved model.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use serde_json::json;
use wgrad_core::{Choices, DeviceInfo, Error, Params, Result, Tensor};
use wgrad_data::{Dataset, Parts};
use wgrad_kernels::Device;
use wgrad_nn::Module;
use wgrad_nn::losses::{BceWithLogitsLoss, CrossEntropyLoss, Loss as _};
use wgrad_nn::optim::AdamW;
use wgrad_train::{Ended, History, LrFinder, Progress, Recording, Silent, Targets, Trainer, automatic};

use crate::classes::{Balance, ClassArgs};
use crate::data::DataArgs;
use crate::decide::{self, DecisionArgs};
use crate::devices::open;
use crate::model::{Architecture, Loss, Model, Training, WIDEST};
use crate::output::{check_folder, count, list, note, print, shell_word};
use crate::report::{self, Seen};
use crate::running::{self, RunArgs, Stop};
use crate::tune::Stored;
use crate::{audit, lockstep};

/// The arguments of `wgrad train`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The model is Linear, BatchNorm1d, ReLU and, if asked for, Dropout per hidden layer, then Linear; \
    it is trained with AdamW. Every column but the target is a feature: numbers are standardised with what the training \
    rows teach, true and false are 1 and 0, and text becomes a feature of 0 and 1 per category; dates are refused. The same seed on the same device gives the same model, to the last bit."
)]
pub struct Args {
    /// The file of the rows: CSV with the names of the columns in the first line, or Parquet or Arrow where the command was
    /// built with its feature `arrow`.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The column to predict: numbers or text, one value per class.
    #[arg(long, value_name = "COLUMN")]
    target: String,
    /// Where to save the model: a folder, made if it is not there. [default: FILE's name with -model]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What computes: auto, cpu, cpu-f64, gpu, or an adapter's name (see `wgrad devices`).
    #[arg(long, default_value = "auto")]
    device: String,
    /// The seed of everything random: the split, the first weights, the order of the rows, dropout.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print the result as one JSON object, as the last line of standard output; all else goes to standard error.
    #[arg(long)]
    pub json: bool,
    /// Show no progress and no notes, only the result.
    #[arg(long)]
    pub quiet: bool,
    #[command(flatten)]
    stored: Stored,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    classes: ClassArgs,
    #[command(flatten)]
    decision: DecisionArgs,
    /// Write the model only: no report.html, no plots, no metrics.csv, no event file, no test scores.
    #[arg(long, help_heading = "Decision and report")]
    no_report: bool,
    #[command(flatten)]
    pub running: RunArgs,
    /// Hold the first STEPS steps, 1 if no number is given, to the reference on this device, node by node, and save nothing:
    /// prints the first node whose error exceeds its bound, and ends with code 1 then.
    #[arg(long, allow_negative_numbers = true, value_name = "STEPS", num_args = 0..=1, default_missing_value = "1", value_parser = whole(1, "at least 1"), help_heading = "Running")]
    lockstep: Option<usize>,
    /// With --lockstep: make the step that PyTorch made in this recording (of the recorder in the examples), too, and name the
    /// first module that differs.
    #[arg(long, value_name = "FILE", requires = "lockstep", help_heading = "Running")]
    against: Option<PathBuf>,
    /// After STEPS steps, 10 if no number is given, hold the gradients of the next one to finite differences, in f64 on the
    /// host, and save nothing: prints a line for each parameter, names the ops whose gradient is wrong, and ends with code 1
    /// then.
    #[arg(long, allow_negative_numbers = true, value_name = "STEPS", num_args = 0..=1, default_missing_value = "10", value_parser = whole(0, "0 or more"), conflicts_with = "lockstep", help_heading = "Running")]
    audit: Option<usize>,
    /// Stop after this step as Ctrl-C does; for `wgrad verify-resume`.
    #[arg(long, hide = true)]
    stop_after: Option<u64>,
}

/// What a training came to, for all that reports on it.
#[derive(Debug)]
struct Outcome {
    /// The epochs, and why they ended.
    history: History,
    /// What the model says about the rows set aside.
    seen: Seen,
    /// Which variants of kernels ran.
    variants: Choices,
}

/// How far it came.
enum Fitted {
    Done(Box<Outcome>),
    /// There is no model, but a checkpoint or a table.
    Over(ExitCode),
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Model and training")]
struct ModelArgs {
    /// The widths of the hidden layers; `none` for a linear model.
    #[arg(long, value_name = "WIDTHS", default_value = "64,64")]
    hidden: Hidden,
    /// Passes over the training rows.
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 30, value_parser = whole(1, "at least 1"))]
    epochs: usize,
    /// Rows per step.
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 32, value_parser = whole(2, "at least 2, as batch norm needs two rows"))]
    batch_size: usize,
    /// The learning rate.
    #[arg(long, allow_negative_numbers = true, value_name = "X", default_value_t = 1e-3, value_parser = number(|x| x > 0.0, "above 0"))]
    lr: f64,
    /// The weight decay.
    #[arg(long, allow_negative_numbers = true, value_name = "X", default_value_t = 0.01, value_parser = number(|x| x >= 0.0, "0 or above"))]
    weight_decay: f64,
    /// The probability of dropout after each hidden layer.
    #[arg(long, allow_negative_numbers = true, value_name = "P", default_value_t = 0.0, value_parser = number(|x| (0.0..1.0).contains(&x), "at least 0 and below 1"))]
    dropout: f64,
    /// What to make small: binary cross-entropy (one logit, two classes) or cross-entropy (one logit per class).
    /// [default: bce for two classes, ce for more]
    #[arg(long, value_name = "bce|ce", hide_possible_values = true)]
    loss: Option<Loss>,
}

/// A number within a range.
pub fn number(fits: fn(f64) -> bool, range: &'static str) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |word| match word.parse::<f64>() {
        Ok(x) if x.is_finite() && fits(x) => Ok(x),
        _ => Err(format!("a number {range} is needed")),
    }
}

/// A whole number from `least` on.
pub fn whole(least: usize, range: &'static str) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |word| match word.parse() {
        Ok(n) if n >= least => Ok(n),
        _ => Err(format!("a whole number is needed, {range}")),
    }
}

#[derive(Clone, Debug)]
struct Hidden(Vec<usize>);

impl FromStr for Hidden {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if word == "none" {
            return Ok(Self(vec![]));
        }
        let width = |word: &str| word.trim().parse().ok().filter(|width| (1..=WIDEST).contains(width));
        let widths: Option<Vec<usize>> = word.split(',').map(width).collect();
        let wrong = || format!("widths from 1 to {WIDEST} with commas between them are needed, such as 64,64, or none");
        widths.map(Self).ok_or_else(wrong)
    }
}

/// Trains, tests and saves.
///
/// # Errors
/// When the rows, the device or the output cannot be used, or the training fails.
pub fn run(args: &Args) -> Result<ExitCode> {
    let begun = SystemTime::now();
    let validation = args.decision.validation(args.data.validation.or(args.running.validation()))?;
    let parts = args.data.parts(&args.file, &args.target, args.seed, validation)?;
    let train = &parts.train;
    args.decision.check(train.classes().len())?;
    let loss = loss(args, train)?;
    let balance = args.classes.balance(train, loss)?;
    let folder = args.out.clone().unwrap_or_else(|| default_folder(&args.file));
    check_folder(&folder)?;
    let device = open(&args.device, args.quiet)?;
    let info = device.info();
    if !args.quiet {
        introduce(args, &parts, &info, &balance);
    }
    let device = args.stored.apply(device, args.quiet)?;

    let params = Params::seeded(args.seed);
    let ModelArgs { hidden, dropout, .. } = &args.model;
    let outputs = loss.logits(train.classes().len());
    let architecture = Architecture::new(train.preprocess(), train.features(), hidden.0.clone(), *dropout, outputs);
    let outcome = match fit(args, (device, &folder), &params, &architecture, (loss, &balance), &parts)? {
        Fitted::Done(outcome) => outcome,
        Fitted::Over(code) => return Ok(code),
    };
    let Outcome { history, seen, variants } = *outcome;
    let (decision, notes) = args.decision.decide(seen.validation.as_ref(), balance.shift().as_ref());
    if !args.quiet {
        decide::tell(&decision, seen.validation.as_ref(), &notes);
    }
    let report = seen.test.report(&decision)?;

    let names = (train.classes().to_vec(), loss);
    let about = (architecture, train.preprocess().clone());
    let training = training(args, &parts, balance.pos_weight, (&info, &variants));
    let model = Model::new(args.target.clone(), names, about, (training, decision, report));
    let scores = (!args.no_report).then(|| seen.test.to_safetensors()).transpose()?;
    model.save(&params, scores.as_deref(), &folder)?;
    if !args.no_report {
        report::write(&folder, &model, (begun, &history, &info), (train, &balance), (seen, &notes));
    }
    args.running.tidy(&folder);
    tell(args, &folder, &info, (&history, &model)).map(|()| ExitCode::SUCCESS)
}

fn default_folder(file: &Path) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    PathBuf::from(format!("{stem}-model"))
}

fn loss(args: &Args, train: &Dataset) -> Result<Loss> {
    let classes = train.classes().len();
    match args.model.loss {
        Some(Loss::Bce) if classes != 2 => Err(Error::Data(format!(
            "--loss bce needs two classes, but column `{}` has {classes}; use --loss ce or leave it away",
            args.target
        ))),
        Some(loss) => Ok(loss),
        None if classes == 2 => Ok(Loss::Bce),
        None => Ok(Loss::Ce),
    }
}

/// Says what was read, and what about it may surprise.
fn introduce(args: &Args, Parts { train, validation, test }: &Parts, info: &DeviceInfo, balance: &Balance) {
    let of_validation = validation.as_ref().map_or_else(|| vec![0; test.classes().len()], Dataset::class_counts);
    let counts = train.class_counts().into_iter().zip(test.class_counts()).zip(of_validation);
    let classes: Vec<String> =
        train.classes().iter().zip(counts).map(|(name, ((a, b), c))| format!("{name} ({})", a + b + c)).collect();
    let (shown, more) = classes.split_at(classes.len().min(12));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    note(&format!(
        "{}: {} to train on, {}{} to test on, {}",
        args.file.display(),
        count(train.rows(), "row"),
        validation.as_ref().map(|rows| format!("{} to validate on, ", rows.rows())).unwrap_or_default(),
        test.rows(),
        count(train.features(), "feature")
    ));
    note(&format!("{}: {}{more}", args.target, shown.join(", ")));
    balance.notes(train, args.decision.threshold.is_some()).iter().for_each(|line| note(line));
    note(&format!("device: {info}"));
    if train.dropped_rows() > 0 {
        note(&format!("note: {} left out because of missing cells", count(train.dropped_rows(), "row")));
    }
    let constant = train.preprocess().constant_columns();
    if !constant.is_empty() {
        let (what, them) = if constant.len() == 1 { ("column", "it") } else { ("columns", "them") };
        let (names, option) = (list(constant), shell_word(&constant.join(",")));
        note(&format!(
            "warning: {what} without variance in the training rows: {names} (--drop {option} leaves {them} out)"
        ));
    }
    let absent: Vec<&String> =
        test.classes().iter().zip(test.class_counts()).filter(|(_, n)| *n == 0).map(|(name, _)| name).collect();
    if !absent.is_empty() {
        note(&format!("warning: no test row is of class {}; each class needs two rows", list(absent)));
    }
}

fn fit(
    args: &Args,
    (device, folder): (Device, &Path),
    params: &Params,
    architecture: &Architecture,
    (loss, balance): (Loss, &Balance),
    Parts { train, validation, test }: &Parts,
) -> Result<Fitted> {
    let ModelArgs { epochs, batch_size, lr, weight_decay, .. } = args.model;
    let layers = architecture.build(params);
    balance.start(layers.head())?;
    let progress: Box<dyn Progress> = if args.quiet { Box::new(Silent) } else { automatic() };
    let mut trainer = Trainer::new(device, params)
        .optimizer(args.running.optimizer(AdamW::new(lr).weight_decay(weight_decay)))
        .batch_size(batch_size.min(train.rows()))
        .targets(if loss == Loss::Bce { Targets::Binary } else { Targets::Classes })
        .progress(progress);
    if let Some(validation) = validation {
        trainer = trainer.validation(validation);
    }
    if let Some(sampler) = &balance.sampler {
        trainer = trainer.sampler(sampler);
    }
    let bce = match balance.pos_weight {
        Some(weight) => BceWithLogitsLoss::new().pos_weight(weight),
        None => BceWithLogitsLoss::new(),
    };
    let ce = CrossEntropyLoss::new();
    let mean_loss = |x: &Tensor, y: &Tensor| {
        let logits = layers.forward(x);
        if loss == Loss::Bce { bce.forward(&logits, y) } else { ce.forward(&logits, y) }
    };
    if args.running.find_lr {
        let curve = trainer.find_lr(train, &LrFinder::default(), mean_loss)?;
        return running::show(&curve, args.json).map(Fitted::Over);
    }
    if let Some(steps) = args.lockstep {
        let optimizer = args.running.optimizer(AdamW::new(lr).weight_decay(weight_decay));
        let against = args.against.as_ref().map(Recording::read).transpose()?;
        let comparison = against.map(|recording| recording.compare(trainer.session()?, params, &optimizer, mean_loss));
        let comparison = comparison.transpose()?;
        let found = lockstep::Found { steps: trainer.lockstep(train, steps, mean_loss)?, comparison };
        return found.show(args.json).map(Fitted::Over);
    }
    if let Some(steps) = args.audit {
        return audit::show(&trainer.audit(train, steps, mean_loss)?, args.json).map(Fitted::Over);
    }
    let stop = Stop::default();
    let updates = trainer.updates(train)?.div_ceil(args.running.accumulated());
    trainer = args.running.apply(trainer, folder, (epochs, updates, lr), &stop)?;
    if let Some(last) = args.stop_after {
        let (flag, mut made) = (stop.flag.clone(), 0);
        trainer = trainer.on_step(move |_, _| {
            made += 1;
            flag.store(made >= last, Ordering::Relaxed);
        });
    }
    running::watch_for_ctrl_c(&stop);
    let history = trainer.fit(train, epochs, mean_loss);
    let history = history.map_err(|error| match error {
        Error::Data(message) if message.starts_with("the loss is") => {
            let first = message.split(';').next().unwrap_or_default();
            let node = message.split_once("\n  the first").and_then(|(_, rest)| rest.split_once("\n  fixes"));
            let node = node.map_or(String::new(), |(node, _)| format!("\n  the first{node}"));
            Error::Data(format!(
                "{first}; nothing was saved. Use a smaller learning rate, such as --lr {}, or --clip-norm 1{node}",
                (lr / 10.0).min(1e-3)
            ))
        }
        other => running::in_options(other),
    });
    // A damaged checkpoint is no matter of taste.
    let resumed = trainer.resumed().filter(|_| args.quiet);
    resumed.iter().flat_map(|resumed| &resumed.passed_over).for_each(|why| note(&format!("warning: {why}")));
    let history = history?;
    if history.ended == Ended::Stopped {
        return Ok(Fitted::Over(running::stopped(&trainer, args.quiet)));
    }
    let mut seen = report::look(&mut trainer, &layers, (validation.as_ref(), test), (args.seed, !args.no_report))?;
    let variants = trainer.session()?.choices().clone();
    if !args.no_report {
        let optimizer = args.running.optimizer(AdamW::new(lr).weight_decay(weight_decay));
        let rows = (batch_size.min(train.rows()), train.features(), loss);
        seen.plan = report::plan(&mut trainer, &optimizer, rows, mean_loss)?;
    }
    Ok(Fitted::Done(Box::new(Outcome { history, seen, variants })))
}

fn training(
    args: &Args,
    Parts { train, validation, .. }: &Parts,
    pos_weight: Option<f64>,
    (info, variants): (&DeviceInfo, &Choices),
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
        running: [args.running.described(), args.classes.described(), args.data.described()]
            .into_iter()
            .flatten()
            .collect(),
    }
}

/// Prints the result.
fn tell(args: &Args, folder: &Path, info: &DeviceInfo, (history, model): (&History, &Model)) -> Result<()> {
    let report = &model.test;
    let seconds = history.seconds_per_epoch();
    if let Some(epoch) = history.restored.filter(|_| !args.quiet) {
        note(&format!("\nthe weights are those of epoch {epoch}, the best of {}", history.epochs.len()));
    }
    let mut saved = format!(
        "model saved to {0}; predict with: wgrad predict {0} FILE.csv   ({1:.3} s per epoch)",
        folder.display(),
        seconds
    );
    if !args.no_report {
        saved = format!("{saved}\nreport: {}", folder.join(wgrad_train::report::PAGE).display());
    }
    if !args.json {
        if args.quiet {
            return print(&format!("{report}\n"));
        }
        note("");
        print(&format!("{report}\n"))?;
        note(&format!("\n{saved}"));
        return Ok(());
    }
    if !args.quiet {
        note(&format!("\n{report}\n\n{saved}"));
    }
    // That of the weights that were saved.
    let kept = history.restored.and_then(|best| history.epochs.iter().find(|epoch| epoch.epoch == best));
    let line = json!({
        "loss": report.loss,
        "accuracy": report.accuracy,
        "precision": report.precision,
        "recall": report.recall,
        "f1": report.f1,
        "roc_auc": report.roc_auc,
        "pr_auc": report.pr_auc,
        "confusion": report.confusion.counts(),
        "classes": report.confusion.classes(),
        "decision": model.decision,
        "train_loss": kept.map_or_else(|| history.loss(), |epoch| epoch.loss),
        "steps": history.epochs.iter().map(|epoch| epoch.steps).sum::<usize>(),
        "trained_epochs": history.epochs.len(),
        "best_epoch": history.restored,
        "device": info.kind,
        "adapter": info.adapter,
        "seed": args.seed,
        "epochs": args.model.epochs,
        "seconds_per_epoch": seconds,
        "model": folder.display().to_string(),
    });
    print(&format!("{line}\n"))
}

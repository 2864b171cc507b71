//! The training run of `wgrad train`, from building the layers to the evaluation.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use wgrad_core::{Params, Result, Tensor, TuningChoices};
use wgrad_data::Parts;
use wgrad_kernels::Device;
use wgrad_nn::Module;
use wgrad_nn::losses::{BceWithLogitsLoss, CrossEntropyLoss, Loss as _};
use wgrad_nn::optim::AdamW;
use wgrad_train::error::{NonFiniteLoss, NonFiniteOrigin, TrainError};
use wgrad_train::{Ended, History, LrFinder, Progress, Recording, Silent, Targets, Trainer, automatic};

use crate::error::CommandError;
use crate::model::{Architecture, Loss};
use crate::output::note;
use crate::train::classes::Balance;
use crate::train::options::{Args, ModelArgs};
use crate::train::report::{self, Batch, Evaluation, HeldOut};
use crate::train::running::{self, ScheduleLength, StopFlag};
use crate::train::{audit, lockstep};

/// Result of a complete training run.
#[derive(Debug)]
pub struct Outcome {
    /// Losses and metrics of each epoch, and the reason why the training ended.
    pub history: History,
    /// Evaluation of the model on the validation and test rows.
    pub evaluation: Evaluation,
    /// Kernel variants that were used.
    pub variants: TuningChoices,
}

/// Outcome of a training run.
pub enum Fitted {
    Done(Box<Outcome>),
    /// The run ended without a model, for example after Ctrl-C or with `--find-lr`.
    Ended(ExitCode),
}

/// Inputs of a training run.
pub struct Task<'a> {
    pub args: &'a Args,
    /// Folder in which the model is saved.
    pub folder: &'a Path,
    pub params: &'a Params,
    pub architecture: &'a Architecture,
    pub loss: Loss,
    pub balance: &'a Balance,
    pub parts: &'a Parts,
}

/// Trains on a device, and evaluates the model on the validation and test rows.
///
/// # Errors
/// If the device, a checkpoint or the rows cannot be used, or the training fails.
pub fn fit(task: &Task<'_>, device: Device) -> Result<Fitted> {
    let Task { args, folder, params, architecture, loss, balance, parts } = *task;
    let Parts { train, validation, test } = parts;
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
        return running::show(&curve, args.json).map(Fitted::Ended);
    }
    if let Some(steps) = args.lockstep {
        let optimizer = args.running.optimizer(AdamW::new(lr).weight_decay(weight_decay));
        let against = args.against.as_ref().map(Recording::read).transpose()?;
        let comparison = against.map(|recording| recording.compare(trainer.session()?, params, &optimizer, mean_loss));
        let comparison = comparison.transpose()?;
        let comparisons = lockstep::Comparisons { steps: trainer.lockstep(train, steps, mean_loss)?, comparison };
        return comparisons.show(args.json).map(Fitted::Ended);
    }
    if let Some(steps) = args.audit {
        return audit::show(&trainer.audit(train, steps, mean_loss)?, args.json).map(Fitted::Ended);
    }
    let stop = StopFlag::default();
    let updates = trainer.updates(train)?.div_ceil(args.running.batches_per_update());
    trainer = args.running.apply(trainer, folder, ScheduleLength { epochs, updates, lr }, &stop)?;
    if let Some(last) = args.stop_after {
        let (flag, mut made) = (stop.flag.clone(), 0);
        trainer = trainer.on_step(move |_, _| {
            made += 1;
            flag.store(made >= last, Ordering::Relaxed);
        });
    }
    running::watch_for_ctrl_c(&stop);
    let history = trainer.fit(train, epochs, mean_loss);
    let history = history.map_err(|error| match error.facts() {
        Some(TrainError::LossNotFinite(loss)) => not_finite(loss, lr).into(),
        _ => error,
    });
    // Without `--quiet`, the trainer has already reported damaged checkpoints; with it, they are reported here.
    let resumed = trainer.resumed().filter(|_| args.quiet);
    resumed.iter().flat_map(|resumed| &resumed.passed_over).for_each(|why| note(&format!("warning: {why}")));
    let history = history?;
    if history.ended == Ended::Stopped {
        return Ok(Fitted::Ended(running::stopped(&trainer, args.quiet)));
    }
    let held_out = HeldOut { validation: validation.as_ref(), test };
    let mut evaluation = held_out.evaluate(&mut trainer, &layers)?;
    if !args.no_report {
        held_out.add_importance(args.seed, &mut evaluation, &mut trainer, &layers);
    }
    let variants = trainer.session()?.choices().clone();
    if !args.no_report {
        let optimizer = args.running.optimizer(AdamW::new(lr).weight_decay(weight_decay));
        let batch = Batch { rows: batch_size.min(train.rows()), features: train.features(), loss };
        evaluation.plan = report::plan(&mut trainer, &optimizer, batch, mean_loss)?;
    }
    Ok(Fitted::Done(Box::new(Outcome { history, evaluation, variants })))
}

/// Creates the error for an infinite or NaN loss in a training with learning rate `lr`.
fn not_finite(NonFiniteLoss { loss, epoch, step, origin }: &NonFiniteLoss, lr: f64) -> CommandError {
    let node = match origin {
        NonFiniteOrigin::Step { node: Some(node), .. } => Some(node.to_string()),
        _ => None,
    };
    CommandError::LossNotFinite { loss: *loss, epoch: *epoch, step: *step, lr: (lr / 10.0).min(1e-3), node }
}

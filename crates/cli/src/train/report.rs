//! The report of a training run: the evaluation on held-out rows, and the files that are written next to the
//! model.

use std::path::Path;
use std::time::SystemTime;

use wgrad_core::{DType, DeviceInfo, Graph, Mode, Result, Tensor};
use wgrad_data::{Dataset, Seed};
use wgrad_nn::Module;
use wgrad_nn::optim::Optimizer;
use wgrad_train::report::{Importance, RunReport, Scores, permutation_importance};
use wgrad_train::{History, Trainer};

use crate::error::message;
use crate::model::{Loss, Model, Network};
use crate::output::note;
use crate::shell::shell_word;
use crate::train::classes::Balance;

/// Evaluation of a trained model on the rows that it was not trained on.
#[derive(Debug)]
pub struct Evaluation {
    pub validation: Option<Scores>,
    pub test: Scores,
    pub importance: Vec<Importance>,
    pub plan: String,
    pub notes: Vec<String>,
}

/// Rows that the model is not trained on.
#[derive(Clone, Copy, Debug)]
pub struct HeldOut<'a> {
    pub validation: Option<&'a Dataset>,
    pub test: &'a Dataset,
}

impl HeldOut<'_> {
    /// Evaluates the model on the rows.
    ///
    /// # Errors
    /// If the device fails, or the model's outputs are not numbers.
    pub fn evaluate(self, trainer: &mut Trainer<'_>, layers: &Network) -> Result<Evaluation> {
        let mut scores = |data: &Dataset| Scores::of(data, &trainer.predict_logits(data, |x| layers.forward(x))?);
        let (validation, test) = (self.validation.map(&mut scores).transpose()?, scores(self.test)?);
        Ok(Evaluation { validation, test, importance: vec![], plan: String::new(), notes: vec![] })
    }

    /// Measures the importance of each column and adds it to the evaluation, for the report.
    pub fn add_importance(self, seed: u64, evaluation: &mut Evaluation, trainer: &mut Trainer<'_>, layers: &Network) {
        let measured = permutation_importance(self.test, Seed(seed), |x| {
            Ok(trainer.predict_logits_rows(x, |x| layers.forward(x))?.to_f64())
        });
        match measured {
            Ok(all) => evaluation.importance = all,
            Err(error) => evaluation.notes.push(message(&error, "--drop")),
        }
    }
}

/// Shape of a training batch, and the loss, which determines the type of the labels.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    pub rows: usize,
    pub features: usize,
    pub loss: Loss,
}

/// Returns the plan of a training step on a batch of this shape, as text.
///
/// # Errors
/// If the graph of the training step contains an error.
pub fn plan(
    trainer: &mut Trainer<'_>,
    optimizer: &dyn Optimizer,
    Batch { rows, features, loss }: Batch,
    step: impl Fn(&Tensor, &Tensor) -> Tensor,
) -> Result<String> {
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [rows, features], DType::F32);
    let y = match loss {
        Loss::Bce => graph.input("y", [rows, 1], DType::F32),
        Loss::Ce => graph.input("y", [rows], DType::U32),
    };
    let loss = step(&x, &y);
    optimizer.minimize(&loss);
    Ok(trainer.session()?.compile(&graph, &[&loss])?.to_string())
}

/// A finished training run, with everything that its report shows.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    pub begun: SystemTime,
    pub history: &'a History,
    pub info: &'a DeviceInfo,
    pub train: &'a Dataset,
    pub balance: &'a Balance,
    /// Notes about how the threshold and the calibration were chosen.
    pub notes: &'a [String],
}

impl Run<'_> {
    /// Writes the report next to a saved model. Only warns if that fails, because the model is already saved.
    pub fn write(&self, folder: &Path, model: &Model, evaluation: Evaluation) {
        let Self { begun, history, info, train, balance, notes } = *self;
        let training = &model.training;
        let file = Path::new(&training.file).file_name().unwrap_or_default().to_string_lossy();
        let mut report = RunReport::new(format!("{}: {}", file, model.target))
            .begun(begun)
            .history(history)
            .part("training", train.classes(), &train.class_counts())
            .test(evaluation.test)
            .decision(model.decision.clone())
            .importance(evaluation.importance)
            .model(model.architecture.layers().join("\n"))
            .plan(evaluation.plan)
            .command(command())
            .seed(Seed(training.seed))
            .device(info)
            .fact("seed", training.seed.to_string())
            .fact("epochs", history.epochs.len().to_string())
            .fact("batch size", training.batch_size.to_string())
            .fact("optimizer", format!("AdamW, learning rate {}, weight decay {}", training.lr, training.weight_decay))
            .fact("seconds per epoch", format!("{:.4}", history.seconds_per_epoch()));
        if let Some(prior) = balance.prior_in_loss() {
            report = report.weighted_part("training, as the loss sees it", train.classes(), prior.shares());
        }
        if let Some(weight) = training.pos_weight {
            report = report.fact("pos_weight", weight.to_string());
        }
        for (name, value) in &training.running {
            report = report.fact(name.replace('_', " "), value);
        }
        if let Some(validation) = evaluation.validation {
            report = report.validation(validation);
        }
        for line in notes.iter().chain(&evaluation.notes) {
            report = report.note(line);
        }
        if let Err(error) = report.write(folder) {
            note(&format!(
                "warning: the model is saved, but its report could not be written: {}",
                message(&error, "--drop")
            ));
        }
    }
}

/// Returns the command line of this process, quoted for a shell.
fn command() -> String {
    let mut words = std::env::args_os().map(|word| shell_word(&word.to_string_lossy()));
    let name = words.next().unwrap_or_default();
    let name = Path::new(&name).file_name().map_or_else(|| name.clone(), |name| name.to_string_lossy().into_owned());
    [name].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

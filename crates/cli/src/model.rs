//! The saved model: a folder with `model.json`, which says what the model is, and `model.safetensors`, its weights.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use wgrad_core::{Error, Params, Result};
use wgrad_nn::data::Preprocess;
use wgrad_nn::layers::{BatchNorm1d, Dropout, Linear, Relu};
use wgrad_nn::metrics::{Decision, Report};
use wgrad_nn::{Sequential, StateDict};

use crate::output::{Files, count};

/// What `model.json` calls itself.
const FORMAT: &str = "wgrad-classifier";
/// The version of the format that this command writes.
const VERSION: u32 = 1;
const DESCRIPTION: &str = "model.json";
const WEIGHTS: &str = "model.safetensors";
/// What the model says about the test rows.
pub const TEST: &str = "test.safetensors";
const NAMES: &str = "model.safetensors: the state dict of torch.nn.Sequential(*layers)";
/// The widest layer.
pub const WIDEST: usize = 65_536;

/// What a model is trained to make small, and so how many logits it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// Binary cross-entropy: one logit for two classes.
    Bce,
    /// Cross-entropy: one logit per class.
    Ce,
}

impl Loss {
    /// The number of logits for so many classes.
    pub fn logits(self, classes: usize) -> usize {
        if self == Self::Bce { 1 } else { classes }
    }
}

/// A multilayer perceptron: `Linear`, `BatchNorm1d`, `ReLU` and, if asked for, `Dropout` per hidden layer, then
/// `Linear`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// The number of features.
    pub inputs: usize,
    /// The widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// The probability of dropout after each hidden layer; 0 for none.
    pub dropout: f64,
    /// The number of logits.
    pub outputs: usize,
    /// The layers in PyTorch's words. The tensors of layer `i` are called `i.weight`, `i.running_mean` and so on: the
    /// state dict of a `torch.nn.Sequential` of these layers.
    layers: Vec<String>,
    /// Where the tensors are and how they are called; for people.
    weights: String,
}

impl Architecture {
    /// An architecture of these sizes.
    pub fn new(inputs: usize, hidden: Vec<usize>, dropout: f64, outputs: usize) -> Self {
        let mut layers = vec![];
        let mut width = inputs;
        for &next in &hidden {
            layers.extend([format!("Linear({width}, {next})"), format!("BatchNorm1d({next})"), "ReLU()".into()]);
            layers.extend((dropout > 0.0).then(|| format!("Dropout({dropout})")));
            width = next;
        }
        layers.push(format!("Linear({width}, {outputs})"));
        Self { inputs, hidden, dropout, outputs, layers, weights: NAMES.into() }
    }

    /// The layers, with their variables in `params`.
    pub fn build(&self, params: &Params) -> Sequential {
        let mut model = Sequential::new(params);
        let mut width = self.inputs;
        for &next in &self.hidden {
            model = model.add(|p| Linear::new(p, width, next)).add(|p| BatchNorm1d::new(p, next)).add(|_| Relu);
            if self.dropout > 0.0 {
                model = model.add(|p| Dropout::new(p, self.dropout));
            }
            width = next;
        }
        model.add(|p| Linear::new(p, width, self.outputs))
    }

    /// The layers in PyTorch's words.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// The number of weights and biases of the linear layers.
    fn weights(&self) -> u128 {
        let widths: Vec<u128> =
            [self.inputs].iter().chain(&self.hidden).chain([&self.outputs]).map(|&width| width as u128).collect();
        widths.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum()
    }
}

/// How a model was trained; for people, and to train it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The file of the rows.
    pub file: String,
    /// The number of training rows.
    pub rows: usize,
    /// The share of the rows that was set aside.
    pub test: f64,
    /// The number of validation rows.
    #[serde(default)]
    pub validation_rows: usize,
    /// The seed of the split, the initial weights, the order of the rows and dropout.
    pub seed: u64,
    /// Passes over the training rows.
    pub epochs: usize,
    /// Rows per step.
    pub batch_size: usize,
    /// `AdamW`'s learning rate.
    pub lr: f64,
    /// `AdamW`'s weight decay.
    pub weight_decay: f64,
    /// The weight of positive rows in the loss, if there was one.
    pub pos_weight: Option<f64>,
    /// What was done about missing cells.
    pub missing: String,
    /// `cpu`, `cpu-f64` or `gpu`.
    pub device: String,
    /// The adapter's name.
    pub adapter: String,
    /// Which variant of a kernel ran where there are several, by site; none on a CPU.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<String, String>,
    /// The options about how it ran that were not left as they are: schedule, clipping, accumulation, patience.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub running: BTreeMap<String, String>,
}

/// What `model.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    format: String,
    version: u32,
    /// The column to predict.
    pub target: String,
    /// The names of the classes. Of two, the second is the positive one.
    pub classes: Vec<String>,
    /// What it was trained on: one logit, or one per class.
    pub loss: Loss,
    /// The layers.
    pub architecture: Architecture,
    /// How a row becomes the input.
    pub preprocess: Preprocess,
    /// How it was trained.
    pub training: Training,
    /// How logits become probabilities and labels; models of before there was a choice have none.
    #[serde(default)]
    pub decision: Decision,
    /// How good it was on the rows set aside.
    pub test: Report,
}

impl Model {
    /// A model of the present version of the format.
    pub fn new(
        target: String,
        (classes, loss): (Vec<String>, Loss),
        (architecture, preprocess): (Architecture, Preprocess),
        (training, decision, test): (Training, Decision, Report),
    ) -> Self {
        let format = FORMAT.into();
        Self { format, version: VERSION, target, classes, loss, architecture, preprocess, training, decision, test }
    }

    /// Writes both files into a folder, and what the model says about the test rows; they appear when they are complete.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, params: &Params, scores: Option<&[u8]>, folder: &Path) -> Result<()> {
        let weights = params.to_safetensors()?;
        let text =
            serde_json::to_string_pretty(self).map_err(|error| Error::Data(format!("{DESCRIPTION}: {error}")))?;
        let mut files = Files::new(folder)?;
        files.write(WEIGHTS, &weights)?;
        match scores {
            Some(scores) => files.write(TEST, scores)?,
            // That of another model must not stay.
            None => drop(fs::remove_file(folder.join(TEST))),
        }
        files.write(DESCRIPTION, (text + "\n").as_bytes())?;
        files.publish()
    }

    /// Reads a folder that [`Self::save`] wrote: the model, and its weights in `params`.
    ///
    /// # Errors
    /// When a file is missing, damaged, of another version or of another model.
    pub fn load(folder: &Path, params: &Params) -> Result<(Self, Sequential)> {
        let model = Self::describe(folder)?;
        let path = folder.join(WEIGHTS);
        let name = path.display().to_string();
        let bytes = fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::Data(format!("{name} is missing; train the model again")),
            _ => Error::io(&path)(error),
        })?;
        // Into nothing: says whether the file is whole.
        Params::default().load_safetensors_partial(&name, &bytes)?;
        let foreign = |why: String| {
            let because = "it belongs to another model";
            Error::Data(format!("{name} does not fit {DESCRIPTION} beside it: {because}, or was changed\n  {why}"))
        };
        let needed = model.architecture.weights() * 4;
        if needed > bytes.len() as u128 {
            return Err(foreign(format!("{needed} bytes of weights are needed, the file has {}", bytes.len())));
        }
        let layers = model.architecture.build(params);
        let report = params.load_safetensors_partial(&name, &bytes)?;
        if report.is_complete() { Ok((model, layers)) } else { Err(foreign(report.to_string())) }
    }

    /// Reads only `model.json`.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn describe(folder: &Path) -> Result<Self> {
        let path = folder.join(DESCRIPTION);
        if !path.is_file() {
            let what = if folder.is_dir() { "has no model.json" } else { "is no folder" };
            return Err(Error::Data(format!(
                "{} {what}, so it is no saved model; give the folder that `wgrad train --out DIR` wrote",
                folder.display()
            )));
        }
        let wrong = |why: &dyn std::fmt::Display| {
            Error::Data(format!("{} is not the description of a model: {why}; train the model again", path.display()))
        };
        let text = fs::read_to_string(&path).map_err(|error| wrong(&error))?;
        let version: Version = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
        if version.format != FORMAT {
            return Err(wrong(&format!("its format is `{}`, not `{FORMAT}`", version.format)));
        }
        if version.version != VERSION {
            return Err(Error::Data(format!(
                "{} is of version {}, and this wgrad reads version {VERSION}; use the wgrad that wrote it, or train \
                 the model again",
                path.display(),
                version.version
            )));
        }
        let model: Self = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
        model.check().map_err(|why| wrong(&why))?;
        Ok(model)
    }

    /// Whether the parts fit together.
    fn check(&self) -> Result<(), String> {
        let Architecture { inputs, hidden, dropout, outputs, .. } = &self.architecture;
        let (columns, classes) = (self.preprocess.features().len(), self.classes.len());
        if columns != *inputs {
            return Err(format!("{} for {}", count(*inputs, "input"), count(columns, "feature")));
        }
        if classes < 2 || (self.loss == Loss::Bce && classes != 2) || self.loss.logits(classes) != *outputs {
            return Err(format!("{} for {classes} classes", count(*outputs, "logit")));
        }
        if hidden.iter().any(|&width| width == 0 || width > WIDEST) || !(0.0..1.0).contains(dropout) {
            return Err("a hidden layer has an impossible size".into());
        }
        let again = Architecture::new(*inputs, hidden.clone(), *dropout, *outputs);
        if again == self.architecture { Ok(()) } else { Err("`layers` does not agree with `hidden`".into()) }
    }
}

/// What every version of the file says.
#[derive(Deserialize)]
struct Version {
    format: String,
    version: u32,
}

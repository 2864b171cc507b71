//! The saved model: a folder with `model.json`, which says what the model is, and `model.safetensors`, its weights.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use wgrad_core::ops::cat;
use wgrad_core::{Error, Params, Result, Tensor};
use wgrad_data::Preprocess;
use wgrad_metrics::{Decision, Report};
use wgrad_nn::layers::{BatchNorm1d, Dropout, Embedding, Linear, Relu};
use wgrad_nn::{Module, Sequential, StateDict};

use crate::output::{Files, count};

/// What `model.json` calls itself.
pub const FORMAT: &str = "wgrad-classifier";
/// The version of the format that this command writes.
pub const VERSION: u32 = 1;
const DESCRIPTION: &str = "model.json";
const WEIGHTS: &str = "model.safetensors";
/// What the model says about the test rows.
pub const TEST: &str = "test.safetensors";
const NAMES: &str = "model.safetensors: the state dict of torch.nn.Sequential(*layers)";
const NAMES_WITH_EMBEDDINGS: &str = "model.safetensors: the state dict of a torch.nn.Sequential of the layers behind the \
    embeddings, and embeddings.0.weight and so on";
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

/// A trained vector per category of a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedded {
    /// The column.
    column: String,
    /// The feature that holds the number of the category.
    feature: usize,
    /// The number of categories, with the unseen one.
    size: usize,
    /// The length of a vector.
    width: usize,
}

impl Embedded {
    /// The columns that are to be embedded, with vectors of `1.6 · categories^0.56`, as fast.ai found to be good.
    fn of(preprocess: &Preprocess) -> Vec<Self> {
        let all = preprocess.categories().iter().filter(|categories| categories.is_embedded());
        let embedded = all.filter_map(|categories| {
            let feature = preprocess.features().iter().position(|name| name == categories.column())?;
            let width = (1.6 * (categories.size() as f64).powf(0.56)).round().min(600.0) as usize;
            Some(Self { column: categories.column().into(), feature, size: categories.size(), width })
        });
        let mut embedded: Vec<_> = embedded.collect();
        embedded.sort_by_key(|of| of.feature);
        embedded
    }
}

/// A multilayer perceptron: `Linear`, `BatchNorm1d`, `ReLU` and, if asked for, `Dropout` per hidden layer, then
/// `Linear`. Before it, `Embedding`s for columns that have one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// The number of features.
    pub inputs: usize,
    /// The features that are replaced by a vector, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    embeddings: Vec<Embedded>,
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
    pub fn new(preprocess: &Preprocess, inputs: usize, hidden: Vec<usize>, dropout: f64, outputs: usize) -> Self {
        let embeddings = Embedded::of(preprocess);
        let mut layers: Vec<String> = (embeddings.iter())
            .map(|of| {
                format!("Embedding({}, {}) in place of feature {} ({})", of.size, of.width, of.feature, of.column)
            })
            .collect();
        let mut width = embedded_width(inputs, &embeddings);
        for &next in &hidden {
            layers.extend([format!("Linear({width}, {next})"), format!("BatchNorm1d({next})"), "ReLU()".into()]);
            layers.extend((dropout > 0.0).then(|| format!("Dropout({dropout})")));
            width = next;
        }
        layers.push(format!("Linear({width}, {outputs})"));
        let weights = if embeddings.is_empty() { NAMES } else { NAMES_WITH_EMBEDDINGS };
        Self { inputs, embeddings, hidden, dropout, outputs, layers, weights: weights.into() }
    }

    /// The layers, with their variables in `params`.
    pub fn build(&self, params: &Params) -> Network {
        let tables = self.embeddings.iter().enumerate().map(|(i, of)| {
            let scope = params.at("embeddings").at(i);
            (of.feature, Embedding::new(&scope, of.size, of.width))
        });
        let (inputs, embeddings) = (self.inputs, tables.collect());
        let mut model = Sequential::new(params);
        let mut width = embedded_width(self.inputs, &self.embeddings);
        for &next in &self.hidden {
            model = model.add(|p| Linear::new(p, width, next)).add(|p| BatchNorm1d::new(p, next)).add(|_| Relu);
            if self.dropout > 0.0 {
                model = model.add(|p| Dropout::new(p, self.dropout));
            }
            width = next;
        }
        let head = Linear::new(&params.at(model.len()), width, self.outputs);
        let layers = model.add(|_| head.clone());
        Network { inputs, embeddings, layers, head }
    }

    /// The layers in PyTorch's words.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// The number of weights and biases of the linear layers.
    fn weights(&self) -> u128 {
        let inputs = embedded_width(self.inputs, &self.embeddings);
        let tables: u128 = self.embeddings.iter().map(|of| of.size as u128 * of.width as u128).sum();
        let widths: Vec<u128> =
            [inputs].iter().chain(&self.hidden).chain([&self.outputs]).map(|&width| width as u128).collect();
        tables + widths.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum::<u128>()
    }
}

/// The number of inputs of the first layer.
fn embedded_width(inputs: usize, embeddings: &[Embedded]) -> usize {
    inputs - embeddings.len() + embeddings.iter().map(|of| of.width).sum::<usize>()
}

/// The layers, with their variables.
#[derive(Debug)]
pub struct Network {
    inputs: usize,
    embeddings: Vec<(usize, Embedding)>,
    layers: Sequential,
    head: Linear,
}

impl Network {
    /// The last layer.
    pub fn head(&self) -> &Linear {
        &self.head
    }
}

impl Module for Network {
    fn forward(&self, x: &Tensor) -> Tensor {
        if self.embeddings.is_empty() {
            return self.layers.forward(x);
        }
        let (mut parts, mut at) = (vec![], 0);
        for (feature, embedding) in &self.embeddings {
            if at < *feature {
                parts.push(x.slice(1, at..*feature));
            }
            parts.push(embedding.forward(&x.slice(1, *feature..=*feature).squeeze(1).to_u32()));
            at = feature + 1;
        }
        if at < self.inputs {
            parts.push(x.slice(1, at..));
        }
        self.layers.forward(&cat(&parts.iter().collect::<Vec<_>>(), 1))
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
    /// The options that were not left as they are: schedule, clipping, accumulation, patience, sampler, start, what divides
    /// the rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub running: BTreeMap<String, String>,
}

/// What `model.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
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
    pub fn load(folder: &Path, params: &Params) -> Result<(Self, Network)> {
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
        let again = Architecture::new(&self.preprocess, *inputs, hidden.clone(), *dropout, *outputs);
        if again == self.architecture { Ok(()) } else { Err("`layers` does not agree with `hidden`".into()) }
    }
}

/// What every version of the file says.
#[derive(Deserialize)]
struct Version {
    format: String,
    version: u32,
}

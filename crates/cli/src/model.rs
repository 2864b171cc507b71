//! The saved model: a folder with a description (`model.json`) and the weights (`model.safetensors`).

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use wgrad_core::ops::cat;
use wgrad_core::{Error, Params, Result, Tensor};
use wgrad_data::Preprocess;
use wgrad_metrics::{Decision, Report, Rule};
use wgrad_nn::layers::{BatchNorm1d, Dropout, Embedding, Linear, Relu};
use wgrad_nn::{Module, Sequential, StateDict};

use crate::error::CommandError;
use crate::output::{Files, count};

/// Value of the field `format` in `model.json`, which identifies the kind of file.
pub const FORMAT: &str = "wgrad-classifier";
/// Version of the format that this command writes.
pub const VERSION: u32 = 1;
const DESCRIPTION: &str = "model.json";
const WEIGHTS: &str = "model.safetensors";
/// Name of the file with the model's scores on the test rows.
pub const TEST: &str = "test.safetensors";
const NAMES: &str = "model.safetensors: the state dict of torch.nn.Sequential(*layers)";
const NAMES_WITH_EMBEDDINGS: &str = "model.safetensors: the state dict of a torch.nn.Sequential of the layers behind the \
    embeddings, and embeddings.0.weight and so on";
/// Largest allowed width of a hidden layer.
pub const WIDEST: usize = 65_536;

/// Loss function used in training. It determines the number of logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// Binary cross-entropy, with one logit for two classes.
    Bce,
    /// Cross-entropy, with one logit per class.
    Ce,
}

impl Loss {
    /// Returns the number of logits for `classes` classes.
    pub fn logits(self, classes: usize) -> usize {
        if self == Self::Bce { 1 } else { classes }
    }
}

/// Description of a trained embedding, which replaces a categorical column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedded {
    /// Name of the column.
    column: String,
    /// Index of the feature whose value is the number of the category.
    feature: usize,
    /// Number of categories, including the one for categories not seen in training.
    size: usize,
    /// Length of an embedding vector.
    width: usize,
}

impl Embedded {
    /// Returns the columns to embed. A column's vectors have length `1.6 · categories^0.56` (fast.ai's rule of
    /// thumb).
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

/// Multilayer perceptron. Each hidden layer is `Linear`, `BatchNorm1d`, `ReLU` and, if requested, `Dropout`; the
/// output layer is `Linear`. Before the first layer, an `Embedding` replaces each column that is embedded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// Number of features.
    pub inputs: usize,
    /// Embeddings that each replace one feature, in the order of those features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    embeddings: Vec<Embedded>,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Probability of dropout after each hidden layer; 0 for none.
    pub dropout: f64,
    /// Number of logits.
    pub outputs: usize,
    /// The layers in PyTorch's notation. The tensors of layer `i` are named `i.weight`, `i.running_mean` and so
    /// on, as in the state dict of a `torch.nn.Sequential` of these layers.
    layers: Vec<String>,
    /// Name of the weights' file and the naming scheme of its tensors, for people who read `model.json`.
    weights: String,
}

impl Architecture {
    /// Describes a network of these sizes for preprocessed data.
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

    /// Builds the layers and adds their variables to `params`.
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

    /// Returns the layers in PyTorch's notation.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// Returns the total number of weights and biases in the linear layers.
    fn weights(&self) -> u128 {
        let inputs = embedded_width(self.inputs, &self.embeddings);
        let tables: u128 = self.embeddings.iter().map(|of| of.size as u128 * of.width as u128).sum();
        let widths: Vec<u128> =
            [inputs].iter().chain(&self.hidden).chain([&self.outputs]).map(|&width| width as u128).collect();
        tables + widths.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum::<u128>()
    }
}

/// Returns the number of inputs of the first linear layer, which follows the embeddings.
fn embedded_width(inputs: usize, embeddings: &[Embedded]) -> usize {
    inputs - embeddings.len() + embeddings.iter().map(|of| of.width).sum::<usize>()
}

/// The layers that an [`Architecture`] describes, with their variables.
#[derive(Debug)]
pub struct Network {
    inputs: usize,
    embeddings: Vec<(usize, Embedding)>,
    layers: Sequential,
    head: Linear,
}

impl Network {
    /// Returns the output layer, which computes the logits.
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

/// Settings of the training, for people who read `model.json` and for repeating the training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Path of the file with the training and test rows.
    pub file: String,
    /// Number of training rows.
    pub rows: usize,
    /// Fraction of the rows that are in the test set.
    pub test: f64,
    /// Number of validation rows.
    #[serde(default)]
    pub validation_rows: usize,
    /// Seed of everything random: the split, the initial weights, the order of the rows, and dropout.
    pub seed: u64,
    /// Number of passes over the training rows.
    pub epochs: usize,
    /// Number of rows per step.
    pub batch_size: usize,
    /// Learning rate of `AdamW`.
    pub lr: f64,
    /// Weight decay of `AdamW`.
    pub weight_decay: f64,
    /// Weight of the positive rows in the loss, if one was set.
    pub pos_weight: Option<f64>,
    /// Treatment of empty and NaN cells.
    pub missing: String,
    /// Kind of device that trained the model: `cpu`, `cpu-f64` or `gpu`.
    pub device: String,
    /// Name of the adapter that trained the model.
    pub adapter: String,
    /// Kernel variant that was used for each tuning key (an op with its sizes) that has several variants; empty on
    /// a CPU.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<String, String>,
    /// Values of those of the following options that differ from their defaults: `schedule`, `clip_norm`,
    /// `accumulate`, `patience`, `sampler`, `start`, `group_by` and `time`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub running: BTreeMap<String, String>,
}

/// Content of `model.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Always [`FORMAT`].
    pub format: String,
    /// Always [`VERSION`].
    pub version: u32,
    /// Name of the column to predict.
    pub target: String,
    /// Names of the classes. If there are two, the second is the positive class.
    pub classes: Vec<String>,
    /// Loss function used in training.
    pub loss: Loss,
    /// The layers.
    pub architecture: Architecture,
    /// Preprocessing that turns a row into the model's input.
    pub preprocess: Preprocess,
    /// Settings of the training.
    pub training: Training,
    /// Rule that converts logits to probabilities and labels. Models of older versions have the default rule.
    #[serde(default)]
    pub decision: Decision,
    /// Metrics on the test rows.
    pub test: Report,
}

impl Model {
    /// Describes in a sentence how logits become probabilities and, for two classes, labels.
    pub fn describe_decision(&self) -> String {
        let decision = &self.decision;
        let calibration = describe_calibration(decision);
        let [_, positive] = &self.classes[..] else { return calibration };
        let threshold = match decision.threshold() {
            t if t >= f64::MAX => "no row is positive".into(),
            t if t <= f64::MIN => "every row is positive".into(),
            t => format!("`{positive}` above {:.4} (logit {t:.4})", decision.probability(t)),
        };
        let rule = match decision.rule() {
            Rule::Fixed(_) => String::new(),
            rule => format!(", chosen for {}", rule.words()),
        };
        format!("{calibration}; {threshold}{rule}")
    }

    /// Writes the model and, if given, the test scores into a folder. No file appears before all files are
    /// complete.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn save(&self, params: &Params, scores: Option<&[u8]>, folder: &Path) -> Result<()> {
        let weights = params.to_safetensors()?;
        let failed = |error| CommandError::Json { reason: format!("{DESCRIPTION}: {error}") };
        let text = serde_json::to_string_pretty(self).map_err(failed)?;
        let mut files = Files::new(folder, "--out")?;
        files.write(WEIGHTS, &weights)?;
        match scores {
            Some(scores) => files.write(TEST, scores)?,
            // Test scores of a model saved here earlier must not remain.
            None => drop(fs::remove_file(folder.join(TEST))),
        }
        files.write(DESCRIPTION, (text + "\n").as_bytes())?;
        files.publish()
    }

    /// Reads a folder that [`Self::save`] wrote. Returns the model and its layers, and loads the weights into
    /// `params`.
    ///
    /// # Errors
    /// If a file is missing or damaged, has another version, or belongs to another model.
    pub fn load(folder: &Path, params: &Params) -> Result<(Self, Network)> {
        let model = Self::describe(folder)?;
        let path = folder.join(WEIGHTS);
        let name = path.display().to_string();
        let bytes = fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => CommandError::NoWeights { path: path.clone() }.into(),
            _ => Error::io(&path)(error),
        })?;
        // Loading into a `Params` without variables sets nothing, but checks that the file is intact.
        Params::default().load_safetensors_partial(&name, &bytes)?;
        let foreign = |reason: String| CommandError::ForeignWeights { path: path.clone(), reason };
        let needed = model.architecture.weights() * 4;
        if needed > bytes.len() as u128 {
            return Err(foreign(format!("{needed} bytes of weights are needed, the file has {}", bytes.len())).into());
        }
        let layers = model.architecture.build(params);
        let report = params.load_safetensors_partial(&name, &bytes)?;
        if report.is_complete() { Ok((model, layers)) } else { Err(foreign(report.to_string()).into()) }
    }

    /// Reads `model.json` without the weights.
    ///
    /// # Errors
    /// See [`Self::load`].
    pub fn describe(folder: &Path) -> Result<Self> {
        let path = folder.join(DESCRIPTION);
        if !path.is_file() {
            return Err(CommandError::NotModel { folder: folder.into(), exists: folder.is_dir() }.into());
        }
        let invalid =
            |reason: &dyn fmt::Display| CommandError::Description { path: path.clone(), reason: reason.to_string() };
        let text = fs::read_to_string(&path).map_err(|error| invalid(&error))?;
        let version: Version = serde_json::from_str(&text).map_err(|error| invalid(&error))?;
        if version.format != FORMAT {
            return Err(invalid(&format!("its format is `{}`, not `{FORMAT}`", version.format)).into());
        }
        if version.version != VERSION {
            return Err(CommandError::ModelVersion { path, version: version.version, supported: VERSION }.into());
        }
        let model: Self = serde_json::from_str(&text).map_err(|error| invalid(&error))?;
        model.check().map_err(|reason| invalid(&reason))?;
        Ok(model)
    }

    /// Checks that the fields are consistent with each other.
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

/// Describes a decision's calibration in a few words.
pub fn describe_calibration(decision: &Decision) -> String {
    match decision.calibration() {
        None => "probabilities as the model gives them".into(),
        Some(calibration) => format!("probabilities calibrated ({calibration})"),
    }
}

/// Fields of `model.json` that every version of the format has.
#[derive(Deserialize)]
struct Version {
    format: String,
    version: u32,
}

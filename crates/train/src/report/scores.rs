//! Logits and labels of a set of rows.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use wgrad_core::{Array, Error, Result};

use crate::error::ScoresError;
use wgrad_data::Dataset;
use wgrad_metrics::{Calibrate, Calibration, Decision, Report, Rule, pr_auc, roc_auc};

/// Logits `[rows, width]` of a model and the label of each row. `width` is the number of classes, or 1 for two
/// classes.
///
/// ```
/// use wgrad_train::report::Scores;
/// let scores = Scores::new(&[-1.5, 0.3, 2.0], &[0, 1, 1], &["benign", "malignant"])?;
/// assert_eq!((scores.rows(), scores.width(), scores.margins()), (3, 1, Some(vec![-1.5, 0.3, 2.0])));
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    logits: Vec<f64>,
    width: usize,
    labels: Vec<u32>,
    classes: Vec<String>,
    /// Hash of features and labels. `None` if the features are not known.
    digest: Option<String>,
}

/// Key of the metadata in a scores file.
const ABOUT: &str = "about";

/// Number of rows that are gathered in one call.
const CHUNK: usize = 4096;

#[derive(Serialize, Deserialize)]
struct About {
    classes: Vec<String>,
    #[serde(default)]
    digest: Option<String>,
}

/// FNV-1a hash, to distinguish sets of rows; not cryptographic.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Scores {
    /// Creates scores from logits in row-major order.
    ///
    /// # Errors
    /// When there are no rows or fewer than two classes, when there is neither one logit per row nor one per row
    /// and class, when a logit is not finite, or when a label is not the number of a class.
    pub fn new<S: Copy + Into<f64>, N: AsRef<str>>(logits: &[S], labels: &[u32], classes: &[N]) -> Result<Self> {
        let (rows, n) = (labels.len(), classes.len());
        if rows == 0 {
            return Err(ScoresError::NoRows.into());
        }
        if n < 2 {
            return Err(ScoresError::Classes { classes: n }.into());
        }
        let width = logits.len() / rows;
        if width * rows != logits.len() || !(width == n || (width == 1 && n == 2)) {
            return Err(ScoresError::Logits { logits: logits.len(), rows, classes: n }.into());
        }
        let logits: Vec<f64> = logits.iter().map(|&z| z.into()).collect();
        if let Some(at) = logits.iter().position(|z| !z.is_finite()) {
            return Err(ScoresError::NotFinite { row: at / width, value: logits[at] }.into());
        }
        if let Some(row) = labels.iter().position(|&label| label as usize >= n) {
            return Err(ScoresError::Label { row, label: labels[row], classes: n }.into());
        }
        let classes = classes.iter().map(|name| name.as_ref().to_string()).collect();
        Ok(Self { logits, width, labels: labels.to_vec(), classes, digest: None })
    }

    /// Creates scores from the logits `[rows, width]` of a data set.
    ///
    /// # Errors
    /// Returns the errors of [`Self::new`]. Also returns an error if the features are on disk and cannot be read.
    pub fn of(data: &Dataset, logits: &Array) -> Result<Self> {
        let mut digest = Fnv::default();
        let rows: Vec<u32> = (0..).take(data.rows()).collect();
        for some in rows.chunks(CHUNK) {
            data.gather(some)?.iter().for_each(|x| digest.add(&x.to_le_bytes()));
        }
        data.y().iter().for_each(|y| digest.add(&y.to_le_bytes()));
        let scores = Self::new(&logits.to_f64(), data.y(), data.classes())?;
        Ok(Self { digest: Some(format!("{:016x}", digest.0)), ..scores })
    }

    /// Returns whether the rows are known to be the same as those of `other`, with the same features and in the
    /// same order. The features are known only for scores that were created with [`Self::of`].
    pub fn same_rows(&self, other: &Self) -> bool {
        self.digest.is_some() && self.digest == other.digest && self.labels == other.labels
    }

    /// Returns the bytes of a safetensors file with the tensors `logits`, `f32[rows, width]`, and `labels`,
    /// `u32[rows]`. The metadata contain, as JSON, the names of the classes and a hash of the features and labels.
    ///
    /// # Errors
    /// Returns no error if the scores are valid.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let failed = |error: &dyn std::fmt::Display| Error::from(ScoresError::Encode { reason: error.to_string() });
        let logits: Vec<u8> = self.logits.iter().flat_map(|&z| (z as f32).to_le_bytes()).collect();
        let labels: Vec<u8> = self.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        let view = |dtype, shape, bytes| TensorView::new(dtype, shape, bytes).map_err(|error| failed(&error));
        let tensors = [
            ("logits", view(Dtype::F32, vec![self.rows(), self.width], &logits)?),
            ("labels", view(Dtype::U32, vec![self.rows()], &labels)?),
        ];
        let about = About { classes: self.classes.clone(), digest: self.digest.clone() };
        let about = serde_json::to_string(&about).map_err(|error| failed(&error))?;
        safetensors::serialize(tensors, Some(HashMap::from([(ABOUT.into(), about)]))).map_err(|error| failed(&error))
    }

    /// Parses the bytes of a file that [`Self::to_safetensors`] returned. `name` is the file name for error
    /// messages.
    ///
    /// ```
    /// use wgrad_train::report::Scores;
    /// let scores = Scores::new(&[-1.5, 0.25], &[0, 1], &["benign", "malignant"])?;
    /// assert_eq!(Scores::from_safetensors("test.safetensors", &scores.to_safetensors()?)?, scores);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the bytes are not a scores file, or are damaged.
    pub fn from_safetensors(name: &str, bytes: &[u8]) -> Result<Self> {
        let wrong = |why: &dyn std::fmt::Display| {
            Error::from(ScoresError::NotScores { name: name.into(), reason: why.to_string() })
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| wrong(&error))?;
        let about = header
            .metadata()
            .as_ref()
            .and_then(|all| all.get(ABOUT))
            .ok_or_else(|| wrong(&"it has no metadata of scores"))?;
        let About { classes, digest } = serde_json::from_str(about).map_err(|error| wrong(&error))?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| wrong(&error))?;
        let tensor = |name: &str, dtype| {
            let view = file.tensor(name).map_err(|error| wrong(&error))?;
            let fits = view.dtype() == dtype && view.shape().first().is_some_and(|rows| *rows > 0);
            if fits { Ok(view) } else { Err(wrong(&format!("`{name}` has the wrong type or shape"))) }
        };
        let words = |view: &TensorView<'_>| -> Vec<[u8; 4]> { view.data().as_chunks().0.to_vec() };
        let (logits, labels) = (tensor("logits", Dtype::F32)?, tensor("labels", Dtype::U32)?);
        let logits: Vec<f32> = words(&logits).into_iter().map(f32::from_le_bytes).collect();
        let labels: Vec<u32> = words(&labels).into_iter().map(u32::from_le_bytes).collect();
        let scores = Self::new(&logits, &labels, &classes).map_err(|error| wrong(&error))?;
        Ok(Self { digest, ..scores })
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Returns the number of logits per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the logits in row-major order.
    pub fn logits(&self) -> &[f64] {
        &self.logits
    }

    /// Returns the label of each row.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Returns the names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Returns one logit per row for two classes: the single logit, or the logit of the positive class minus that
    /// of the negative class. Returns `None` for more classes.
    pub fn margins(&self) -> Option<Vec<f64>> {
        match (self.classes.len(), self.width) {
            (2, 1) => Some(self.logits.clone()),
            (2, _) => Some(self.logits.chunks_exact(2).map(|row| row[1] - row[0]).collect()),
            _ => None,
        }
    }

    /// Returns the number of rows of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        self.labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    }

    /// Fits a decision (calibration and threshold) to these rows. For more than two classes, the decision has only
    /// a calibration, and `rule` is ignored.
    ///
    /// # Errors
    /// The same as those of [`Decision::fit`] and [`Decision::multiclass`].
    pub fn decide(&self, calibrate: Calibrate, rule: Rule) -> Result<Decision> {
        match self.margins() {
            Some(margins) => Decision::fit(&margins, &self.labels, calibrate, rule),
            None => Decision::multiclass(&self.logits, &self.labels, self.classes.len(), calibrate),
        }
    }

    /// Returns the predicted class of each row.
    pub fn predicted(&self, decision: &Decision) -> Vec<u32> {
        self.logits.chunks_exact(self.width).map(|row| decision.class(row)).collect()
    }

    /// Returns the probabilities of each row: that of the positive class for two classes, or one per class.
    pub fn probabilities(&self, decision: &Decision) -> Vec<f64> {
        match self.margins() {
            Some(margins) => margins.iter().map(|&z| decision.probability(z)).collect(),
            None => self.logits.chunks_exact(self.width).flat_map(|row| decision.probabilities(row)).collect(),
        }
    }

    /// Returns the cross-entropy of each row under a decision's probabilities. After isotonic calibration a
    /// probability can be 0; `1e-15` is then used instead.
    pub fn losses(&self, decision: &Decision) -> Vec<f64> {
        let signed = |z: f64, label: u32| softplus(if label == 0 { z } else { -z });
        let rows = self.labels.iter();
        match (self.margins(), decision.calibration()) {
            (Some(margins), Some(isotonic @ Calibration::Isotonic { .. })) => {
                let p = margins.iter().map(|&z| isotonic.probability(z));
                p.zip(rows).map(|(p, &y)| -(if y == 1 { p } else { 1.0 - p }).max(1e-15).ln()).collect()
            }
            (Some(margins), calibration) => {
                let (slope, intercept) = match calibration {
                    Some(Calibration::Temperature(temperature)) => (1.0 / temperature, 0.0),
                    Some(Calibration::Platt { slope, intercept }) => (*slope, *intercept),
                    _ => (1.0, 0.0),
                };
                margins.iter().zip(rows).map(|(z, &y)| signed(slope * z + intercept, y)).collect()
            }
            (None, calibration) => {
                let temperature = if let Some(Calibration::Temperature(t)) = calibration { *t } else { 1.0 };
                let loss = |row: &[f64], own: usize| {
                    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let sum: f64 = row.iter().map(|z| ((z - max) / temperature).exp()).sum();
                    sum.ln() + (max - row[own]) / temperature
                };
                self.logits.chunks_exact(self.width).zip(rows).map(|(row, &y)| loss(row, y as usize)).collect()
            }
        }
    }

    /// Returns the usual metrics of the rows, computed with a decision's probabilities and classes.
    ///
    /// # Errors
    /// When a probability is not between 0 and 1, which cannot happen with a valid decision.
    pub fn report(&self, decision: &Decision) -> Result<Report> {
        let loss = self.losses(decision).iter().sum::<f64>() / self.rows() as f64;
        let probabilities = self.probabilities(decision);
        match self.classes.len() {
            2 => {
                let predicted = self.predicted(decision);
                let report = Report::decided(&probabilities, &predicted, &self.labels, &self.classes, loss)?;
                // Isotonic calibration maps different logits to the same probability, so the rows are ranked by
                // their logits.
                let ranked = self.margins().unwrap_or(probabilities);
                let (roc_auc, pr_auc) = (roc_auc(&ranked, &self.labels).ok(), pr_auc(&ranked, &self.labels).ok());
                Ok(Report { roc_auc, pr_auc, ..report })
            }
            _ => Report::multiclass(&probabilities, &self.labels, &self.classes, loss),
        }
    }
}

/// Returns `log(1 + exp(x))`.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

//! Classes that are rare: where a model should begin, what weights make of the data, and how to take that back.
//!
//! A loss with weights, and rows drawn more often than they occur, train a model for other shares of the classes than the
//! data has. That moves where its logits lie, by a known amount: with class shares `p` and weights `w`, the model sees
//! the shares `p·w / Σ p·w`. Its order of the rows may gain by it; its probabilities are wrong by the same amount.
//!
//! ```
//! use wgrad_core::Params;
//! use wgrad_nn::layers::Linear;
//! use wgrad_train::prior::Prior;
//! let prior = Prior::from_counts(&[980, 20])?;
//! assert!((prior.entropy() - 0.098).abs() < 1e-4);
//! // Untrained, a model whose head begins here has just this loss, and not ln 2 = 0.693.
//! let head = Linear::new(&Params::seeded(7).at("head"), 64, 1);
//! prior.initialize(&head)?;
//! // With pos_weight 49 the model believes that every second row is positive. Its logits are ln 49 too high.
//! let trained = prior.with_pos_weight(49.0)?;
//! assert!((trained.shares()[1] - 0.5).abs() < 1e-15);
//! let shift = prior.shift_from(&trained)?;
//! assert!((shift.logit(0.0) + 49f64.ln()).abs() < 1e-12);
//! assert!((shift.probability(0.5) - 0.02).abs() < 1e-15);
//! # Ok::<(), wgrad_core::Error>(())
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};
use wgrad_core::{Array, InvalidArgument, Result, Tensor};

use crate::error::{PriorError, Text};
use wgrad_data::Dataset;
use wgrad_metrics::Calibration;
use wgrad_nn::layers::Linear;

/// The shares of exclusive classes: those of a set of rows, or those that a weighted loss makes of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    shares: Vec<f64>,
}

impl Prior {
    /// The shares of the classes among these rows.
    ///
    /// # Errors
    /// When a class has no row: nothing can be learned about it, and its logit would have to begin at `−∞`.
    pub fn of(data: &Dataset) -> Result<Self> {
        let counts = data.class_counts();
        if let Some(class) = counts.iter().position(|&rows| rows == 0) {
            return Err(PriorError::EmptyClass { class: data.classes()[class].clone() }.into());
        }
        Self::from_counts(&counts)
    }

    /// The shares of classes with so many rows each.
    ///
    /// # Errors
    /// When there are fewer than two classes, or a class has no row.
    pub fn from_counts(counts: &[usize]) -> Result<Self> {
        Self::from_shares(&counts.iter().map(|&rows| rows as f64).collect::<Vec<_>>())
    }

    /// Shares in any unit, such as rows or per cent: they are divided by their sum.
    ///
    /// # Errors
    /// When there are fewer than two, or one is not a number above 0.
    pub fn from_shares(shares: &[f64]) -> Result<Self> {
        if shares.len() < 2 {
            return Err(PriorError::TooFewClasses { classes: shares.len() }.into());
        }
        if let Some(class) = shares.iter().position(|&share| !(share > 0.0 && share.is_finite())) {
            return Err(PriorError::Share { class, share: shares[class] }.into());
        }
        let sum: f64 = shares.iter().sum();
        Ok(Self { shares: shares.iter().map(|share| share / sum).collect() })
    }

    /// The shares of the classes; their sum is 1.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// `−Σ p ln p`: the mean cross-entropy of answering these shares for every row. A model is of use below that.
    pub fn entropy(&self) -> f64 {
        -self.shares.iter().map(|p| p * p.ln()).sum::<f64>()
    }

    /// Negative rows per positive one, the usual `pos_weight`: both sides weigh the same with it. None for more than two
    /// classes.
    pub fn pos_weight(&self) -> Option<f64> {
        match self.shares[..] {
            [negatives, positives] => Some(negatives / positives),
            _ => None,
        }
    }

    /// `1 / (classes · p)`: all classes weigh the same with these weights, and the mean weight of a row is 1;
    /// scikit-learn's "balanced".
    pub fn class_weights(&self) -> Vec<f64> {
        self.shares.iter().map(|p| 1.0 / (self.shares.len() as f64 * p)).collect()
    }

    /// The shares that a loss with these class weights sees: `p·w / Σ p·w`.
    ///
    /// # Errors
    /// When there is not one weight per class, or one is not a number above 0.
    pub fn weighted(&self, weights: &[f64]) -> Result<Self> {
        if weights.len() != self.shares.len() {
            return Err(PriorError::WeightCount { weights: weights.len(), classes: self.shares.len() }.into());
        }
        if let Some(class) = weights.iter().position(|&weight| !(weight > 0.0 && weight.is_finite())) {
            return Err(PriorError::Weight { class, weight: weights[class] }.into());
        }
        Self::from_shares(&self.shares.iter().zip(weights).map(|(p, w)| p * w).collect::<Vec<_>>())
    }

    /// The shares that a binary loss with this `pos_weight` sees: of the positive class `w·p / (w·p + 1 − p)`, the
    /// effective prevalence.
    ///
    /// # Errors
    /// When there are not two classes, or the weight is not a number above 0.
    pub fn with_pos_weight(&self, weight: f64) -> Result<Self> {
        if self.shares.len() != 2 {
            return Err(PriorError::PosWeight { classes: self.shares.len() }.into());
        }
        self.weighted(&[1.0, weight])
    }

    /// The logits whose probabilities are these shares: for two classes and one logit `ln(p / (1 − p))`, for one logit per
    /// class `ln p`.
    ///
    /// # Errors
    /// When a model of these classes has not so many logits.
    pub fn logits(&self, width: usize) -> Result<Vec<f64>> {
        match (width, &self.shares[..]) {
            (1, [negatives, positives]) => Ok(vec![(positives / negatives).ln()]),
            (_, shares) if width == shares.len() => Ok(shares.iter().map(|p| p.ln()).collect()),
            (_, shares) => Err(PriorError::Width { width, classes: shares.len() }.into()),
        }
    }

    /// Lets a model begin with these shares as its answer to every row: the bias of its last layer becomes
    /// [`Self::logits`], and its weight 0. The first loss is then [`Self::entropy`], and no step is spent on finding out how
    /// rare a class is. The layers before begin as they did, and learn from the second step on.
    ///
    /// With a weighted loss, take the shares that the loss sees ([`Self::with_pos_weight`], [`Self::weighted`]).
    ///
    /// # Errors
    /// When the layer has no bias, or other outputs than the classes need.
    pub fn initialize(&self, head: &Linear) -> Result<()> {
        let outputs = head.weight().shape().dims()[0];
        initialize(head, &self.logits(outputs)?)
    }

    /// From the logits of a model that was trained on `trained` shares to those for these shares.
    ///
    /// # Errors
    /// When the numbers of classes differ.
    pub fn shift_from(&self, trained: &Self) -> Result<PriorShift> {
        if trained.shares.len() != self.shares.len() {
            return Err(PriorError::ClassCount { trained: trained.shares.len(), here: self.shares.len() }.into());
        }
        let by = self.shares.iter().zip(&trained.shares).map(|(here, there)| (here / there).ln()).collect();
        Ok(PriorShift { by })
    }
}

/// `2.00 % positive`, or a list of per cent; for notes and reports.
impl fmt::Display for Prior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |p: &f64| {
            let percent = p * 100.0;
            if percent >= 10.0 { format!("{percent:.0} %") } else { format!("{percent:.2} %") }
        };
        match &self.shares[..] {
            [_, positives] => write!(f, "{} positive", percent(positives)),
            shares => f.write_str(&shares.iter().map(percent).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// Sets the bias of a model's last layer to these logits, one for each output, and its weight to 0; for labels that do not
/// exclude each other, with the log odds of each label.
///
/// # Errors
/// When the layer has no bias or not so many outputs, or a logit is not finite.
pub fn initialize(head: &Linear, logits: &[f64]) -> Result<()> {
    let Some(bias) = head.bias() else {
        return Err(PriorError::NoBias { weight: head.weight().name().into() }.into());
    };
    if bias.shape().numel() != logits.len() {
        let (bias, outputs) = (bias.name().into(), bias.shape().numel());
        return Err(PriorError::BiasLength { bias, outputs, logits: logits.len() }.into());
    }
    if let Some(at) = logits.iter().position(|logit| !logit.is_finite()) {
        return Err(PriorError::NotFinite { output: at, value: logits[at] }.into());
    }
    bias.set(Array::vector(logits.iter().map(|&logit| logit as f32).collect::<Vec<_>>()))?;
    head.weight().set(Array::full(head.weight().shape(), 0f32))
}

/// What is added to logits, so that a model trained on some shares of the classes answers for others:
/// `ln p_here − ln p_trained` for each class. After a `pos_weight` of `w` that is `−ln w` for the one logit.
///
/// That is Bayes' rule where the classes look alike in both places, only in other shares.
/// Elkan: "The foundations of cost-sensitive learning", 2001.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PriorShift {
    by: Vec<f64>,
}

impl PriorShift {
    /// The shift after a binary loss with this `pos_weight`.
    ///
    /// # Errors
    /// When the weight is not a number above 0.
    pub fn of_pos_weight(weight: f64) -> Result<Self> {
        let even = Prior { shares: vec![0.5, 0.5] };
        even.shift_from(&even.with_pos_weight(weight)?)
    }

    /// For a model of one logit; NaN for more than two classes.
    pub fn logit(&self, logit: f64) -> f64 {
        logit + self.single()
    }

    /// The same for its probability.
    pub fn probability(&self, probability: f64) -> f64 {
        let odds = self.single().exp() * probability;
        odds / (odds + 1.0 - probability)
    }

    /// The same as the calibration of a model of two classes, to be stored in its decision; none for more.
    pub fn calibration(&self) -> Option<Calibration> {
        let intercept = self.single();
        intercept.is_finite().then_some(Calibration::Platt { slope: 1.0, intercept })
    }

    /// For rows of logits, one or as many as classes for each row.
    ///
    /// # Errors
    /// When the rows have another number of logits.
    pub fn logits(&self, logits: &mut [f64], width: usize) -> Result<()> {
        let by = self.row(width)?;
        for row in logits.chunks_mut(width) {
            row.iter_mut().zip(&by).for_each(|(logit, by)| *logit += by);
        }
        Ok(())
    }

    /// The same in a graph: logits `[…, 1]` or `[…, classes]` with the shift added. A last axis of another size leaves an
    /// invalid tensor and an error.
    #[track_caller]
    pub fn apply(&self, logits: &Tensor) -> Tensor {
        let width = logits.shape().dims().last().copied().unwrap_or(1);
        match self.row(width) {
            Ok(by) => {
                let by: Vec<f32> = by.into_iter().map(|by| by as f32).collect();
                logits + logits.graph().array(Array::vector(by))
            }
            Err(why) => logits.invalid("prior_shift", &[], InvalidArgument::new(why.text())),
        }
    }

    /// The difference of two classes' shifts.
    fn single(&self) -> f64 {
        match self.by[..] {
            [negative, positive] => positive - negative,
            _ => f64::NAN,
        }
    }

    /// What is added to each row of so many logits.
    fn row(&self, width: usize) -> Result<Vec<f64>, PriorError> {
        match (width, self.by.len()) {
            (1, 2) => Ok(vec![self.single()]),
            (_, classes) if width == classes => Ok(self.by.clone()),
            (_, classes) => Err(PriorError::ShiftWidth { width, classes }),
        }
    }
}

#[cfg(test)]
mod tests;

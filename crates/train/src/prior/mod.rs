//! Prior probabilities of classes: initial biases for rare classes, the effect of class weights on a model's
//! probabilities, and the correction of this effect.
//!
//! The share of a class is the fraction of the rows that belong to it. A weighted loss, or a sampler that draws
//! some rows more often, trains a model for class shares that differ from those of the data. With class shares `p`
//! and weights `w`, the model learns the shares `p·w / Σ p·w`. This shifts the model's logits by a known amount.
//! The ranking of the rows may improve, but the probabilities are wrong by this shift.
//!
//! ```
//! use wgrad_core::Params;
//! use wgrad_nn::layers::Linear;
//! use wgrad_train::prior::Prior;
//! let prior = Prior::from_counts(&[980, 20])?;
//! assert!((prior.entropy() - 0.098).abs() < 1e-4);
//! // An untrained model with this initial bias has this loss, instead of ln 2 = 0.693.
//! let head = Linear::new(&Params::seeded(7).at("head"), 64, 1);
//! prior.initialize(&head)?;
//! // With pos_weight 49 the model learns that every second row is positive. Its logits are ln 49 too high.
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

/// Share of each class: the fraction of the rows that belong to it or, if rows have weights, its fraction of the
/// total weight. Each row belongs to exactly one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    shares: Vec<f64>,
}

impl Prior {
    /// Returns the shares of the classes of a data set.
    ///
    /// # Errors
    /// When a class has no row: nothing can be learned about it, and its initial logit would be `−∞`.
    pub fn of(data: &Dataset) -> Result<Self> {
        let counts = data.class_counts();
        if let Some(class) = counts.iter().position(|&rows| rows == 0) {
            return Err(PriorError::EmptyClass { class: data.classes()[class].clone() }.into());
        }
        Self::from_counts(&counts)
    }

    /// Returns the shares of classes with these numbers of rows.
    ///
    /// # Errors
    /// When there are fewer than two classes, or a class has no row.
    pub fn from_counts(counts: &[usize]) -> Result<Self> {
        Self::from_shares(&counts.iter().map(|&rows| rows as f64).collect::<Vec<_>>())
    }

    /// Returns shares that are proportional to the given numbers, such as row counts or percentages.
    ///
    /// # Errors
    /// When there are fewer than two numbers, or a number is not finite or not above 0.
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

    /// Returns the shares of the classes; their sum is 1.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// Returns `−Σ p ln p`, the mean cross-entropy of a model that predicts these shares for every row.
    pub fn entropy(&self) -> f64 {
        -self.shares.iter().map(|p| p * p.ln()).sum::<f64>()
    }

    /// Returns the number of negative rows per positive row. This is the usual `pos_weight`, which makes the total
    /// weights of both classes equal. Returns `None` for more than two classes.
    pub fn pos_weight(&self) -> Option<f64> {
        match self.shares[..] {
            [negatives, positives] => Some(negatives / positives),
            _ => None,
        }
    }

    /// Returns the weight `1 / (classes · p)` for each class, as scikit-learn's "balanced" does. With these
    /// weights, all classes have the same total weight, and the mean weight of a row is 1.
    pub fn class_weights(&self) -> Vec<f64> {
        self.shares.iter().map(|p| 1.0 / (self.shares.len() as f64 * p)).collect()
    }

    /// Returns the fraction of the total weight that each class has in a loss with these class weights:
    /// `p·w / Σ p·w`, for class shares `p` and weights `w`.
    ///
    /// # Errors
    /// When the number of weights differs from the number of classes, or a weight is not finite or not above 0.
    pub fn weighted(&self, weights: &[f64]) -> Result<Self> {
        if weights.len() != self.shares.len() {
            return Err(PriorError::WeightCount { weights: weights.len(), classes: self.shares.len() }.into());
        }
        if let Some(class) = weights.iter().position(|&weight| !(weight > 0.0 && weight.is_finite())) {
            return Err(PriorError::Weight { class, weight: weights[class] }.into());
        }
        Self::from_shares(&self.shares.iter().zip(weights).map(|(p, w)| p * w).collect::<Vec<_>>())
    }

    /// Returns the fraction of the total weight that each of two classes has in a loss with this `pos_weight`. For
    /// the positive class with share `p` and weight `w`, it is `w·p / (w·p + 1 − p)`, the effective prevalence.
    ///
    /// # Errors
    /// When there are not two classes, or the weight is not finite or not above 0.
    pub fn with_pos_weight(&self, weight: f64) -> Result<Self> {
        if self.shares.len() != 2 {
            return Err(PriorError::PosWeight { classes: self.shares.len() }.into());
        }
        self.weighted(&[1.0, weight])
    }

    /// Returns the logits that correspond to these shares. If `width` is 1, this is the logit `ln(p / (1 − p))` of
    /// the positive class of two; otherwise it is `ln p` for each class.
    ///
    /// # Errors
    /// When `width` is neither the number of classes nor, for two classes, 1.
    pub fn logits(&self, width: usize) -> Result<Vec<f64>> {
        match (width, &self.shares[..]) {
            (1, [negatives, positives]) => Ok(vec![(positives / negatives).ln()]),
            (_, shares) if width == shares.len() => Ok(shares.iter().map(|p| p.ln()).collect()),
            (_, shares) => Err(PriorError::Width { width, classes: shares.len() }.into()),
        }
    }

    /// Initialises the last layer of a model so that the model predicts these shares for every row. Sets the
    /// layer's bias to [`Self::logits`] and its weight to 0. The first loss is then [`Self::entropy`], and no
    /// steps are spent on learning the frequencies of the classes. Earlier layers keep their initial values and
    /// learn from the second step on.
    ///
    /// If the loss has weights, call this method on the prior that [`Self::with_pos_weight`] or [`Self::weighted`]
    /// returns for these weights.
    ///
    /// # Errors
    /// When the layer has no bias, or its number of outputs does not fit the number of classes.
    pub fn initialize(&self, head: &Linear) -> Result<()> {
        let outputs = head.weight().shape().dims()[0];
        initialize(head, &self.logits(outputs)?)
    }

    /// Returns the shift that corrects the logits of a model if it was trained on rows with the class shares
    /// `trained`, but is applied to rows with the shares `self`.
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

/// Writes `2.00 % positive` for two classes, or a list of percentages for more classes.
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

/// Sets the bias of a model's last layer to these logits, one for each output, and the layer's weight to 0. If a
/// row can have several labels, pass the log odds of each label.
///
/// # Errors
/// When the layer has no bias, the number of logits differs from the number of outputs, or a logit is not finite.
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

/// Shift that corrects the logits of a model for rows with other class shares than in training. It adds
/// `ln p_here − ln p_trained` to the logit of each class, where `p_trained` is the share of the class in training
/// and `p_here` its share in these rows. If a model with one logit per row was trained with a `pos_weight` of `w`,
/// the shift is `−ln w`.
///
/// This follows from Bayes' rule if the features of each class have the same distribution in training and in these
/// rows. Source: Elkan, The Foundations of Cost-Sensitive Learning, 2001.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PriorShift {
    by: Vec<f64>,
}

impl PriorShift {
    /// Returns the shift that corrects the logits of a model trained with this `pos_weight`.
    ///
    /// # Errors
    /// When the weight is not finite or not above 0.
    pub fn of_pos_weight(weight: f64) -> Result<Self> {
        let even = Prior { shares: vec![0.5, 0.5] };
        even.shift_from(&even.with_pos_weight(weight)?)
    }

    /// Shifts the logit of a model with one logit per row. Returns NaN if there are more than two classes.
    pub fn logit(&self, logit: f64) -> f64 {
        logit + self.single()
    }

    /// Converts the positive class's probability before the shift to its probability after the shift. Returns NaN
    /// if there are more than two classes.
    pub fn probability(&self, probability: f64) -> f64 {
        let odds = self.single().exp() * probability;
        odds / (odds + 1.0 - probability)
    }

    /// Returns the shift as a [`Calibration`] of a model with two classes. Returns `None` for more classes.
    pub fn calibration(&self) -> Option<Calibration> {
        let intercept = self.single();
        intercept.is_finite().then_some(Calibration::Platt { slope: 1.0, intercept })
    }

    /// Shifts rows of `width` logits in place. `width` is the number of classes, or 1 for two classes.
    ///
    /// # Errors
    /// When `width` is any other number.
    pub fn logits(&self, logits: &mut [f64], width: usize) -> Result<()> {
        let by = self.row(width)?;
        for row in logits.chunks_mut(width) {
            row.iter_mut().zip(&by).for_each(|(logit, by)| *logit += by);
        }
        Ok(())
    }

    /// Adds the shift to logits of shape `[…, 1]` or `[…, classes]` in a graph. If the last axis has another size,
    /// records an error in the graph, which is returned when the graph is compiled.
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

    /// Returns the shift for a model with two classes and one logit per row, or NaN for more than two classes.
    fn single(&self) -> f64 {
        match self.by[..] {
            [negative, positive] => positive - negative,
            _ => f64::NAN,
        }
    }

    /// Returns the numbers to add to a row of `width` logits.
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

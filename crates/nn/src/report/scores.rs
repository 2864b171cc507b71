//! The logits of a set of rows with their labels.

use wgrad_core::{Error, Result};

use crate::data::text::count;
use crate::metrics::{Calibrate, Decision, Report, Rule};

/// What a model said about some rows, and what is true: logits `[rows, width]` and the class of each row. `width` is one
/// for two classes, or the number of classes.
///
/// ```
/// use wgrad_nn::report::Scores;
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
}

impl Scores {
    /// Takes logits row by row.
    ///
    /// # Errors
    /// When there are no rows, fewer than two classes, neither one logit per row nor one per class, a logit is not
    /// finite, or a label has no class.
    pub fn new<S: Copy + Into<f64>, N: AsRef<str>>(logits: &[S], labels: &[u32], classes: &[N]) -> Result<Self> {
        let (rows, n) = (labels.len(), classes.len());
        if rows == 0 {
            return Err(Error::Data("there are no rows to judge".into()));
        }
        if n < 2 {
            return Err(Error::Data(format!("scores need at least two classes, not {n}")));
        }
        let width = logits.len() / rows;
        if width * rows != logits.len() || !(width == n || (width == 1 && n == 2)) {
            let one = if n == 2 { "one or " } else { "" };
            return Err(Error::Data(format!(
                "{} for {} are not {one}{n} per row, one for each class",
                count(logits.len(), "logit"),
                count(rows, "row")
            )));
        }
        let logits: Vec<f64> = logits.iter().map(|&z| z.into()).collect();
        if let Some(at) = logits.iter().position(|z| !z.is_finite()) {
            return Err(Error::Data(format!("the logit of row {} is {}", at / width, logits[at])));
        }
        if let Some(row) = labels.iter().position(|&label| label as usize >= n) {
            return Err(Error::Data(format!("row {row} is of class {}, but there are {n} classes", labels[row])));
        }
        let classes = classes.iter().map(|name| name.as_ref().to_string()).collect();
        Ok(Self { logits, width, labels: labels.to_vec(), classes })
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Logits per row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The logits, row by row.
    #[must_use]
    pub fn logits(&self) -> &[f64] {
        &self.logits
    }

    /// The class of each row.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The names of the classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Of two classes, one logit per row: how far the positive class is ahead. None for more classes.
    #[must_use]
    pub fn margins(&self) -> Option<Vec<f64>> {
        match (self.classes.len(), self.width) {
            (2, 1) => Some(self.logits.clone()),
            (2, _) => Some(self.logits.chunks_exact(2).map(|row| row[1] - row[0]).collect()),
            _ => None,
        }
    }

    /// The rows of each class.
    #[must_use]
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        self.labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    }

    /// Fits a decision to these rows; for more than two classes a calibration only, and the rule is not looked at.
    ///
    /// # Errors
    /// As [`Decision::fit`] and [`Decision::multiclass`].
    pub fn decide(&self, calibrate: Calibrate, rule: Rule) -> Result<Decision> {
        match self.margins() {
            Some(margins) => Decision::fit(&margins, &self.labels, calibrate, rule),
            None => Decision::multiclass(&self.logits, &self.labels, self.classes.len(), calibrate),
        }
    }

    /// The class of each row.
    #[must_use]
    pub fn predicted(&self, decision: &Decision) -> Vec<u32> {
        self.logits.chunks_exact(self.width).map(|row| decision.class(row)).collect()
    }

    /// The probabilities of each row: that of the positive class of two, or one per class.
    #[must_use]
    pub fn probabilities(&self, decision: &Decision) -> Vec<f64> {
        match self.margins() {
            Some(margins) => margins.iter().map(|&z| decision.probability(z)).collect(),
            None => self.logits.chunks_exact(self.width).flat_map(|row| decision.probabilities(row)).collect(),
        }
    }

    /// The cross-entropy of each row under a decision's probabilities, which are kept `1e-15` away from 0.
    #[must_use]
    pub fn losses(&self, decision: &Decision) -> Vec<f64> {
        let probabilities = self.probabilities(decision);
        let surprise = |p: f64| -p.max(1e-15).ln();
        match self.classes.len() {
            2 => probabilities.iter().zip(&self.labels).map(|(&p, &y)| surprise(if y == 1 { p } else { 1.0 - p })).collect(),
            n => probabilities.chunks_exact(n).zip(&self.labels).map(|(row, &y)| surprise(row[y as usize])).collect(),
        }
    }

    /// The usual metrics of the rows under a decision.
    ///
    /// # Errors
    /// When a probability is none, which a decision that was checked does not give.
    #[allow(clippy::cast_precision_loss, reason = "a mean over rows")]
    pub fn report(&self, decision: &Decision) -> Result<Report> {
        let loss = self.losses(decision).iter().sum::<f64>() / self.rows() as f64;
        let probabilities = self.probabilities(decision);
        match self.classes.len() {
            2 => Report::decided(&probabilities, &self.predicted(decision), &self.labels, &self.classes, loss),
            _ => Report::multiclass(&probabilities, &self.labels, &self.classes, loss),
        }
    }
}

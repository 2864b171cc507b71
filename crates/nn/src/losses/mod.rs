//! Losses: PyTorch's options, defaults and reductions.
//!
//! | the model gives | the targets are | loss |
//! |---|---|---|
//! | one logit per row, `[N, 1]` | `f32[N, 1]`, 0 or 1 (or between) | [`BceWithLogitsLoss`] |
//! | `K` independent logits, `[N, K]` | `f32[N, K]` | [`BceWithLogitsLoss`], [`MultiLabelSoftMarginLoss`] |
//! | the same, and most rows are easy negatives | `f32[N, K]` | [`FocalLoss`] |
//! | `C` logits, one per exclusive class, `[N, C]` | `u32[N]`, the class | [`CrossEntropyLoss`], [`MultiClassFocalLoss`], [`MultiMarginLoss`] |
//! | the same | `f32[N, C]`, probabilities | [`CrossEntropyLoss`] |
//! | `K − 1` logits of a [`Coral`](crate::layers::Coral) layer, for `K` classes in an order | `u32[N]`, the class | [`CoralLoss`] |
//! | probabilities (after a sigmoid) | `f32` of the same shape | [`BceLoss`] |
//! | log-probabilities (after a log-softmax), `[N, C]` | `u32[N]`, the class | [`NllLoss`] |
//! | the same | `f32[N, C]`, a distribution | [`KlDivLoss`] |
//! | numbers | `f32` of the same shape | [`MseLoss`], [`L1Loss`], [`SmoothL1Loss`], [`HuberLoss`] |
//! | rates, or their logarithms | `f32` counts | [`PoissonNllLoss`] |
//! | means and variances | `f32` | [`GaussianNllLoss`] |
//! | scores | `f32`, −1 or 1 | [`HingeLoss`], [`SoftMarginLoss`] |
//! | distances | `f32`, −1 or 1 | [`HingeEmbeddingLoss`] |
//! | two scores | `f32`: 1 if the first shall be higher, −1 if lower | [`MarginRankingLoss`] |
//! | two vectors per row | `f32[N]`: 1 if alike, −1 if not | [`CosineEmbeddingLoss`] |
//! | three vectors per row: anchor, positive, negative | none | [`TripletMarginLoss`] |
//!
//! Where a loss takes logits, the model ends without sigmoid or softmax: the loss has it inside, in a form that keeps its
//! digits. Shapes are compared, never broadcast: `[64]` against `[64, 1]` is an error here, where PyTorch would make 64 by
//! 64 differences of it.

mod bce;
mod bce_with_logits;
mod coral;
mod cross_entropy;
mod embeddings;
mod focal;
mod kl_div;
mod likelihoods;
mod margins;
mod multi;
mod nll;
mod regression;
mod shapes;
#[cfg(test)]
mod tests;

pub use bce::BceLoss;
pub use bce_with_logits::BceWithLogitsLoss;
pub use coral::CoralLoss;
pub use cross_entropy::{CrossEntropyLoss, IGNORE};
pub use embeddings::{CosineEmbeddingLoss, TripletMarginLoss};
pub use focal::{FocalLoss, MultiClassFocalLoss};
pub use kl_div::{KlDivLoss, KlDivReduction};
pub use likelihoods::{GaussianNllLoss, PoissonNllLoss};
pub use margins::{HingeEmbeddingLoss, HingeLoss, MarginRankingLoss, SoftMarginLoss};
pub use multi::{MultiLabelSoftMarginLoss, MultiMarginLoss};
pub use nll::NllLoss;
pub use regression::{HuberLoss, L1Loss, MseLoss, SmoothL1Loss};

use wgrad_core::{Array, Graph, Misfit, Tensor};

/// How the losses of the elements become the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// They stay apart.
    None,
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl Reduction {
    #[track_caller]
    fn apply(self, losses: Tensor) -> Tensor {
        match self {
            Self::None => losses,
            Self::Mean => losses.mean_all(),
            Self::Sum => losses.sum_all(),
        }
    }

    /// The same for rows along the last axis, whose losses are the sums of their `terms`. What is reduced anyway is reduced
    /// at once.
    #[track_caller]
    fn rows(self, terms: &Tensor) -> Tensor {
        let shape = terms.shape();
        let rows: usize = shape.dims().iter().rev().skip(1).product();
        match self {
            Self::None => terms.sum(&[-1]),
            Self::Sum => terms.sum_all(),
            // The message is that of the mean.
            Self::Mean if rows == 0 => terms.mean_all(),
            #[allow(clippy::cast_precision_loss, reason = "a number of rows")]
            Self::Mean => terms.sum_all() * (1.0 / rows as f64),
        }
    }

    /// As [`Self::rows`], where a row's loss is the mean of its terms.
    #[track_caller]
    fn row_means(self, terms: &Tensor) -> Tensor {
        match self {
            Self::None => terms.mean(&[-1]),
            Self::Mean => terms.mean_all(),
            #[allow(clippy::cast_precision_loss, reason = "a number of classes")]
            Self::Sum => terms.sum_all() * (1.0 / terms.shape().dims().last().copied().unwrap_or(1) as f64),
        }
    }
}

/// Weights of a loss: one number, or an array.
#[derive(Clone, Debug, PartialEq)]
pub enum Weights {
    /// The same everywhere.
    Number(f64),
    /// An array, as the loss says.
    Array(Array),
}

impl Weights {
    #[track_caller]
    fn tensor(&self, graph: &Graph) -> Tensor {
        match self {
            Self::Number(value) => graph.constant(*value),
            Self::Array(array) if array.dtype().is_float() => graph.array(array.clone()),
            Self::Array(array) => graph.array(Array::new(array.shape(), array.to_f64()).expect("the same shape")),
        }
    }

    /// The losses of a loss called `name`, each times its weight; `per` says what there is one loss of.
    #[track_caller]
    fn scale(&self, name: &str, losses: &Tensor, [one, many]: [&str; 2]) -> Tensor {
        let weight = self.tensor(losses.graph());
        let (shape, own) = (losses.shape(), weight.shape());
        if own.broadcast(&shape).as_ref() != Some(&shape) {
            let misfit = Misfit::new(format!("weight {own} does not broadcast to the {many} {shape}"))
                .fix(format!("give one weight, one per {one} of a row (the last axis), or one per row as `[N, 1]`"));
            return losses.misfit(name, &[&weight], misfit);
        }
        losses * weight
    }

    /// One weight per class, or what is wrong.
    fn per_class(&self, classes: usize) -> Option<Misfit> {
        let weights = match self {
            Self::Array(array) if array.shape().dims() != [classes] => array.shape().to_string(),
            Self::Number(_) => "one number".into(),
            Self::Array(_) => return None,
        };
        Some(
            Misfit::new(format!("the weight has one entry per class, [{classes}], not {weights}"))
                .fix("`train.class_weights()` gives weights that even out the classes"),
        )
    }
}

impl From<f64> for Weights {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<f32> for Weights {
    fn from(value: f32) -> Self {
        Self::Number(value.into())
    }
}

impl From<Vec<f32>> for Weights {
    fn from(values: Vec<f32>) -> Self {
        Self::Array(Array::vector(values))
    }
}

impl From<Vec<f64>> for Weights {
    fn from(values: Vec<f64>) -> Self {
        Self::Array(Array::vector(values))
    }
}

impl From<&[f32]> for Weights {
    fn from(values: &[f32]) -> Self {
        values.to_vec().into()
    }
}

impl<const N: usize> From<[f32; N]> for Weights {
    fn from(values: [f32; N]) -> Self {
        values.to_vec().into()
    }
}

impl<const N: usize> From<[f64; N]> for Weights {
    fn from(values: [f64; N]) -> Self {
        values.to_vec().into()
    }
}

impl From<Array> for Weights {
    fn from(array: Array) -> Self {
        Self::Array(array)
    }
}

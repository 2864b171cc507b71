//! Loss functions, with PyTorch's options, defaults and reductions.
//!
//! | model output | targets | loss |
//! |---|---|---|
//! | one logit per row, `[N, 1]` | `f32[N, 1]` from 0 to 1 | [`BceWithLogitsLoss`] |
//! | `K` independent logits, `[N, K]` | `f32[N, K]` | [`BceWithLogitsLoss`], [`MultiLabelSoftMarginLoss`] |
//! | `K` independent logits, `[N, K]`, if most examples are easy negatives | `f32[N, K]` | [`FocalLoss`] |
//! | `C` logits, one per exclusive class, `[N, C]` | `u32[N]`, the class | [`CrossEntropyLoss`], [`MultiClassFocalLoss`], [`MultiMarginLoss`] |
//! | `C` logits, one per exclusive class, `[N, C]` | `f32[N, C]`, probabilities | [`CrossEntropyLoss`] |
//! | `K − 1` logits of a [`Coral`](crate::layers::Coral) layer, for `K` ordered classes | `u32[N]`, the class | [`CoralLoss`] |
//! | probabilities (after a sigmoid) | `f32` of the same shape | [`BceLoss`] |
//! | log-probabilities (after a log-softmax), `[N, C]` | `u32[N]`, the class | [`NllLoss`] |
//! | log-probabilities (after a log-softmax), `[N, C]` | `f32[N, C]`, probabilities | [`KlDivLoss`] |
//! | numbers | `f32` of the same shape | [`MseLoss`], [`L1Loss`], [`SmoothL1Loss`], [`HuberLoss`] |
//! | rates of counts, or logarithms of rates | `f32`, counts | [`PoissonNllLoss`] |
//! | means and variances | `f32`, numbers | [`GaussianNllLoss`] |
//! | scores | `f32`, −1 or 1 | [`HingeLoss`], [`SoftMarginLoss`] |
//! | distances | `f32`, −1 or 1 | [`HingeEmbeddingLoss`] |
//! | two scores | `f32`: 1 if the first should be higher, −1 if lower | [`MarginRankingLoss`] |
//! | two vectors per row | `f32[N]`: 1 if similar, −1 if not | [`CosineEmbeddingLoss`] |
//! | three vectors per row: anchor, positive, negative | none | [`TripletMarginLoss`] |
//!
//! If a loss takes logits, the model must not end in a sigmoid or softmax: the loss computes that itself, in a
//! numerically stable form. Shapes do not broadcast: for predictions `[64]` and targets `[64, 1]`, the loss
//! records an error in the graph, whereas PyTorch would compute 64 × 64 differences.

#[macro_use]
mod common;
mod bce;
mod bce_with_logits;
mod coral;
mod cosine_embedding;
mod cross_entropy;
mod focal;
mod gaussian_nll;
mod hinge;
mod hinge_embedding;
mod huber;
mod kl_div;
mod l1;
mod margin_ranking;
mod mse;
mod multi_label_soft_margin;
mod multi_margin;
mod nll;
mod poisson_nll;
mod shapes;
mod smooth_l1;
mod soft_margin;
#[cfg(test)]
mod tests;
mod triplet_margin;

pub use bce::BceLoss;
pub use bce_with_logits::BceWithLogitsLoss;
pub use common::{Reduction, Weights};
pub use coral::CoralLoss;
pub use cosine_embedding::CosineEmbeddingLoss;
pub use cross_entropy::{CrossEntropyLoss, IGNORE};
pub use focal::{FocalLoss, MultiClassFocalLoss};
pub use gaussian_nll::GaussianNllLoss;
pub use hinge::HingeLoss;
pub use hinge_embedding::HingeEmbeddingLoss;
pub use huber::HuberLoss;
pub use kl_div::{KlDivLoss, KlDivReduction};
pub use l1::L1Loss;
pub use margin_ranking::MarginRankingLoss;
pub use mse::MseLoss;
pub use multi_label_soft_margin::MultiLabelSoftMarginLoss;
pub use multi_margin::MultiMarginLoss;
pub use nll::NllLoss;
pub use poisson_nll::PoissonNllLoss;
pub use smooth_l1::SmoothL1Loss;
pub use soft_margin::SoftMarginLoss;
pub use triplet_margin::TripletMarginLoss;

use wgrad_core::Tensor;

/// A loss function of predictions and targets, which traces its ops onto the graph of the predictions.
///
/// Every closure `|input: &Tensor, target: &Tensor| …` that returns a tensor implements this trait. Losses with
/// other arguments do not implement the trait; they have their own method `forward`:
/// [`CosineEmbeddingLoss::forward`], [`GaussianNllLoss::forward`], [`MarginRankingLoss::forward`],
/// [`TripletMarginLoss::forward`].
///
/// Error messages name the source line that calls `forward`, except for calls through `dyn Loss`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// use wgrad_nn::losses::{HuberLoss, Loss, MseLoss};
/// let losses: [Box<dyn Loss>; 2] = [Box::new(MseLoss::new()), Box::new(HuberLoss::new().delta(2.0))];
/// let graph = Graph::new(Mode::Evaluate);
/// let [x, y] = ["x", "y"].map(|name| graph.input(name, [8, 1], DType::F32));
/// assert!(losses.iter().all(|loss| loss.forward(&x, &y).shape().rank() == 0));
/// ```
pub trait Loss {
    /// Returns the loss of `input`, the output of a model, for the targets `target`. It is a scalar unless the
    /// loss is set to [`Reduction::None`].
    fn forward(&self, input: &Tensor, target: &Tensor) -> Tensor;
}

impl<F: Fn(&Tensor, &Tensor) -> Tensor> Loss for F {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Tensor {
        self(input, target)
    }
}

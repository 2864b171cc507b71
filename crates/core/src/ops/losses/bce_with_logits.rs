//! Binary cross-entropy of logits: pointwise ops in a form that is accurate for both classes.
//!
//! Let `x` be the logit, `y` the target and `p` the weight on positive targets. PyTorch computes the loss as
//! `(1−y)·x + (1 + (p−1)·y)·(log1p(e^−|x|) + max(−x, 0))`, which loses digits to cancellation for large `−x`: at
//! `x = −17` and `y = 0` the loss is 4e−8, of which `f32` keeps no correct digit. Since
//! `softplus(x) − softplus(−x) = x`, the loss is also `(1−y)·softplus(x) + p·y·softplus(−x)`, a sum of terms of
//! one sign, in which nothing cancels.

use crate::op::pointwise::pointwise_ops;
use crate::{DType, InvalidArgument, Real, Tensor};

use crate::ops::pointwise::activations::sigmoid::sigmoid;
use wgrad_shaders::lib::SPECIAL;

/// Binary cross-entropy of logits for each element.
impl Tensor {
    /// Computes the binary cross-entropy of logits, without reduction: `(1−y)·softplus(x) + y·softplus(−x)`.
    ///
    /// The logits `x` are this tensor; the targets `y` have the same shape and may be soft. The gradient for `x`
    /// is `σ(x) − y`, that for `y` is `−x`. Records an error in the graph, which `compile` reports, if the shapes
    /// differ, even if they would broadcast, or the targets are integers. Equivalent:
    /// `torch.nn.BCEWithLogitsLoss`.
    #[track_caller]
    pub fn bce_with_logits(&self, y: &Tensor) -> Tensor {
        match invalid(self, y, "logits") {
            Some(invalid) => self.invalid("bce_with_logits", &[y], invalid),
            None => self.pointwise(&BCE, &[y], &[]),
        }
    }

    /// Computes [`Self::bce_with_logits`] with a weight `p` on positive targets:
    /// `(1−y)·softplus(x) + p·y·softplus(−x)`.
    ///
    /// The weight `p` is `pos_weight`, which must broadcast to the shape of `x`.
    #[track_caller]
    pub fn bce_with_logits_weighted(&self, y: &Tensor, pos_weight: &Tensor) -> Tensor {
        let invalid = invalid(self, y, "logits").or_else(|| {
            let (shape, weight) = (self.shape(), pos_weight.shape());
            (weight.broadcast(&shape).as_ref() != Some(&shape)).then(|| {
                InvalidArgument::new(format!("pos_weight {weight} does not broadcast to logits {shape}"))
                    .fix("give one weight, or one per logit of a sample (the last axis)")
            })
        });
        match invalid {
            Some(invalid) => self.invalid("bce_with_logits", &[y, pos_weight], invalid),
            None => self.pointwise(&BCE_WEIGHTED, &[y, pos_weight], &[]),
        }
    }
}

/// Returns an error if the shape or type of the targets `y` does not fit `x`; `kind` names the elements of `x`:
/// `logits` or `probabilities`.
pub(crate) fn invalid(x: &Tensor, y: &Tensor, kind: &str) -> Option<InvalidArgument> {
    let (logits, targets) = (x.shape(), y.shape());
    let (n, t) = (logits.dims(), targets.dims());
    if logits != targets {
        let invalid = InvalidArgument::new(format!("targets {targets} must have the shape of the {kind} {logits}"));
        return Some(match (n, t) {
            // One label per row, but several logits: the labels are classes, or the model has too many outputs.
            ([rows, classes], [same] | [same, 1]) if rows == same && *classes > 1 => invalid
                .fix(format!(
                    "for {classes} exclusive classes use the cross-entropy loss (CrossEntropyLoss, \
                     softmax_cross_entropy) with u32 targets [{rows}]"
                ))
                .fix(format!("for two classes make the model's last layer give one logit: [{rows}, 1], targets alike"))
                .fix(format!("for {classes} independent labels give f32 targets {logits}, one 0 or 1 per label")),
            ([rows, 1], [same]) if rows == same => invalid
                .fix(format!("give the targets the shape {logits}: `.unsqueeze(1)`"))
                .fix(format!("or drop the last axis of the {kind}: `.squeeze(1)`")),
            ([rows], [same, 1]) if rows == same => invalid
                .fix("drop the last axis of the targets: `.squeeze(1)`")
                .fix(format!("or give the {kind} the shape {targets}: `.unsqueeze(1)`")),
            _ => invalid.fix(format!(
                "give one target per {}; shapes are compared, not broadcast",
                if kind == "logits" { "logit" } else { "probability" }
            )),
        });
    }
    (y.dtype() == DType::U32).then(|| {
        InvalidArgument::new("targets of a binary loss are numbers between 0 and 1, not u32")
            .fix("cast with `.to_f32()`")
    })
}

/// Computes `log1p(e^−|x|)`, which is `softplus(x) − max(x, 0)` and also `softplus(−x) − max(−x, 0)`.
#[inline(always)]
fn tail<F: Real>(x: F) -> F {
    (-x.abs()).exp().ln_1p()
}

pointwise_ops! {
    /// Loss of the logit `x` and the target `y`: `(1−y)·max(x, 0) + y·max(−x, 0) + log1p(e^−|x|)`.
    pub(crate) BCE = bce_with_logits(x: float, y: float)[] -> float {
        wgsl: "(1.0 - y) * max(x, 0.0) + y * max(-x, 0.0) + special_log1p(exp(-abs(x)))",
        library: SPECIAL,
        steps: 8.0,
        reference<F>: (F::one() - y) * x.max(F::zero()) + y * (-x).max(F::zero()) + tail(x),
        backward(grad): {
            x: grad * x.pointwise(&BCE_SLOPE, &[y], &[]),
            y: -(grad * x),
        },
    }

    /// Loss with a weight `p` on positive targets: `(1−y)·softplus(x) + p·y·softplus(−x)`.
    pub(crate) BCE_WEIGHTED = bce_with_logits_weighted(x: float, y: float, p: float)[] -> float {
        wgsl: "(1.0 - y) * special_softplus(x) + p * y * special_softplus(-x)",
        library: SPECIAL,
        steps: 8.0,
        reference<F>: (F::one() - y) * (x.max(F::zero()) + tail(x)) + p * y * ((-x).max(F::zero()) + tail(x)),
        backward(grad): {
            x: grad * x.pointwise(&BCE_WEIGHTED_SLOPE, &[y, p], &[]),
            y: grad * (p * (-x).softplus() - x.softplus()),
            p: grad * y * (-x).softplus(),
        },
    }

    /// Derivative of the loss with respect to the logit `x`: `σ(x) − y`, computed as `(1−y)·σ(x) − y·σ(−x)`.
    pub(crate) BCE_SLOPE = bce_with_logits_slope(x: float, y: float)[] -> float {
        wgsl: "(1.0 - y) * special_sigmoid(x) - y * special_sigmoid(-x)",
        library: SPECIAL,
        steps: 8.0,
        reference<F>: (F::one() - y) * sigmoid(x) - y * sigmoid(-x),
        backward(grad): {
            x: grad * x.sigmoid() * (-x).sigmoid(),
            y: -grad,
        },
    }

    /// Derivative of the weighted loss with respect to the logit `x`: `(1−y)·σ(x) − p·y·σ(−x)`.
    pub(crate) BCE_WEIGHTED_SLOPE = bce_with_logits_weighted_slope(x: float, y: float, p: float)[] -> float {
        wgsl: "(1.0 - y) * special_sigmoid(x) - p * y * special_sigmoid(-x)",
        library: SPECIAL,
        steps: 8.0,
        reference<F>: (F::one() - y) * sigmoid(x) - p * y * sigmoid(-x),
        backward(grad): {
            x: grad * x.sigmoid() * (-x).sigmoid() * (1.0 - y + p * y),
            y: -(grad * (x.sigmoid() + p * (-x).sigmoid())),
            p: -(grad * y * (-x).sigmoid()),
        },
    }
}

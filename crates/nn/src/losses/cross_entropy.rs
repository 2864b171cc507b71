//! Cross-entropy of logits over exclusive classes.

use wgrad_core::{DType, InvalidArgument, Tensor};

use super::{Loss, Reduction};
use crate::lints;

/// Default of `ignore_index`, the class index of rows to ignore: PyTorch's −100, converted to `u32`.
///
/// Class indices are unsigned here. Signed labels that mark rows to ignore with −100 can be converted with `as`,
/// because `-100i64 as u32` is this number.
pub const IGNORE: u32 = -100i32 as u32;

options! {
    /// Cross-entropy of logits over exclusive classes: `−Σ_c w_c · t_c · log softmax(x)_c` for logits `x` with the
    /// classes along axis 1; PyTorch's `CrossEntropyLoss`.
    ///
    /// Logits are `[N, C, d…]` (or `[C]`). Targets `t` are class indices `u32[N, d…]`, or `f32` probabilities of
    /// the logits' shape. `label_smoothing` `ε` mixes the targets with the uniform distribution:
    /// `t = (1−ε)·target + ε/C`.
    ///
    /// Defaults: mean reduction, no weight, `ignore_index` [`IGNORE`], `label_smoothing` 0. With class indices,
    /// the mean is the sum divided by the sum of the class weights of all rows that are not ignored (NaN if all
    /// rows are ignored); with probabilities, it is the sum divided by the number of rows. A class index out of
    /// range makes the loss NaN.
    ///
    /// The loss records an error in the graph, which `compile` reports, if a shape, a type or an option is
    /// invalid.
    ///
    /// ```
    /// use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{CrossEntropyLoss, Loss};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let logits = graph.input("logits", [2, 4], DType::F32);
    /// let classes = graph.input("classes", [2], DType::U32);
    /// let loss = CrossEntropyLoss::new().label_smoothing(0.1).forward(&logits, &classes);
    /// let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// let step = session.compile(&graph, &[&loss])?;
    /// let feeds = [(&logits, &Array::full([2, 4], 0f32)), (&classes, &Array::vector(vec![0u32, 3]))];
    /// assert!((session.run(&step, &feeds)?[0].item()? - 4f64.ln()).abs() < 1e-15);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub struct CrossEntropyLoss: common[reduction, class_weight, ignore_index] {
        /// Fraction of the target that is spread evenly over all classes, between 0 and 1. Default: 0.
        label_smoothing: f64 = 0.0,
    }
}

impl Loss for CrossEntropyLoss {
    #[track_caller]
    fn forward(&self, logits: &Tensor, target: &Tensor) -> Tensor {
        let shape = logits.shape();
        let classes = shape.dims().get(usize::from(shape.rank() > 1)).copied();
        if let Some(invalid) = classes.and_then(|classes| self.invalid(classes)) {
            return logits.invalid("CrossEntropyLoss", &[target], invalid);
        }
        lints::logits(logits, "CrossEntropyLoss");
        let weight = self.class_weight.as_ref().map(|weight| weight.tensor(logits.graph()));
        // With probabilities as targets, `ignore_index` is invalid. Its default is dropped; any other index is
        // passed to the op, which records an error.
        let ignore = self.ignore_index.filter(|&index| target.dtype() == DType::U32 || index != IGNORE);
        let (loss, row_weight) = logits.softmax_cross_entropy(target, weight.as_ref(), self.label_smoothing, ignore);
        match self.reduction {
            Reduction::None => loss,
            Reduction::Mean => match (target.dtype(), ignore, &weight) {
                // All rows have equal weight, so the divisor is the number of rows, which is known when the graph
                // is traced.
                (DType::F32, ..) | (_, None, None) => loss.mean_all(),
                // The row weights are computed from the labels alone, so the gradient does not have to wait for
                // the loss.
                (_, Some(index), None) => {
                    let kept = target.eq(target.graph().constant_u32(index)).logical_not().to_f32();
                    loss.sum_all() / divisor(&kept.sum_all())
                }
                _ => loss.sum_all() / divisor(&row_weight.detach().sum_all()),
            },
            Reduction::Sum => loss.sum_all(),
        }
    }
}

impl CrossEntropyLoss {
    fn invalid(&self, classes: usize) -> Option<InvalidArgument> {
        let one_class = invalid_class_count(classes);
        if one_class.is_some() {
            return one_class;
        }
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return Some(
                InvalidArgument::new(format!("label smoothing must be between 0 and 1, not {}", self.label_smoothing))
                    .fix("0 is no smoothing, 0.1 is usual"),
            );
        }
        self.class_weight.as_ref().and_then(|weight| weight.per_class(classes))
    }
}

/// Returns `sum`, the sum of the row weights, or NaN if it is 0. With a divisor of 0, the part of the loss that
/// comes from label smoothing could be infinite instead of NaN.
#[track_caller]
pub(super) fn divisor(sum: &Tensor) -> Tensor {
    sum + 0.0 / sum
}

/// Returns an error if there is only one class, because the softmax would always be 1.
pub(super) fn invalid_class_count(classes: usize) -> Option<InvalidArgument> {
    (classes == 1).then(|| {
        InvalidArgument::new("a softmax over one class is always 1, so this loss is always 0")
            .fix("for a yes-or-no decision with one logit per row, use BceWithLogitsLoss with f32 targets of the same shape")
            .fix("or give the model's last layer one output per class")
    })
}

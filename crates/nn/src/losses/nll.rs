//! Negative log-likelihood of classes.

use wgrad_core::{InvalidArgument, Shape, Tensor};

use super::cross_entropy::divisor;
use super::{Loss, Reduction};
use crate::lints;

options! {
    /// Negative log-likelihood of classes: `−w_y · x_y` for class indices `y` and log-probabilities `x` whose
    /// classes are along axis 1; PyTorch's `NLLLoss`.
    ///
    /// Log-probabilities, the result of [`log_softmax`](wgrad_core::Tensor::log_softmax), are `[N, C, d…]` (or
    /// `[C]`); class indices are `u32[N, d…]`. Rows with the class index `ignore_index` have no loss. For logits,
    /// [`CrossEntropyLoss`](super::CrossEntropyLoss) computes the log-softmax and this loss in one kernel.
    ///
    /// Defaults: mean reduction, no weight, `ignore_index` [`IGNORE`](super::IGNORE). The mean is the sum divided
    /// by the sum of the class weights of all rows that are not ignored (NaN if all rows are ignored). A class
    /// index out of range makes the loss NaN.
    ///
    /// The loss records an error in the graph, which `compile` reports, if a shape or a type is invalid.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{Loss, NllLoss};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let logits = graph.input("logits", [2, 4], DType::F32);
    /// let classes = graph.input("classes", [2], DType::U32);
    /// let loss = NllLoss::new().forward(&logits.log_softmax(1), &classes);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&logits, &Array::full([2, 4], 0f32)), (&classes, &Array::vector(vec![0u32, 3]))];
    /// assert!((session.run(&step, &feeds)?[0].item()? - 4f64.ln()).abs() < 1e-15);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub struct NllLoss: common[reduction, class_weight, ignore_index] {}
}

impl Loss for NllLoss {
    #[track_caller]
    fn forward(&self, x: &Tensor, target: &Tensor) -> Tensor {
        if let Some(invalid) = self.invalid(x, target) {
            return x.invalid("NllLoss", &[target], invalid);
        }
        lints::probabilities(x, "NllLoss", true);
        let axis = isize::from(x.shape().rank() > 1);
        let graph = x.graph();
        let _line = graph.line_of_caller();
        let losses = -x.gather(axis, &target.unsqueeze(axis)).squeeze(axis);
        let weight = self.class_weight.as_ref().map(|weight| weight.tensor(graph).embedding(target));
        let losses = match &weight {
            Some(weight) => losses * weight,
            None => losses,
        };
        let zero = &graph.constant(0.0);
        let kept = self.ignore_index.map(|index| target.eq(graph.constant_u32(index)).logical_not());
        let losses = match &kept {
            Some(kept) => kept.where_cond(&losses, zero),
            None => losses,
        };
        let counts = match (kept, weight) {
            (Some(kept), Some(weight)) => Some(kept.where_cond(&weight, zero)),
            (Some(kept), None) => Some(kept.to_f32()),
            (None, weight) => weight,
        };
        match (self.reduction, counts) {
            (Reduction::Mean, Some(counts)) => losses.sum_all() / divisor(&counts.sum_all()),
            (reduction, _) => reduction.apply(losses),
        }
    }
}

impl NllLoss {
    fn invalid(&self, x: &Tensor, target: &Tensor) -> Option<InvalidArgument> {
        invalid_classes(&x.spec(), &target.spec(), "log-probabilities").or_else(|| {
            let classes = x.shape().dims()[usize::from(x.shape().rank() > 1)];
            self.class_weight.as_ref().and_then(|weight| weight.per_class(classes))
        })
    }
}

/// Returns an error if the class indices `target` do not match `x`. The classes of `x` are along axis 1, or along
/// axis 0 if `x` has only one axis. `what` is the word for `x` in the message, such as "logits".
pub(super) fn invalid_classes(x: &wgrad_core::Spec, target: &wgrad_core::Spec, what: &str) -> Option<InvalidArgument> {
    if !x.dtype.is_float() {
        return Some(
            InvalidArgument::new(format!("{what} are f32, not u32"))
                .fix(format!("the {what} come first, then the target")),
        );
    }
    let dims = x.shape.dims();
    let Some(&classes) = dims.get(usize::from(dims.len() > 1)).filter(|&&classes| classes > 0) else {
        return Some(
            InvalidArgument::new(format!("{what} {} have no class axis", x.shape))
                .fix(format!("give {what} [N, C, d...] or [C]")),
        );
    };
    let rows: Shape = if dims.len() > 1 { [&dims[..1], &dims[2..]].concat().into() } else { [].into() };
    let (shape, dtype) = (&target.shape, target.dtype);
    if *shape == rows {
        return dtype.is_float().then(|| {
            InvalidArgument::new(format!("class indices are u32, not {dtype}"))
                .fix("feed the labels as u32, or cast with `.to_u32()`")
        });
    }
    let cast = if dtype.is_float() { ".to_u32()" } else { "" };
    if *shape == x.shape {
        return Some(
            InvalidArgument::new(format!("this loss takes a class per row, u32{rows}, not {target}"))
                .fix(format!(
                    "for one-hot targets or class probabilities, `.argmax({})` returns the class",
                    dims.len().min(2) - 1
                ))
                .fix("or, for soft targets, use CrossEntropyLoss on logits or KlDivLoss on log-probabilities"),
        );
    }
    if let Some(axis) = (0..shape.rank()).rev().find(|&axis| {
        let mut dims = shape.dims().to_vec();
        dims.remove(axis) == 1 && Shape::from(dims) == rows
    }) {
        return Some(
            InvalidArgument::new(format!("class indices for {what} {} are u32{rows}, not {target}", x.shape))
                .fix(format!("drop the axis of size 1: `.squeeze({axis}){cast}`")),
        );
    }
    Some(
        InvalidArgument::new(format!("{what} {} of {classes} classes do not match the target {target}", x.shape))
            .fix(format!("give one class index per row: u32{rows}")),
    )
}

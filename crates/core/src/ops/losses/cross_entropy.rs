//! Softmax cross-entropy of logits: log-softmax, target, class weights and gradient in one op.

use rayon::prelude::*;
use wgrad_shaders::lib::SPECIAL;

use crate::{
    Accuracy, Backward, Buffers, DType, InvalidArgument, Kernel, Launch, Op, Operand, Real, Reference, Shape, Spec,
    Tensor, both, vectorized,
};

use crate::host::cast::{single, wide};
use crate::ops::axes::extents;
use crate::ops::reduce::softmax::{exponentials, one_thread_per_row, over_rows};

/// Softmax cross-entropy of logits for each row.
impl Tensor {
    /// Computes the cross-entropy between logits and targets, without reduction: `−Σ_c w_c·t_c·log softmax(x)_c`
    /// per row.
    ///
    /// `self` contains logits `[N, C, d…]` (or `[C]`) with the classes along axis 1 (or 0). A row is the logits of
    /// one sample and position. `target` contains `u32` class indices `[N, d…]`, or `f32` probabilities with the
    /// shape of the logits. `t_c = (1 − ε)·target_c + ε/C` with `ε = label_smoothing` (PyTorch's default: 0). `w`
    /// are the class weights `[C]`; without them all are 1.
    ///
    /// Returns `(loss, weight)`, both `[N, d…]`. The weight of a row is `w` of its class, 0 if the row is ignored,
    /// and 1 for probabilities, so that PyTorch's mean is `loss.sum() / weight.sum()`. Rows whose index is
    /// `ignore_index` have a loss and gradient of 0. If an index is neither a class nor `ignore_index`, the loss,
    /// the weight and the gradient of its row are NaN, on every device. The loss does not overflow, even for
    /// logits of ±1000.
    ///
    /// The gradient for the logits is `p_c·Σ_j w_j·t_j − w_c·t_c` times the row's cotangent, with
    /// `p = softmax(x)`; target probabilities get a gradient, too, but class weights do not. One pass computes the
    /// loss and the gradient for the logits. Neither gradient can be differentiated again. Equivalent:
    /// `torch.nn.CrossEntropyLoss`, reduction `none`.
    ///
    /// Records an error in the graph, which `compile` reports, if shapes or types do not fit, the smoothing is
    /// outside [0, 1], or `ignore_index` is used with probabilities.
    #[track_caller]
    pub fn softmax_cross_entropy(
        &self,
        target: &Tensor,
        weight: Option<&Tensor>,
        label_smoothing: f64,
        ignore_index: Option<u32>,
    ) -> (Tensor, Tensor) {
        let mut inputs = vec![self, target];
        inputs.extend(weight);
        let op = SoftmaxCrossEntropy { smoothing: label_smoothing, ignore: ignore_index, gradient: false };
        let applied = self.graph().apply(op, &inputs);
        (applied.get(0), applied.get(1))
    }
}

const TREE: &str = wgrad_shaders::lib::TREE;
const FORWARD: &str = wgrad_shaders::SOFTMAX_CROSS_ENTROPY;

/// Softmax cross-entropy. Inputs: logits, target and optional class weights. Outputs: loss and weight per row and,
/// if `gradient`, the gradient of each row's loss, computed in the same pass.
#[derive(Clone, Debug)]
struct SoftmaxCrossEntropy {
    smoothing: f64,
    ignore: Option<u32>,
    gradient: bool,
}

/// Shape of the logits as `[n, classes, inner]`.
#[derive(Clone, Copy)]
struct Layout {
    n: usize,
    classes: usize,
    inner: usize,
}

impl Layout {
    fn of(shape: &Shape) -> Self {
        let axis = usize::from(shape.rank() > 1);
        let [n, classes, inner] = if shape.rank() == 0 { [1; 3] } else { extents(shape, axis..axis + 1) };
        Self { n, classes, inner }
    }

    fn rows(self) -> usize {
        self.n * self.inner
    }

    /// Returns the index of the first logit of a row.
    fn first(self, row: usize) -> usize {
        row / self.inner * self.classes * self.inner + row % self.inner
    }
}

/// Returns the shape of the losses: that of the logits without the class axis.
fn rows_of(logits: &Shape) -> Shape {
    let class_axis = usize::from(logits.rank() > 1);
    let dims = logits.dims().iter().enumerate().filter(|&(axis, _)| axis != class_axis);
    dims.map(|(_, &size)| size).collect::<Vec<_>>().into()
}

/// Returns an error if the shape or type of a target does not fit the logits.
fn invalid(logits: &Shape, rows: &Shape, target: &Spec) -> Option<InvalidArgument> {
    let classes = Layout::of(logits).classes;
    let (shape, dtype) = (&target.shape, target.dtype);
    let squeezed = |axis: usize| {
        let mut dims = shape.dims().to_vec();
        (axis < dims.len() && dims.remove(axis) == 1 && Shape::from(dims) == *rows).then_some(axis)
    };
    let one_logit =
        format!("{logits} holds one logit per row: for two classes use the binary loss (BceWithLogitsLoss)");
    if (dtype == DType::U32 && shape == rows) || (dtype.is_float() && shape == logits) {
        return None;
    }
    if let Some(axis) = squeezed(1).or_else(|| squeezed(shape.rank().saturating_sub(1))).filter(|_| shape != rows) {
        let invalid = InvalidArgument::new(format!("class indices for logits {logits} are u32{rows}, not {target}"));
        let invalid = match dtype {
            DType::U32 => invalid.fix(format!("drop the axis of size 1: `.squeeze({axis})`")),
            _ => invalid.fix(format!("drop the axis of size 1 and cast: `.squeeze({axis}).to_u32()`")),
        };
        return Some(if classes == 1 { invalid.fix(one_logit) } else { invalid });
    }
    Some(if shape == logits {
        InvalidArgument::new(format!(
            "targets of the logits' shape {logits} are class probabilities, which are f32, not u32"
        ))
        .fix("for one-hot targets cast with `.to_f32()`")
        .fix(format!("or give class indices u32{rows}"))
    } else if shape == rows {
        let invalid = InvalidArgument::new(format!("class indices are u32, not {dtype}"))
            .fix("feed the labels as u32, or cast with `.to_u32()`");
        if classes == 1 { invalid.fix(one_logit) } else { invalid }
    } else if shape.rank() == rows.rank() && shape.dims().first() != rows.dims().first() && dtype == DType::U32 {
        let (has, expected) = (shape.dims().first().unwrap_or(&1), rows.dims().first().unwrap_or(&1));
        InvalidArgument::new(format!("{expected} rows of logits {logits}, but {has} class indices {shape}"))
            .fix(format!("give one class index per row: u32{rows}"))
    } else {
        InvalidArgument::new(format!("target {target} does not fit logits {logits}"))
            .fix(format!("give class indices u32{rows}"))
            .fix(format!("or class probabilities f32{logits}"))
    })
}

impl SoftmaxCrossEntropy {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let layout = Layout::of(&at.input_spec(0).shape);
        let target = Target::of(&at, 1);
        let weight = (at.inputs() > 2).then(|| at.float(2));
        let (x, losses, weights) = (at.float(0), at.out(0), at.out(1));
        let gradients: &mut [F] = if self.gradient { at.out(2) } else { &mut [] };
        // Blocks of rows run in parallel, each with its slices of the outputs.
        let block = ((1 << 13) / (layout.classes * layout.inner).max(1) + 1).min(layout.n.max(1));
        let rows = block * layout.inner;
        let work = |first: usize, losses: &mut [F], weights: &mut [F], gradients: &mut [F]| {
            vectorized(
                #[inline(always)]
                || {
                    let Layout { classes, inner, .. } = layout;
                    let [mut logits, mut powers] = [vec![F::zero(); classes], vec![F::zero(); classes]];
                    for (i, (loss, own)) in losses.iter_mut().zip(weights).enumerate() {
                        let row = Row { number: first + i, first: layout.first(first + i), weight };
                        let to = layout.first(i);
                        let (cost, weight) = if inner == 1 && self.gradient {
                            self.row(layout, row, &x[row.first..][..classes], target, &mut gradients[to..][..classes])
                        } else {
                            // Copies each strided row into a contiguous buffer.
                            let scattered = x[row.first..].iter().step_by(inner);
                            logits.iter_mut().zip(scattered).for_each(|(logit, &x)| *logit = x);
                            let result = self.row(layout, row, &logits, target, &mut powers);
                            if self.gradient {
                                let gradients = gradients[to..].iter_mut().step_by(inner);
                                gradients.zip(&powers).for_each(|(gradient, &power)| *gradient = power);
                            }
                            result
                        };
                        (*loss, *own) = (F::lit(cost), F::lit(weight));
                    }
                },
            );
        };
        if losses.len() <= rows {
            work(0, losses, weights, gradients);
            return;
        }
        let both = losses.par_chunks_mut(rows).zip(weights.par_chunks_mut(rows)).enumerate();
        if self.gradient {
            let all = both.zip(gradients.par_chunks_mut(rows * layout.classes));
            all.for_each(|((k, (losses, weights)), gradients)| work(k * rows, losses, weights, gradients));
        } else {
            both.for_each(|(k, (losses, weights))| work(k * rows, losses, weights, &mut []));
        }
    }

    /// Returns the loss and the weight of one row, and writes the row's gradient to `gradients` if
    /// `self.gradient`.
    #[inline(always)]
    fn row<F: Real>(
        &self,
        layout: Layout,
        row: Row<'_, F>,
        logits: &[F],
        target: Target<'_, F>,
        gradients: &mut [F],
    ) -> (f64, f64) {
        let Layout { classes, inner, .. } = layout;
        let label = match target {
            Target::Labels(labels) => Some(labels[row.number]),
            Target::Probabilities(_) => None,
        };
        if label.is_some_and(|label| Some(label) == self.ignore || label as usize >= classes) {
            let all = if label == self.ignore { 0.0 } else { f64::NAN };
            gradients.fill(F::lit(all));
            return (all, all);
        }
        let (max, best, others) = exponentials(gradients, logits);
        gradients[best] = F::one();
        let log_s = others.ln_1p();
        let class_weight = |c: usize| row.weight.map_or(1.0, |w| w[c].wide());
        let weighted_target = |c: usize| {
            let goal = match target {
                Target::Labels(labels) => f64::from(u8::from(labels[row.number] as usize == c)),
                Target::Probabilities(t) => t[row.first + c * inner].wide(),
            };
            class_weight(c) * ((1.0 - self.smoothing) * goal + self.smoothing / wide(classes))
        };
        let (mut cost, mut mass) = (0.0, 0.0);
        let mut add = |c: usize| {
            cost -= weighted_target(c) * ((logits[c] - max).wide() - log_s);
            mass += weighted_target(c);
        };
        // Without smoothing, only the class of the label has a nonzero target.
        let only = label.map(|label| label as usize).filter(|_| self.smoothing == 0.0);
        match only {
            Some(c) => add(c),
            None => (0..classes).for_each(add),
        }
        if self.gradient {
            let scale = F::lit(mass / (1.0 + others));
            for gradient in &mut *gradients {
                *gradient *= scale;
            }
            match only {
                Some(c) => gradients[c] -= F::lit(weighted_target(c)),
                None => {
                    gradients.iter_mut().enumerate().for_each(|(c, gradient)| *gradient -= F::lit(weighted_target(c)));
                }
            }
        }
        (cost, label.map_or(1.0, |label| class_weight(label as usize)))
    }
}

/// One row: its number, the index of its first logit, and the class weights.
#[derive(Clone, Copy)]
struct Row<'a, F> {
    number: usize,
    first: usize,
    weight: Option<&'a [F]>,
}

#[derive(Clone, Copy)]
enum Target<'a, F> {
    Labels(&'a [u32]),
    Probabilities(&'a [F]),
}

impl<'a, F: Real> Target<'a, F> {
    fn of(at: &Buffers<'a, F>, input: usize) -> Self {
        match at.input_spec(input).dtype {
            DType::U32 => Self::Labels(at.uint(input)),
            _ => Self::Probabilities(at.float(input)),
        }
    }
}

impl Op for SoftmaxCrossEntropy {
    fn name(&self) -> &'static str {
        "softmax_cross_entropy"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        let [logits, target, ..] = inputs else { unreachable!("logits and target") };
        if !(0.0..=1.0).contains(&self.smoothing) {
            return Err(InvalidArgument::new(format!(
                "label smoothing must be between 0 and 1, not {}",
                self.smoothing
            )));
        }
        if !logits.dtype.is_float() {
            return Err(InvalidArgument::new("logits are f32, not u32").fix("the logits come first, then the target"));
        }
        if logits.shape.rank() == 0 || Layout::of(&logits.shape).classes == 0 {
            return Err(InvalidArgument::new(format!("logits {} have no class axis", logits.shape))
                .fix("give logits [N, C, d...] or [C]"));
        }
        let rows = rows_of(&logits.shape);
        if let Some(invalid) = invalid(&logits.shape, &rows, target) {
            return Err(invalid);
        }
        if target.dtype.is_float() && self.ignore.is_some() {
            return Err(InvalidArgument::new(
                "ignore_index is for class indices; these targets are class probabilities",
            )
            .fix("leave ignore_index out, or give u32 class indices"));
        }
        let classes = Layout::of(&logits.shape).classes;
        if let Some(weight) = inputs.get(2).filter(|w| w.shape.dims() != [classes] || !w.dtype.is_float()) {
            return Err(InvalidArgument::new(format!(
                "class weights must be f32[{classes}], one per class, not {weight}"
            )));
        }
        let mut outputs = vec![Spec::f32(rows.clone()), Spec::f32(rows)];
        outputs.extend(self.gradient.then(|| logits.clone()));
        Ok(outputs)
    }

    fn backward(&self, at: &mut Backward) {
        if self.gradient && at.cotangent(2).is_some() {
            let invalid = InvalidArgument::new("the gradient of softmax_cross_entropy cannot be differentiated again")
                .fix("for second derivatives compose the loss: `log_softmax` and a product with the target");
            let _ = at.input(0).invalid(self.name(), &[], invalid);
            return;
        }
        // Row weights do not depend on the logits; only the loss has a gradient.
        let Some(dloss) = at.cotangent(0) else { return };
        if at.inputs() > 2 && at.needs(2) {
            let invalid =
                InvalidArgument::new("class weights take no gradient").fix("give them as data, or `.detach()` them");
            let _ = at.input(2).invalid(self.name(), &[], invalid);
            return;
        }
        let class_axis = usize::from(at.input(0).shape().rank() > 1);
        let kept = at.input(0).shape().with(class_axis, 1);
        at.give_with(0, |at| {
            let gradient = at.widen(Self { gradient: true, ..self.clone() }).get(2);
            let (shape, target) = (gradient.shape(), at.input(1));
            let dx = gradient * dloss.reshape(kept.clone());
            let Some(ignore) = self.ignore.filter(|_| target.dtype() == DType::U32) else { return dx };
            // The gradient of an ignored row is 0, even if the row's cotangent is not finite: if all rows are
            // ignored, their mean loss is 0 / 0.
            let labels = target.reshape(kept.clone()).expand(shape);
            let ignored = labels.eq(target.graph().constant_u32(ignore));
            ignored.where_cond(0.0, &dx)
        });
        at.give_with(1, |at| {
            let log_p = at.input(0).log_softmax(class_axis.cast_signed());
            let dtarget = -(log_p * dloss.reshape(kept.clone())) * (1.0 - self.smoothing);
            if at.inputs() == 2 {
                return dtarget;
            }
            let classes = at.input(2).shape().numel();
            let per_class =
                (0..kept.rank()).fold(kept.clone(), |shape, axis| shape.with(axis, 1)).with(class_axis, classes);
            dtarget * at.input(2).reshape(per_class)
        });
    }

    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        // Where a prediction is nearly certain, the loss is the logarithm of a number near 1 and the gradient is a
        // small difference from 1: both lose digits.
        Accuracy::new().steps(4.0).terms(Layout::of(&inputs[0].shape).classes).cancelling(8.0)
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn epilogues(&self) -> &'static [usize] {
        if self.gradient { &[0, 1, 2] } else { &[0, 1] }
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let layout = Layout::of(&at.inputs[0].shape);
        let rows = layout.rows();
        if rows == 0 {
            return;
        }
        let serial = one_thread_per_row(layout.classes, layout.inner, at.limits);
        let entry = match (serial, self.gradient) {
            (true, false) => "serial",
            (true, true) => "serial_with_gradient",
            (false, false) => "tree",
            (false, true) => "tree_with_gradient",
        };
        let weighted = at.inputs.len() > 2;
        let kernel = Kernel::new("softmax_cross_entropy", &[SPECIAL, TREE, FORWARD]).bundled();
        let mut dispatch = over_rows(kernel, entry, serial, rows, layout.classes)
            .bind("logits", Operand::Input(0))
            .bind("labels", Operand::Input(1))
            // Without class weights this binding is never read, so any buffer fits.
            .bind("weight", Operand::Input(if weighted { 2 } else { 0 }))
            .bind("loss", Operand::Output(0))
            .bind("row_weight", Operand::Output(1))
            .param("rows", rows)
            .param("classes", layout.classes)
            .param("inner", layout.inner)
            .param("smoothing", single(self.smoothing))
            .param("weighted", u32::from(weighted))
            .param("ignoring", u32::from(self.ignore.is_some()))
            .param("ignore", self.ignore.unwrap_or(0))
            .param("nan", f32::NAN.to_bits())
            .constant("PROBABILITIES", at.inputs[1].dtype.is_float());
        if self.gradient {
            dispatch = dispatch.bind("dlogits", Operand::Output(2));
        }
        at.dispatch(dispatch);
    }
}

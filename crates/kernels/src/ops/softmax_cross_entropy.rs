//! Cross-entropy of logits: softmax, logarithm and the choice of the class in one op.

use rayon::prelude::*;
use wgrad_core::{
    Backward, Buffers, DType, Dispatch, Grid, Kernel, Launch, Misfit, Op, Operand, Real, Reference, Shape, Spec,
    Tensor, both,
};

use super::softmax::one_thread_per_row;
use crate::bundled::bundled;

/// Cross-entropy losses of logits, row by row.
pub trait CrossEntropyOps {
    /// The loss of each row, `−Σ_c w_c·t_c·log softmax(x)_c`, and each row's weight.
    ///
    /// `self` holds logits `[N, C, d…]` (or `[C]`), classes along axis 1 (or 0); a row is what is left without that
    /// axis. `target` holds `u32` class indices `[N, d…]`, or `f32` probabilities of the shape of the logits.
    /// `t_c = (1 − ε)·target_c + ε/C` with `ε = label_smoothing`; `w` are class weights `[C]`, 1 if not given.
    ///
    /// Returns `(loss, weight)`, both `[N, d…]`: the weight is `w` of the row's class, 0 where the row is ignored, and
    /// 1 for probabilities, so that `PyTorch`'s mean is `loss.sum() / weight.sum()`. Rows whose index is `ignore_index`
    /// cost 0 and give no gradient. An index that is neither a class nor ignored makes its row NaN, loss, weight and
    /// gradient, on every device. The loss never overflows, also for logits of ±1000.
    ///
    /// Gradients go to the logits, `p_c·Σ_j w_j·t_j − w_c·t_c` times the row's cotangent, and to probabilities; the
    /// weights are constants. Source: `torch.nn.CrossEntropyLoss`, reduction `none`.
    ///
    /// Shapes and types that do not fit, smoothing outside [0, 1] and `ignore_index` with probabilities are errors.
    #[must_use]
    #[track_caller]
    fn softmax_cross_entropy(
        &self,
        target: &Tensor,
        weight: Option<&Tensor>,
        label_smoothing: f64,
        ignore_index: Option<u32>,
    ) -> (Tensor, Tensor);
}

impl CrossEntropyOps for Tensor {
    #[track_caller]
    fn softmax_cross_entropy(
        &self,
        target: &Tensor,
        weight: Option<&Tensor>,
        label_smoothing: f64,
        ignore_index: Option<u32>,
    ) -> (Tensor, Tensor) {
        let mut inputs = vec![self, target];
        inputs.extend(weight);
        let op = SoftmaxCrossEntropy { smoothing: label_smoothing, ignore: ignore_index };
        let applied = self.graph().apply(op, &inputs);
        (applied.get(0), applied.get(1))
    }
}

const SPECIAL: &str = include_str!("../../../../shaders/lib/special.wgsl");
const TREE: &str = include_str!("../../../../shaders/lib/tree.wgsl");
const FORWARD: &str = include_str!("../../../../shaders/softmax_cross_entropy.wgsl");
const BACKWARD: &str = include_str!("../../../../shaders/softmax_cross_entropy_backward.wgsl");

/// Logits, target and maybe weights to losses, row weights and `stats`: per row the largest logit, `log Σ exp` relative
/// to it, and the mass `Σ_c w_c·t_c`.
#[derive(Clone, Debug)]
struct SoftmaxCrossEntropy {
    smoothing: f64,
    ignore: Option<u32>,
}

/// Where the classes are: `[n, classes, inner]`.
#[derive(Clone, Copy)]
struct Layout {
    n: usize,
    classes: usize,
    inner: usize,
}

impl Layout {
    fn of(shape: &Shape) -> Self {
        match shape.dims() {
            [classes] => Self { n: 1, classes: *classes, inner: 1 },
            [n, classes, rest @ ..] => Self { n: *n, classes: *classes, inner: rest.iter().product() },
            [] => Self { n: 1, classes: 1, inner: 1 },
        }
    }

    fn rows(self) -> usize {
        self.n * self.inner
    }
}

/// The shape of the rows: the logits' without the class axis.
fn rows_of(logits: &Shape) -> Shape {
    let class_axis = usize::from(logits.rank() > 1);
    let dims = logits.dims().iter().enumerate().filter(|&(axis, _)| axis != class_axis);
    dims.map(|(_, &size)| size).collect::<Vec<_>>().into()
}

/// What is wrong with a target whose shape or type does not fit.
fn misfit(logits: &Shape, rows: &Shape, target: &Spec) -> Option<Misfit> {
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
        let misfit = Misfit::new(format!("class indices for logits {logits} are u32{rows}, not {target}"));
        let misfit = match dtype {
            DType::U32 => misfit.fix(format!("drop the axis of size 1: `.squeeze({axis})`")),
            _ => misfit.fix(format!("drop the axis of size 1 and cast: `.squeeze({axis}).to_u32()`")),
        };
        return Some(if classes == 1 { misfit.fix(one_logit) } else { misfit });
    }
    Some(if shape == logits {
        Misfit::new(format!("targets of the logits' shape {logits} are class probabilities, which are f32, not u32"))
            .fix("for one-hot targets cast with `.to_f32()`")
            .fix(format!("or give class indices u32{rows}"))
    } else if shape == rows {
        let misfit = Misfit::new(format!("class indices are u32, not {dtype}"))
            .fix("feed the labels as u32, or cast with `.to_u32()`");
        if classes == 1 { misfit.fix(one_logit) } else { misfit }
    } else if shape.rank() == rows.rank() && shape.dims().first() != rows.dims().first() && dtype == DType::U32 {
        let (has, expected) = (shape.dims().first().unwrap_or(&1), rows.dims().first().unwrap_or(&1));
        Misfit::new(format!("{expected} rows of logits {logits}, but {has} class indices {shape}"))
            .fix(format!("give one class index per row: u32{rows}"))
    } else {
        Misfit::new(format!("target {target} does not fit logits {logits}"))
            .fix(format!("give class indices u32{rows}"))
            .fix(format!("or class probabilities f32{logits}"))
    })
}

impl SoftmaxCrossEntropy {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let layout = Layout::of(&at.input_spec(0).shape);
        let target = Target::of(&at, 1);
        let weight = (at.inputs() > 2).then(|| at.float(2));
        let (x, loss, row_weight, stats) = (at.float(0), at.out(0), at.out(1), at.out(2));
        let rows = loss.par_iter_mut().zip(row_weight).zip(stats.par_chunks_exact_mut(3)).enumerate();
        rows.with_min_len((1 << 12) / layout.classes.max(1) + 1).for_each(|(row, ((loss, own), stats))| {
            let (cost, weight, stat) = self.row(layout, row, x, target, weight);
            *loss = F::lit(cost);
            *own = F::lit(weight);
            stats.copy_from_slice(&stat);
        });
    }

    /// Loss, weight and stats of one row.
    fn row<F: Real>(
        &self,
        layout: Layout,
        row: usize,
        x: &[F],
        target: Target<'_, F>,
        weight: Option<&[F]>,
    ) -> (f64, f64, [F; 3]) {
        let Layout { classes, inner, .. } = layout;
        let first = row / inner * classes * inner + row % inner;
        let logits = || x[first..].iter().step_by(inner).take(classes);
        let class_weight = |c: usize| weight.map_or(1.0, |w| w[c].wide());
        let (mut best, mut m) = (0, x[first]);
        for (c, &value) in logits().enumerate() {
            if value > m {
                (best, m) = (c, value);
            }
        }
        let rest = logits().enumerate().filter(|&(c, _)| c != best);
        let log_s = rest.map(|(_, &v)| (v - m).exp().wide()).sum::<f64>().ln_1p();
        let log_p = |c: usize| (x[first + c * inner] - m).wide() - log_s;
        let (mut cost, mut mass, mut own) = (0.0, 0.0, 1.0);
        let mut add = |share: f64, c: usize| {
            cost -= share * log_p(c);
            mass += share;
        };
        match target {
            Target::Labels(labels) if Some(labels[row]) == self.ignore => own = 0.0,
            Target::Labels(labels) if labels[row] as usize >= classes => {
                (cost, mass, own) = (f64::NAN, f64::NAN, f64::NAN);
            }
            Target::Labels(labels) => {
                let label = labels[row] as usize;
                own = class_weight(label);
                add((1.0 - self.smoothing) * own, label);
                if self.smoothing != 0.0 {
                    (0..classes).for_each(|c| add(class_weight(c) * self.smoothing / wide(classes), c));
                }
            }
            Target::Probabilities(t) => (0..classes).for_each(|c| {
                let goal = t[first + c * inner].wide();
                add(class_weight(c) * ((1.0 - self.smoothing) * goal + self.smoothing / wide(classes)), c);
            }),
        }
        (cost, own, [m, F::lit(log_s), F::lit(mass)])
    }

    fn params(&self, dispatch: Dispatch, layout: Layout, weighted: bool, probabilities: bool) -> Dispatch {
        #[allow(clippy::cast_possible_truncation, reason = "kernels compute in f32")]
        let smoothing = self.smoothing as f32;
        dispatch
            .param("classes", layout.classes)
            .param("inner", layout.inner)
            .param("smoothing", smoothing)
            .param("weighted", u32::from(weighted))
            .param("ignoring", u32::from(self.ignore.is_some()))
            .param("ignore", self.ignore.unwrap_or(0))
            .param("nan", f32::NAN.to_bits())
            .constant("PROBABILITIES", f64::from(u8::from(probabilities)))
    }
}

#[allow(clippy::cast_precision_loss, reason = "a number of classes is far below 2^53")]
fn wide(classes: usize) -> f64 {
    classes as f64
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

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, Misfit> {
        let [logits, target, ..] = inputs else { unreachable!("logits and target") };
        if !(0.0..=1.0).contains(&self.smoothing) {
            return Err(Misfit::new(format!("label smoothing must be between 0 and 1, not {}", self.smoothing)));
        }
        if !logits.dtype.is_float() {
            return Err(Misfit::new("logits are f32, not u32").fix("the logits come first, then the target"));
        }
        if logits.shape.rank() == 0 || Layout::of(&logits.shape).classes == 0 {
            return Err(Misfit::new(format!("logits {} have no class axis", logits.shape))
                .fix("give logits [N, C, d...] or [C]"));
        }
        let rows = rows_of(&logits.shape);
        if let Some(misfit) = misfit(&logits.shape, &rows, target) {
            return Err(misfit);
        }
        if target.dtype.is_float() && self.ignore.is_some() {
            return Err(Misfit::new("ignore_index is for class indices; these targets are class probabilities")
                .fix("leave ignore_index out, or give u32 class indices"));
        }
        let classes = Layout::of(&logits.shape).classes;
        if let Some(weight) = inputs.get(2).filter(|w| w.shape.dims() != [classes] || !w.dtype.is_float()) {
            return Err(Misfit::new(format!("class weights must be f32[{classes}], one per class, not {weight}")));
        }
        let mut stats = rows.dims().to_vec();
        stats.push(3);
        Ok(vec![Spec::f32(rows.clone()), Spec::f32(rows), Spec::f32(stats)])
    }

    fn backward(&self, at: &mut Backward) {
        // Row weights do not depend on logits; only the loss carries a gradient.
        let Some(dloss) = at.cotangent(0) else { return };
        if at.inputs() > 2 && at.needs(2) {
            let misfit = Misfit::new("class weights take no gradient").fix("give them as data, or `.detach()` them");
            let _ = at.input(2).misfit(self.name(), &[], misfit);
            return;
        }
        let stats = at.output(2).clone();
        for to in [To::Logits, To::Target] {
            at.give_with(to as usize, |at| {
                let mut inputs = vec![&dloss, at.input(0), at.input(1), &stats];
                inputs.extend((at.inputs() > 2).then(|| at.input(2)));
                dloss.graph().apply(SoftmaxCrossEntropyBackward { of: self.clone(), to }, &inputs).get(0)
            });
        }
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let layout = Layout::of(&at.inputs[0].shape);
        let rows = layout.rows();
        if rows == 0 {
            return;
        }
        let serial = one_thread_per_row(layout.classes, layout.inner, at.limits);
        let (entry, grid) =
            if serial { ("serial", Grid::Threads([rows, 1, 1])) } else { ("tree", Grid::Groups([rows, 1, 1])) };
        let weighted = at.inputs.len() > 2;
        let dispatch =
            Dispatch::new(bundled(Kernel::new("softmax_cross_entropy", &[SPECIAL, TREE, FORWARD])), entry, grid)
                .bind("logits", Operand::Input(0))
                .bind("labels", Operand::Input(1))
                // Never read without weights; any buffer will do.
                .bind("weight", Operand::Input(if weighted { 2 } else { 0 }))
                .bind("loss", Operand::Output(0))
                .bind("row_weight", Operand::Output(1))
                .bind("stats", Operand::Output(2))
                .param("rows", rows);
        at.dispatch(self.params(dispatch, layout, weighted, at.inputs[1].dtype.is_float()));
    }
}

/// Which gradient: the number is that of the forward op's input.
#[derive(Clone, Copy, Debug)]
enum To {
    Logits = 0,
    Target = 1,
}

/// The cotangent of the loss rows, logits, target, stats and maybe weights to one gradient of the logits' shape.
#[derive(Debug)]
struct SoftmaxCrossEntropyBackward {
    of: SoftmaxCrossEntropy,
    to: To,
}

impl SoftmaxCrossEntropyBackward {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let Layout { classes, inner, .. } = Layout::of(&at.input_spec(1).shape);
        let target = Target::of(&at, 2);
        let weight = (at.inputs() > 4).then(|| at.float(4));
        let (dloss, x, stats, out) = (at.float(0), at.float(1), at.float(3), at.out(0));
        let keep = 1.0 - self.of.smoothing;
        let even = self.of.smoothing / wide(classes);
        let block = classes * inner;
        out.par_chunks_mut(block.max(1)).with_min_len((1 << 13) / block.max(1) + 1).enumerate().for_each(|(n, out)| {
            for (i, out) in out.iter_mut().enumerate() {
                let (c, row, at) = (i / inner, n * inner + i % inner, n * block + i);
                let log_p = (x[at] - stats[row * 3]) - stats[row * 3 + 1];
                let w = weight.map_or(1.0, |w| w[c].wide());
                if matches!(self.to, To::Target) {
                    *out = -dloss[row] * F::lit(keep * w) * log_p;
                    continue;
                }
                let goal = match target {
                    Target::Labels(labels) if Some(labels[row]) == self.of.ignore => {
                        *out = F::zero();
                        continue;
                    }
                    Target::Labels(labels) => f64::from(u8::from(labels[row] as usize == c)),
                    Target::Probabilities(t) => t[at].wide(),
                };
                // The mass in `stats` is NaN where the label is no class.
                *out = dloss[row] * (log_p.exp() * stats[row * 3 + 2] - F::lit(w * (keep * goal + even)));
            }
        });
    }
}

impl Op for SoftmaxCrossEntropyBackward {
    fn name(&self) -> &'static str {
        "softmax_cross_entropy_backward"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, Misfit> {
        Ok(vec![inputs[1].clone()])
    }

    fn backward(&self, at: &mut Backward) {
        let misfit = Misfit::new("the gradient of softmax_cross_entropy cannot be differentiated again")
            .fix("for second derivatives compose the loss: `log_softmax` and a product with the target");
        let _ = at.input(0).misfit(self.name(), &[], misfit);
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let layout = Layout::of(&at.inputs[1].shape);
        let elements = layout.rows() * layout.classes;
        if elements == 0 {
            return;
        }
        let weighted = at.inputs.len() > 4;
        let kernel = bundled(Kernel::new("softmax_cross_entropy_backward", &[BACKWARD]));
        let grid = Grid::Threads([elements, 1, 1]);
        let weight = Operand::Input(if weighted { 4 } else { 1 });
        let probabilities = at.inputs[2].dtype.is_float();
        let dispatch = match self.to {
            To::Logits => Dispatch::new(kernel, "to_logits", grid)
                .bind("labels", Operand::Input(2))
                .bind("dlogits", Operand::Output(0)),
            To::Target => Dispatch::new(kernel, "to_target", grid).bind("dtarget", Operand::Output(0)),
        };
        let dispatch = dispatch
            .bind("dloss", Operand::Input(0))
            .bind("logits", Operand::Input(1))
            .bind("weight", weight)
            .bind("stats", Operand::Input(3))
            .param("elements", elements);
        at.dispatch(self.of.params(dispatch, layout, weighted, probabilities));
    }
}

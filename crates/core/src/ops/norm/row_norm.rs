//! Normalisation of rows: layer norm, group norm and RMS norm.

use crate::{
    Accuracy, Backward, Buffers, Dispatch, Grid, InvalidArgument, Kernel, Launch, Op, Operand, Real, Reference, Shape,
    Spec, Tensor, both, vectorized,
};
use rayon::prelude::*;

use crate::host::cast::{single, wide};
use crate::op::iterations::ALONE;
use crate::ops::axes::extents;
use crate::ops::norm::channels::{LANES, RUN};

/// Sums the two numbers `f(x[i], d[i])` over all `i`.
#[inline(always)]
fn sums<F: Real>(x: &[F], d: &[F], f: impl Fn(F, F) -> [F; 2]) -> [f64; 2] {
    let mut total = [0.0; 2];
    for (x, d) in x.chunks(LANES * RUN).zip(d.chunks(LANES * RUN)) {
        let mut run = [[F::zero(); LANES]; 2];
        for (x, d) in x.chunks(LANES).zip(d.chunks(LANES)) {
            let [first, second] = &mut run;
            for (((first, second), &x), &d) in first.iter_mut().zip(second).zip(x).zip(d) {
                let [a, b] = f(x, d);
                *first += a;
                *second += b;
            }
        }
        for (total, run) in total.iter_mut().zip(&run) {
            *total += run.iter().map(|run| run.wide()).sum::<f64>();
        }
    }
    total
}

/// Returns the number of elements per parallel task: complete rows with about 2¹³ elements in total.
fn piece(n: usize) -> usize {
    n * ((1 << 13) / n + 1)
}

/// Chooses the kernel for rows of `n` elements: serial (one thread per row), or a tree reduction by a workgroup,
/// whose number of threads is a power of two.
fn launch(at: &Launch<'_>, kernel: Kernel, rows: usize, n: usize, centered: bool) -> Dispatch {
    // The kernel has three loops over a row. On software adapters, where barriers are expensive, the serial
    // kernel also processes longer rows.
    let dispatch = if n <= 16 || (at.limits.software && n <= ALONE) {
        Dispatch::new(kernel, "serial", Grid::Threads([rows, 1, 1])).iterations(3 * n)
    } else {
        let threads = (n / 8).next_power_of_two().clamp(8, 256);
        let dispatch = Dispatch::new(kernel, "tree", Grid::Groups([rows.div_ceil(256 / threads), 1, 1]));
        dispatch.iterations_shared(3, n, threads).constant("THREADS", threads)
    };
    dispatch.param("rows", rows).param("n", n).constant("CENTERED", centered)
}

/// Normalises rows: outputs are `y = (x − mean)·s` and `s = 1/√(var + eps)`. A row consists of the axes from
/// `first` on. Unless `centered`, the mean is replaced by 0.
#[derive(Clone, Copy, Debug)]
struct RowNorm {
    first: usize,
    centered: bool,
    eps: f64,
}

impl RowNorm {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let [_, n] = rows(at.input_spec(0), self.first);
        let (x, y, s) = (at.float(0), at.out(0), at.out(1));
        let work = |((y, x), s): ((&mut [F], &[F]), &mut [F])| {
            vectorized(
                #[inline(always)]
                || {
                    for ((y, x), s) in y.chunks_exact_mut(n).zip(x.chunks_exact(n)).zip(s) {
                        self.row(y, x, s);
                    }
                },
            );
        };
        let piece = piece(n);
        y.par_chunks_mut(piece).zip(x.par_chunks(piece)).zip(s.par_chunks_mut(piece / n)).for_each(work);
    }

    #[inline(always)]
    fn row<F: Real>(&self, y: &mut [F], x: &[F], s: &mut F) {
        let n = wide(x.len());
        let mut mean = F::zero();
        if self.centered {
            let [sum, _] = sums(
                x,
                x,
                #[inline(always)]
                |x, _| [x, F::zero()],
            );
            mean = F::lit(sum / n);
        }
        // The mean above is rounded. Its rounding error, `off` below, is the mean of the differences from it, and
        // is used to correct the differences and the variance.
        let [rest, squares] = sums(
            x,
            x,
            #[inline(always)]
            |x, _| [x - mean, (x - mean) * (x - mean)],
        );
        let off = if self.centered { rest / n } else { 0.0 };
        let variance = squares / n - off * off;
        let variance = if variance < 0.0 { 0.0 } else { variance };
        let scale = F::lit(1.0 / (variance + self.eps).sqrt());
        let off = F::lit(off);
        for (y, &x) in y.iter_mut().zip(x) {
            *y = ((x - mean) - off) * scale;
        }
        *s = scale;
    }

    fn gradient(&self, dy: &Tensor, y: &Tensor, s: &Tensor) -> Tensor {
        dy.graph().apply(RowNormBackward { first: self.first, centered: self.centered }, &[dy, y, s]).get(0)
    }
}

/// Returns the number of rows and of elements per row.
fn rows(of: &Spec, first: usize) -> [usize; 2] {
    let [rows, n, _] = extents(&of.shape, first..of.shape.rank());
    [rows, n]
}

/// Returns the means over the axes from `first` on, which remain with size 1.
fn means(x: &Tensor, first: usize) -> Tensor {
    let [_, n] = rows(&x.spec(), first);
    x.sum_keep(&(first..x.shape().rank()).collect::<Vec<_>>()) * (1.0 / wide(n))
}

impl Op for RowNorm {
    fn name(&self) -> &'static str {
        "row_norm"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        let [x] = inputs else { unreachable!("row_norm has one input") };
        if !x.dtype.is_float() {
            return Err(InvalidArgument::new("only floats are normalised, not u32").fix("cast with `.to_f32()`"));
        }
        let [rows, n] = rows(x, self.first);
        if n == 0 || rows == 0 {
            return Err(InvalidArgument::new(format!("there is nothing to normalise in {}", x.shape)));
        }
        let stats = (self.first..x.shape.rank()).fold(x.shape.clone(), |shape, axis| shape.with(axis, 1));
        Ok(vec![x.clone(), Spec::f32(stats)])
    }

    /// Adds the gradient that flows through y and the gradient that flows through s: `ds/dx = −s²·y/n`.
    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| {
            let (y, s) = (at.output(0), at.output(1));
            let through_y = at.cotangent(0).map(|dy| self.gradient(&dy, y, s));
            let [_, n] = rows(&y.spec(), self.first);
            let through_s = at.cotangent(1).map(|ds| ds * s * s * y * (-1.0 / wide(n)));
            match (through_y, through_s) {
                (Some(a), Some(b)) => a + b,
                (a, b) => a.or(b).expect("a rule runs when a cotangent arrived"),
            }
        });
    }

    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        // Two nearly equal values are normalised to ±1, although their differences from the mean lose digits.
        Accuracy::new().steps(2.0).terms(rows(&inputs[0], self.first)[1]).ulp(8.0).cancelling(4.0)
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let [rows, n] = rows(&at.inputs[0], self.first);
        let kernel = Kernel::new("row_norm", &[wgrad_shaders::lib::ROW_NORM, wgrad_shaders::ROW_NORM]).bundled();
        at.dispatch(
            launch(at, kernel, rows, n, self.centered)
                .bind("x", Operand::Input(0))
                .bind("y", Operand::Output(0))
                .bind("s", Operand::Output(1))
                .param("eps", single(self.eps)),
        );
    }
}

/// Gradient of [`RowNorm`], computed for each row from dy, y and s: `dx = s·(dy − mean(dy) − y·mean(dy·y))`,
/// without the term `mean(dy)` unless `centered`.
#[derive(Clone, Copy, Debug)]
struct RowNormBackward {
    first: usize,
    centered: bool,
}

impl RowNormBackward {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let [_, n] = rows(at.input_spec(0), self.first);
        let (dy, y, s, dx) = (at.float(0), at.float(1), at.float(2), at.out(0));
        let piece = piece(n);
        let pieces = dx.par_chunks_mut(piece).zip(dy.par_chunks(piece)).zip(y.par_chunks(piece));
        pieces.zip(s.par_chunks(piece / n)).for_each(|(((dx, dy), y), s)| {
            vectorized(
                #[inline(always)]
                || {
                    let rows = dx.chunks_exact_mut(n).zip(dy.chunks_exact(n)).zip(y.chunks_exact(n)).zip(s);
                    for (((dx, dy), y), &s) in rows {
                        let [plain, scaled] = sums(
                            dy,
                            y,
                            #[inline(always)]
                            |dy, y| [dy, dy * y],
                        );
                        let a = F::lit(if self.centered { plain / wide(n) } else { 0.0 });
                        let b = F::lit(scaled / wide(n));
                        for ((dx, &dy), &y) in dx.iter_mut().zip(dy).zip(y) {
                            *dx = s * (dy - a - y * b);
                        }
                    }
                },
            );
        });
    }
}

impl Op for RowNormBackward {
    fn name(&self) -> &'static str {
        "row_norm_backward"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![inputs[0].clone()])
    }

    fn backward(&self, at: &mut Backward) {
        let (dy, y, s, g) = (at.input(0).clone(), at.input(1).clone(), at.input(2).clone(), at.dy());
        // The linear map from dy to dx is symmetric, so the gradient for dy is this op again.
        at.give_with(0, |_| g.graph().apply(*self, &[&g, &y, &s]).get(0));
        at.give_with(1, |_| -(&s * (&g * means(&(&dy * &y), self.first) + &dy * means(&(&g * &y), self.first))));
        at.give_with(2, |at| {
            let axes: Vec<_> = (self.first..g.shape().rank()).collect();
            (&g * at.output(0)).sum_keep(&axes) / &s
        });
    }

    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().steps(2.0).terms(rows(&inputs[0], self.first)[1]).ulp(8.0)
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let [rows, n] = rows(&at.inputs[0], self.first);
        let source = [wgrad_shaders::lib::ROW_NORM, wgrad_shaders::ROW_NORM_BACKWARD];
        at.dispatch(
            launch(at, Kernel::new("row_norm_backward", &source).bundled(), rows, n, self.centered)
                .bind("dy", Operand::Input(0))
                .bind("y", Operand::Input(1))
                .bind("s", Operand::Input(2))
                .bind("dx", Operand::Output(0)),
        );
    }
}

/// Returns an error if the last axes of `x` do not have the sizes `row`, a parameter does not have the shape
/// `row`, or `eps` is invalid.
fn invalid(x: &Spec, row: &[usize], parameters: [(&str, Option<&Tensor>); 2], eps: f64) -> Option<InvalidArgument> {
    let shape = Shape::from(row);
    if !(eps.is_finite() && eps >= 0.0) {
        return Some(InvalidArgument::new(format!("eps must be a number that is not negative, not {eps}")));
    }
    if row.is_empty() {
        return Some(
            InvalidArgument::new("at least one axis is normalised, not none").fix("name the sizes of the last axes"),
        );
    }
    if !x.shape.dims().ends_with(row) {
        let sizes = row.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let invalid = InvalidArgument::new(format!("expected [..., {sizes}], not {}", x.shape));
        return Some(invalid.fix("the norm is made for the sizes of the last axes of its input"));
    }
    parameters.into_iter().find_map(|(name, given)| {
        let given = given?.shape();
        (given != shape).then(|| InvalidArgument::new(format!("the {name} must be {shape}, not {given}")))
    })
}

/// Layer, RMS and group normalisation.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Train);
/// let x = graph.input("x", [8, 20, 64], DType::F32);
/// assert_eq!(x.layer_norm(&[64], None, None, 1e-5).shape(), x.shape());
/// assert_eq!(x.rms_norm(&[20, 64], None, 1e-5).shape(), x.shape());
/// assert_eq!(x.group_norm(4, None, None, 1e-5).shape(), x.shape());
/// assert!(!x.layer_norm(&[63], None, None, 1e-5).is_valid());
/// ```
impl Tensor {
    /// Applies layer normalisation over the last axes: `y = (x − mean) / √(var + eps) · weight + bias`.
    ///
    /// `row` contains the sizes of the normalised axes (PyTorch's `normalized_shape`); the mean and the biased
    /// variance are computed over these axes. `weight` and `bias` have the shape `row` and default to 1 and 0.
    /// PyTorch's default `eps` is 1e-5. Records an error in the graph, which `compile` reports, if the shapes do
    /// not match or `eps` is negative. Equivalent: `torch.nn.functional.layer_norm`.
    #[track_caller]
    pub fn layer_norm(&self, row: &[usize], weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Tensor {
        let x = self;
        let parameters: Vec<_> = weight.into_iter().chain(bias).collect();
        if let Some(invalid) = invalid(&x.spec(), row, [("weight", weight), ("bias", bias)], eps) {
            return x.invalid("layer_norm", &parameters, invalid);
        }
        let op = RowNorm { first: x.shape().rank() - row.len(), centered: true, eps };
        affine(x.graph().apply(op, &[x]).get(0), weight, bias)
    }

    /// Applies root mean square normalisation over the last axes: `y = x / √(mean(x²) + eps) · weight`.
    ///
    /// `row` contains the sizes of the normalised axes (PyTorch's `normalized_shape`). `weight` has the shape
    /// `row` and defaults to 1. Records an error in the graph, which `compile` reports, if the shapes do
    /// not match or `eps` is negative. Equivalent: `torch.nn.functional.rms_norm`.
    #[track_caller]
    pub fn rms_norm(&self, row: &[usize], weight: Option<&Tensor>, eps: f64) -> Tensor {
        let x = self;
        let parameters: Vec<_> = weight.into_iter().collect();
        if let Some(invalid) = invalid(&x.spec(), row, [("weight", weight), ("bias", None)], eps) {
            return x.invalid("rms_norm", &parameters, invalid);
        }
        let op = RowNorm { first: x.shape().rank() - row.len(), centered: false, eps };
        affine(x.graph().apply(op, &[x]).get(0), weight, None)
    }

    /// Applies group normalisation: `y = (x − mean) / √(var + eps) · weight + bias`.
    ///
    /// `self` is `[N, C]` or `[N, C, L…]`. The mean and the biased variance are computed for each sample and each
    /// of `groups` groups of neighbouring channels. `weight` and `bias` are `[C]` and default to 1 and 0.
    /// PyTorch's default `eps` is 1e-5. Records an error in the graph, which `compile` reports, if the groups do
    /// not divide the channels or the shapes do not match. Equivalent: `torch.nn.functional.group_norm`.
    #[track_caller]
    pub fn group_norm(&self, groups: usize, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Tensor {
        let x = self;
        let shape = x.shape();
        let parameters: Vec<_> = weight.into_iter().chain(bias).collect();
        let [samples, channels, inner @ ..] = shape.dims() else {
            let invalid = InvalidArgument::new(format!("expected [N, C] or [N, C, L...], got {shape}"));
            return x.invalid("group_norm", &parameters, invalid.fix("a single sample has shape [1, C, ...]"));
        };
        if groups == 0 || channels % groups != 0 {
            let invalid = InvalidArgument::new(format!("{groups} groups do not divide {channels} channels"))
                .fix("choose a number that divides the channels: 1 normalises all of them together");
            return x.invalid("group_norm", &parameters, invalid);
        }
        let (inner, group) = (inner.iter().product::<usize>(), channels / groups);
        if samples * group * inner == 1 {
            let invalid =
                InvalidArgument::new(format!("expected more than 1 value per group, got {shape} in {groups} groups"))
                    .fix("choose fewer groups: a single value is normalised to 0, whatever it is");
            return x.invalid("group_norm", &parameters, invalid);
        }
        let rows = x.reshape([*samples, groups, group * inner]);
        for (name, given) in [("weight", weight), ("bias", bias)] {
            if let Some(given) = given.filter(|given| given.is_valid() && given.shape().dims() != [*channels]) {
                let invalid = InvalidArgument::new(format!(
                    "the {name} must be [{channels}], one per channel, not {}",
                    given.shape()
                ));
                return x.invalid("group_norm", &parameters, invalid);
            }
        }
        if let Some(invalid) = invalid(&rows.spec(), &[group * inner], [("weight", None), ("bias", None)], eps) {
            return x.invalid("group_norm", &parameters, invalid);
        }
        let y = x.graph().apply(RowNorm { first: 2, centered: true, eps }, &[&rows]).get(0).reshape(&shape);
        let _line = x.graph().line_of_caller();
        let mut column = vec![1; shape.rank() - 1];
        column[0] = *channels;
        let spread = |given: Option<&Tensor>| given.map(|given| given.reshape(column.clone()));
        affine(y, spread(weight).as_ref(), spread(bias).as_ref())
    }
}

#[track_caller]
fn affine(y: Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Tensor {
    let y = if let Some(weight) = weight { y * weight } else { y };
    if let Some(bias) = bias { y + bias } else { y }
}

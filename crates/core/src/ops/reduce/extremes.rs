//! Reductions: sum, mean, variance, maximum, minimum and the place of the maximum.

use std::ops::Range;

use crate::{
    Accuracy, Backward, Buffers, Dispatch, Grid, Kernel, Launch, Misfit, Op, Operand, Real, Reference, Shape, Spec,
    Tensor, both, vectorized,
};

use crate::ops::axes::{extents, resolve, resolve_all};

/// `y[i, 0, k] = max_j x[i, j, k]`, or the minimum, over one run of adjacent axes, which keep size 1.
#[derive(Debug)]
struct Extreme {
    axes: Range<usize>,
    largest: bool,
}

impl Extreme {
    /// Over any axes: other than for a sum, the gradient of a tie needs all of them at once, so axes that are apart
    /// are brought together first.
    #[track_caller]
    fn over(x: &Tensor, axes: &[usize], largest: bool) -> Tensor {
        let shape = x.shape();
        let mut reduced = axes.to_vec();
        reduced.sort_unstable();
        let (Some(&first), Some(&last)) = (reduced.first(), reduced.last()) else { return x.clone() };
        if last - first + 1 == reduced.len() {
            return x.graph().apply(Self { axes: first..last + 1, largest }, &[x]).get(0);
        }
        let kept: Vec<_> = (0..shape.rank()).filter(|axis| !reduced.contains(axis)).collect();
        let order: Vec<_> = kept.iter().chain(&reduced).map(|axis| axis.cast_signed()).collect();
        let op = Self { axes: kept.len()..shape.rank(), largest };
        x.graph().apply(op, &[&x.permute(&order)]).get(0).reshape_to(reduce(&shape, axes, true))
    }

    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let [_, n, inner] = extents(&at.input_spec(0).shape, self.axes.clone());
        let (x, y) = (at.float(0), at.out(0));
        let rows = y.chunks_exact_mut(inner.max(1)).zip(x.chunks_exact((n * inner).max(1)));
        vectorized(
            #[inline(always)]
            || {
                for (y, x) in rows {
                    if self.largest { extremes::<F, true>(y, x) } else { extremes::<F, false>(y, x) }
                }
            },
        );
    }
}

/// The largest or smallest of each column of `x`, whose rows are as long as `y`.
#[inline(always)]
fn extremes<F: Real, const LARGEST: bool>(y: &mut [F], x: &[F]) {
    let inner = y.len();
    // A NaN stays.
    let best = |best: F, x: F| if (LARGEST && x > best) || (!LARGEST && x < best) || x.is_nan() { x } else { best };
    if inner > 1 {
        y.copy_from_slice(&x[..inner]);
        for row in x.chunks_exact(inner) {
            for (y, &x) in y.iter_mut().zip(row) {
                *y = best(*y, x);
            }
        }
        return;
    }
    // Lanes of their own, for vector instructions.
    let mut lanes = [x[0]; 16];
    for values in x.chunks(16) {
        for (lane, &x) in lanes.iter_mut().zip(values) {
            *lane = best(*lane, x);
        }
    }
    y[0] = lanes.into_iter().reduce(best).unwrap_or(x[0]);
}

impl Op for Extreme {
    fn name(&self) -> &'static str {
        if self.largest { "max" } else { "min" }
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, Misfit> {
        let axes: Vec<_> = self.axes.clone().collect();
        Ok(vec![Spec::f32(reduce(nonempty(&inputs[0], &self.axes)?, &axes, true))])
    }

    fn backward(&self, at: &mut Backward) {
        let axes: Vec<_> = self.axes.clone().collect();
        at.give_with(0, |at| {
            let ties = at.input(0).eq(at.output(0)).to_f32();
            let share = at.dy() / ties.sum_keep(&axes);
            ties * share
        });
    }

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::new()
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn prologues(&self) -> &'static [usize] {
        &[0]
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let [outer, n, inner] = extents(&at.inputs[0].shape, self.axes.clone());
        // Few outputs and long rows: a first pass leaves one extreme per part, none of them empty.
        let length = if n > 8192 && outer * inner < 1024 { n.div_ceil(n.div_ceil(4096)) } else { n };
        let parts = n.div_ceil(length);
        let software = at.limits.software;
        let stage = |x, y, n: usize, length: usize, parts: usize| {
            let outputs = outer * parts * inner;
            let (entry, grid, turns) = entry(outputs, length, inner, software);
            let kernel = Kernel::new("reduce_extreme", &[wgrad_shaders::REDUCE_EXTREME]).bundled();
            Dispatch::new(kernel, entry, grid)
                .turns(turns)
                .bind("x", x)
                .bind("y", y)
                .param("outputs", outputs)
                .param("n", n)
                .param("length", length)
                .param("parts", parts)
                .param("inner", inner)
                .param("sign", if self.largest { 1.0f32 } else { -1.0 })
        };
        if parts == 1 {
            at.dispatch(stage(Operand::Input(0), Operand::Output(0), n, n, 1));
        } else {
            let partial = at.scratch(Spec::f32([outer * parts * inner]));
            at.dispatch(stage(Operand::Input(0), partial, n, length, parts));
            at.dispatch(stage(partial, Operand::Output(0), parts, parts, 1));
        }
    }
}

/// `y[i, 0, k]` = the smallest j for which `x[i, j, k]` is largest, over one axis, which keeps size 1.
#[derive(Debug)]
struct Argmax {
    axis: usize,
}

impl Argmax {
    fn axes(&self) -> Range<usize> {
        self.axis..self.axis + 1
    }

    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let [_, n, inner] = extents(&at.input_spec(0).shape, self.axes());
        let (x, y) = (at.float(0), at.out_uint(0));
        for (i, y) in y.iter_mut().enumerate() {
            let column = (0u32..).zip(x[i / inner * n * inner + i % inner..].iter().step_by(inner).take(n));
            let above = |x: F, best: F| x > best || x.is_nan() && !best.is_nan();
            *y =
                column.reduce(|best, next| if above(*next.1, *best.1) { next } else { best }).map_or(0, |(row, _)| row);
        }
    }
}

impl Op for Argmax {
    fn name(&self) -> &'static str {
        "argmax"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, Misfit> {
        Ok(vec![Spec::u32(nonempty(&inputs[0], &self.axes())?.with(self.axis, 1))])
    }

    fn backward(&self, _at: &mut Backward) {}

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::EXACT
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn prologues(&self) -> &'static [usize] {
        &[0]
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let [outer, n, inner] = extents(&at.inputs[0].shape, self.axes());
        let (entry, grid, turns) = entry(outer * inner, n, inner, at.limits.software);
        let kernel = Kernel::new("reduce_argmax", &[wgrad_shaders::REDUCE_ARGMAX]).bundled();
        at.dispatch(
            Dispatch::new(kernel, entry, grid)
                .turns(turns)
                .bind("x", Operand::Input(0))
                .bind("y", Operand::Output(0))
                .param("outputs", outer * inner)
                .param("n", n)
                .param("inner", inner),
        );
    }
}

/// One thread per output, or one workgroup where rows are long and not coalesced; and how often a thread turns its loop.
/// Where barriers are dear, threads keep to themselves. Nowhere do they turn a very long loop: it takes its time, and
/// lavapipe does not run it to its end.
fn entry(outputs: usize, length: usize, inner: usize, software: bool) -> (&'static str, Grid, usize) {
    if length > 16_384 || (!software && length > 64 && inner < 32) {
        ("tree", Grid::Groups([outputs, 1, 1]), length.div_ceil(256))
    } else {
        ("serial", Grid::Threads([outputs, 1, 1]), length)
    }
}

/// The shape of floats with something to choose from along `axes`.
fn nonempty<'a>(spec: &'a Spec, axes: &Range<usize>) -> Result<&'a Shape, Misfit> {
    if !spec.dtype.is_float() {
        return Err(Misfit::new(format!("only floats are reduced, not {}", spec.dtype)).fix("cast with `.to_f32()`"));
    }
    if extents(&spec.shape, axes.clone())[1] == 0 {
        return Err(Misfit::new(format!("there is no largest of no elements: {}", spec.shape)));
    }
    Ok(&spec.shape)
}

/// The shape after a reduction: reduced axes have size 1, or are gone.
fn reduce(shape: &Shape, axes: &[usize], keep: bool) -> Shape {
    let size = |(axis, &size): (usize, &usize)| match (axes.contains(&axis), keep) {
        (false, _) => Some(size),
        (true, true) => Some(1),
        (true, false) => None,
    };
    shape.dims().iter().enumerate().filter_map(size).collect::<Vec<_>>().into()
}

/// The number of elements per result, as a divisor.
#[allow(clippy::cast_precision_loss, reason = "sizes are far below 2⁵³")]
fn count(shape: &Shape, axes: &[usize]) -> f64 {
    axes.iter().map(|&axis| shape.dims()[axis]).product::<usize>() as f64
}

fn all(x: &Tensor) -> Vec<isize> {
    (0..x.shape().rank()).map(usize::cast_signed).collect()
}

/// Reductions over all elements, or over some axes (negative ones count from the end; none at all returns the tensor
/// itself). With `keep`, reduced axes stay with size 1.
///
/// A NaN is an extreme, the largest and the smallest alike, and of several the first has the index; PyTorch's rule. (WGSL
/// lets a GPU's compiler assume that there is none; these kernels look at the bits.)
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [2, 3, 4], DType::F32);
/// assert_eq!(x.mean().shape().dims(), []);
/// assert_eq!(x.sum_axes(&[0, -1], false).shape().dims(), [3]);
/// assert_eq!(x.max_axes(&[1], true).shape().dims(), [2, 1, 4]);
/// assert_eq!(x.argmax(-1, false).shape().dims(), [2, 3]);
/// ```
impl Tensor {
    /// The sum of all elements.
    #[track_caller]
    pub fn sum(&self) -> Tensor {
        self.sum_axes(&all(self), false)
    }

    /// The mean of all elements.
    #[track_caller]
    pub fn mean(&self) -> Tensor {
        self.mean_axes(&all(self), false)
    }

    /// The largest element; the gradient is shared evenly among ties.
    #[track_caller]
    pub fn max(&self) -> Tensor {
        self.max_axes(&all(self), false)
    }

    /// The smallest element; the gradient is shared evenly among ties.
    #[track_caller]
    pub fn min(&self) -> Tensor {
        self.min_axes(&all(self), false)
    }

    /// Sums over `axes`.
    #[track_caller]
    pub fn sum_axes(&self, axes: &[isize], keep: bool) -> Tensor {
        let x = self;
        match resolve_all(x, "sum", axes) {
            Ok(axes) => x.sum_keep(&axes).reshape_to(reduce(&x.shape(), &axes, keep)),
            Err(invalid) => invalid,
        }
    }

    /// Means over `axes`.
    #[track_caller]
    pub fn mean_axes(&self, axes: &[isize], keep: bool) -> Tensor {
        let x = self;
        let axes = match resolve_all(x, "mean", axes) {
            Ok(axes) => axes,
            Err(invalid) => return invalid,
        };
        let n = count(&x.shape(), &axes);
        if n == 0.0 {
            return x.misfit("mean", &[], Misfit::new(format!("there is no mean of no elements: {}", x.shape())));
        }
        let sum = x.sum_keep(&axes).reshape_to(reduce(&x.shape(), &axes, keep));
        if n > 1.0 { sum * (1.0 / n) } else { sum }
    }

    /// Variances over `axes`: means of squared differences from the mean, with `n - 1` for `n` when `unbiased`.
    #[track_caller]
    pub fn var_axes(&self, axes: &[isize], keep: bool, unbiased: bool) -> Tensor {
        let x = self;
        let axes = match resolve_all(x, "var", axes) {
            Ok(axes) => axes,
            Err(invalid) => return invalid,
        };
        let shape = x.shape();
        let n = count(&shape, &axes);
        let divisor = if unbiased { n - 1.0 } else { n };
        if divisor <= 0.0 {
            let misfit = Misfit::new(format!("there is no such variance of {n} elements: {shape}"));
            let misfit =
                if unbiased && n > 0.0 { misfit.fix("the biased variance of one element is 0") } else { misfit };
            return x.misfit("var", &[], misfit);
        }
        let mean = x.sum_keep(&axes) * (1.0 / n);
        let sum = (x - mean).square().sum_keep(&axes);
        sum.reshape_to(reduce(&shape, &axes, keep)) * (1.0 / divisor)
    }

    /// The largest elements over `axes`; the gradient is shared evenly among ties.
    #[track_caller]
    pub fn max_axes(&self, axes: &[isize], keep: bool) -> Tensor {
        let x = self;
        match resolve_all(x, "max", axes) {
            Ok(axes) => Extreme::over(x, &axes, true).reshape_to(reduce(&x.shape(), &axes, keep)),
            Err(invalid) => invalid,
        }
    }

    /// The smallest elements over `axes`; the gradient is shared evenly among ties.
    #[track_caller]
    pub fn min_axes(&self, axes: &[isize], keep: bool) -> Tensor {
        let x = self;
        match resolve_all(x, "min", axes) {
            Ok(axes) => Extreme::over(x, &axes, false).reshape_to(reduce(&x.shape(), &axes, keep)),
            Err(invalid) => invalid,
        }
    }

    /// The index of the largest element along one axis, as `u32`; the first one in a tie.
    #[track_caller]
    pub fn argmax(&self, axis: isize, keep: bool) -> Tensor {
        let x = self;
        match resolve(x, "argmax", axis) {
            Ok(axis) => {
                let y = x.graph().apply(Argmax { axis }, &[x]).get(0);
                y.reshape_to(reduce(&x.shape(), &[axis], keep))
            }
            Err(invalid) => invalid,
        }
    }
}

//! Sum, mean and variance over axes. The sum is also the gradient of broadcasting.

use std::ops::Range;

use rayon::prelude::*;

use crate::host::cast::wide;
use crate::op::iterations::per_thread;
use crate::op::reference::{Buffers, Reference};
use crate::op::{Dispatch, Grid, Kernel, Launch, Limits, Op, Operand, Spec};
use crate::ops::axes::{Dims, every, extents, reduced, resolve_all};
use crate::{Accuracy, Backward, InvalidArgument, Real, Shape, Tensor, both, vectorized};

/// Sum over a range of adjacent axes, which remain with size 1: `y[i, 0, k] = Σ_j x[i, j, k]`.
#[derive(Debug)]
pub(crate) struct Sum {
    axes: Range<usize>,
}

impl Sum {
    /// Sums over any axes, with one `Sum` op per range of adjacent axes, the last range first.
    #[track_caller]
    pub(crate) fn over(x: &Tensor, axes: &[usize]) -> Tensor {
        let rank = x.shape().rank();
        if let Some(axis) = axes.iter().find(|&&axis| axis >= rank) {
            return x.invalid(
                "sum",
                &[],
                InvalidArgument::new(format!("there is no axis {axis}: the tensor has {rank}")),
            );
        }
        if x.graph().data().vanishes(x.id(), axes) {
            let shape =
                (0..rank).fold(x.shape(), |shape, axis| if axes.contains(&axis) { shape.with(axis, 1) } else { shape });
            return x.number(0.0).expand(shape);
        }
        let mut y = x.clone();
        let mut end = rank;
        while end > 0 {
            let mut start = end;
            while start > 0 && axes.contains(&(start - 1)) {
                start -= 1;
            }
            if start < end {
                y = y.graph().clone().apply(Self { axes: start..end }, &[&y]).get(0);
            }
            end = start.min(end - 1);
        }
        y
    }

    /// Returns the products of the sizes before, inside and after the reduced axes.
    fn extents(&self, shape: &Shape) -> [usize; 3] {
        extents(shape, self.axes.clone())
    }

    /// Computes the sum in pieces, whose sizes depend on the shape alone, and runs several pieces in parallel. For
    /// the additions within a piece, see [`add_rows`].
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        const PIECE: usize = 1 << 15;
        const COLUMNS: usize = 1 << 12;
        let [_, n, inner] = self.extents(&at.input_spec(0).shape);
        let (x, y) = (at.float(0), at.out(0));
        if y.is_empty() || x.is_empty() {
            y.fill(F::zero());
            return;
        }
        if n * inner <= PIECE {
            // A piece consists of several complete outputs.
            let piece = |(y, x): (&mut [F], &[F])| {
                let mut sums = vec![0.0; inner];
                vectorized(
                    #[inline(always)]
                    || {
                        for (y, x) in y.chunks_exact_mut(inner).zip(x.chunks_exact(n * inner)) {
                            sums.fill(0.0);
                            add_rows(&mut sums, x, 0, inner);
                            y.iter_mut().zip(&sums).for_each(|(y, &sum)| *y = F::lit(sum));
                        }
                    },
                );
            };
            if x.len() <= 2 * PIECE {
                piece((y, x));
            } else {
                let outputs = PIECE / (n * inner);
                y.par_chunks_mut(outputs * inner).zip(x.par_chunks(outputs * n * inner)).for_each(piece);
            }
            return;
        }
        for (y, x) in y.chunks_exact_mut(inner).zip(x.chunks_exact(n * inner)) {
            if inner > COLUMNS {
                y.par_chunks_mut(COLUMNS).enumerate().for_each(|(block, y)| {
                    let mut sums = vec![0.0; y.len()];
                    vectorized(
                        #[inline(always)]
                        || add_rows(&mut sums, x, block * COLUMNS, inner),
                    );
                    y.iter_mut().zip(&sums).for_each(|(y, &sum)| *y = F::lit(sum));
                });
                continue;
            }
            let part = |x: &[F]| {
                let mut sums = vec![0.0; inner];
                vectorized(
                    #[inline(always)]
                    || add_rows(&mut sums, x, 0, inner),
                );
                sums
            };
            let parts: Vec<_> = x.par_chunks(PIECE / inner * inner).map(part).collect();
            for (k, y) in y.iter_mut().enumerate() {
                *y = F::lit(parts.iter().map(|sums| sums[k]).sum());
            }
        }
    }
}

/// Adds the columns of `x`, whose rows have `inner` elements, to `sums`, from column `first` on. Up to `RUN`
/// numbers are added in `F`, with vector instructions, and the resulting sums in `f64`.
#[inline(always)]
fn add_rows<F: Real>(sums: &mut [f64], x: &[F], first: usize, inner: usize) {
    /// Number of values that are added in `F` before their sum is added in `f64`.
    const RUN: usize = 32;
    const LANES: usize = 16;
    if let ([sum], 1) = (&mut *sums, inner) {
        for run in x.chunks(LANES * RUN) {
            let mut lanes = [F::zero(); LANES];
            let values = run.chunks_exact(LANES);
            let rest = values.remainder();
            for values in values {
                for (lane, &x) in lanes.iter_mut().zip(values) {
                    *lane += x;
                }
            }
            *sum += lanes.iter().chain(rest).map(|x| x.wide()).sum::<f64>();
        }
        return;
    }
    let mut run = vec![F::zero(); sums.len()];
    for rows in x.chunks(RUN * inner) {
        run.fill(F::zero());
        for row in rows.chunks_exact(inner) {
            for (sum, &x) in run.iter_mut().zip(&row[first..]) {
                *sum += x;
            }
        }
        sums.iter_mut().zip(&run).for_each(|(sum, run)| *sum += run.wide());
    }
}

/// Kernel variant of a sum: the entry point, the number of partial sums per output, and their length.
struct SumVariant {
    entry: &'static str,
    parts: usize,
    length: usize,
    /// Threads per output if the entry point is `rows`, columns per workgroup if it is `columns`.
    width: usize,
}

impl SumVariant {
    fn choose(outer: usize, n: usize, inner: usize, limits: &Limits) -> Self {
        let outputs = outer * inner;
        if limits.software {
            // Serial, because barriers are expensive on software adapters.
            let length = if n <= 2048 { n.max(1) } else { per_thread(n * outputs, 4096) };
            return Self { entry: "serial", parts: n.div_ceil(length).max(1), length, width: 1 };
        }
        if n <= 16 || (inner >= 32 && outputs >= 1 << 14 && n <= 4096) {
            return Self { entry: "serial", parts: 1, length: n, width: 1 };
        }
        let (entry, width, step, groups) = if inner == 1 {
            let threads = (n / 8).next_power_of_two().clamp(8, 256);
            ("rows", threads, 256, outer)
        } else {
            let width = inner.next_power_of_two().min(32);
            ("columns", width, 256 / width, outer * inner.div_ceil(width))
        };
        // With long sums and few workgroups, split the sums, so that more workgroups run.
        let length = if n > 64 * step && groups < 256 { 32 * step } else { n.max(1) };
        Self { entry, parts: n.div_ceil(length).max(1), length, width }
    }

    fn dispatch(&self, [outer, n, inner]: [usize; 3], x: Operand, y: Operand) -> Dispatch {
        let outputs = outer * self.parts;
        let grid = match self.entry {
            "serial" => Grid::Threads([outputs * inner, 1, 1]),
            "rows" => Grid::Groups([outputs.div_ceil(256 / self.width), 1, 1]),
            _ => Grid::Groups([outputs * inner.div_ceil(self.width), 1, 1]),
        };
        let kernel = Kernel::new("sum", &[wgrad_shaders::SUM]).bundled();
        let dispatch = Dispatch::new(kernel, self.entry, grid)
            .bind("x", x)
            .bind("y", y)
            .param("outer", outer)
            .param("n", n)
            .param("inner", inner)
            .param("parts", self.parts)
            .param("length", self.length);
        match self.entry {
            "rows" => dispatch.constant("THREADS", self.width),
            "columns" => dispatch.constant("WIDTH", self.width),
            _ => dispatch,
        }
    }
}

impl Op for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        if !inputs[0].dtype.is_float() {
            return Err(InvalidArgument::new(format!("only floats are summed, not {}", inputs[0].dtype))
                .fix("cast with `.to_f32()`"));
        }
        let mut shape = inputs[0].shape.clone();
        for axis in self.axes.clone() {
            shape = shape.with(axis, 1);
        }
        Ok(vec![Spec::f32(shape)])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| at.dy().expand(at.input(0).shape()));
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().terms(self.extents(&inputs[0].shape)[1])
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn prologues(&self) -> &'static [usize] {
        &[0]
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let [outer, n, inner] = self.extents(&at.inputs[0].shape);
        let (mut x, mut n) = (Operand::Input(0), n);
        // Each pass computes partial sums, until there is one sum per output.
        loop {
            let variant = SumVariant::choose(outer, n, inner, at.limits);
            if variant.parts <= 1 {
                at.dispatch(variant.dispatch([outer, n, inner], x, Operand::Output(0)));
                return;
            }
            let partial = at.scratch(Spec::f32([outer * variant.parts * inner]));
            at.dispatch(variant.dispatch([outer, n, inner], x, partial));
            (x, n) = (partial, variant.parts);
        }
    }
}

/// Returns the number of elements that are reduced to one result, as a float to divide by.
fn count(shape: &Shape, axes: &[usize]) -> f64 {
    wide(axes.iter().map(|&axis| shape.dims()[axis]).product())
}

/// Sums, means and variances. Negative axes count from the end; an empty list of axes returns the tensor itself.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [2, 3, 4], DType::F32);
/// assert_eq!(x.mean_all().shape().dims(), []);
/// assert_eq!(x.sum([0, -1]).shape().dims(), [3]);
/// assert_eq!(x.var_keepdim(1, 1).shape().dims(), [2, 1, 4]);
/// ```
impl Tensor {
    /// Sums over `axes`, which remain with size 1.
    ///
    /// Records an error in the graph, which `compile` reports, if an axis does not exist. An empty list returns
    /// the tensor itself.
    #[track_caller]
    pub(crate) fn sum_keep(&self, axes: &[usize]) -> Tensor {
        Sum::over(self, axes)
    }

    /// Sums over all broadcast axes, so that the result has the shape `shape`: the gradient of broadcasting.
    #[track_caller]
    pub(crate) fn sum_to(&self, shape: &Shape) -> Tensor {
        let own = self.shape();
        if own == *shape || !self.is_valid() {
            return self.clone();
        }
        let lead = own.rank() - shape.rank();
        let axes: Vec<_> = (0..own.rank())
            .filter(|&axis| axis < lead || (shape.dims()[axis - lead] == 1 && own.dims()[axis] != 1))
            .collect();
        self.sum_keep(&axes).reshape(shape)
    }

    /// Computes the sum over `dims`.
    ///
    /// Equivalent: `torch.sum`.
    #[track_caller]
    pub fn sum(&self, dims: impl Dims) -> Tensor {
        sum(self, &dims.dims(), false)
    }

    /// Computes [`Self::sum`], but keeps the reduced axes, with size 1.
    #[track_caller]
    pub fn sum_keepdim(&self, dims: impl Dims) -> Tensor {
        sum(self, &dims.dims(), true)
    }

    /// Computes the sum of all elements.
    #[track_caller]
    pub fn sum_all(&self) -> Tensor {
        sum(self, &every(self), false)
    }

    /// Computes the mean over `dims`.
    ///
    /// Records an error in the graph, which `compile` reports, if there are no elements. Equivalent: `torch.mean`.
    #[track_caller]
    pub fn mean(&self, dims: impl Dims) -> Tensor {
        mean(self, &dims.dims(), false)
    }

    /// Computes [`Self::mean`], but keeps the reduced axes, with size 1.
    #[track_caller]
    pub fn mean_keepdim(&self, dims: impl Dims) -> Tensor {
        mean(self, &dims.dims(), true)
    }

    /// Computes the mean of all elements.
    #[track_caller]
    pub fn mean_all(&self) -> Tensor {
        mean(self, &every(self), false)
    }

    /// Computes the variance over `dims`: `Σ (x − mean)² / (n − correction)`.
    ///
    /// PyTorch's default is a correction of 1 (the unbiased variance). Records an error in the graph, which
    /// `compile` reports, if the divisor is not positive. Equivalent: `torch.var`.
    #[track_caller]
    pub fn var(&self, dims: impl Dims, correction: usize) -> Tensor {
        var(self, &dims.dims(), correction, false)
    }

    /// Computes [`Self::var`], but keeps the reduced axes, with size 1.
    #[track_caller]
    pub fn var_keepdim(&self, dims: impl Dims, correction: usize) -> Tensor {
        var(self, &dims.dims(), correction, true)
    }
}

#[track_caller]
fn sum(x: &Tensor, dims: &[isize], keep: bool) -> Tensor {
    match resolve_all(x, "sum", dims) {
        Ok(axes) => x.sum_keep(&axes).reshape(reduced(&x.shape(), &axes, keep)),
        Err(invalid) => invalid,
    }
}

#[track_caller]
fn mean(x: &Tensor, dims: &[isize], keep: bool) -> Tensor {
    let axes = match resolve_all(x, "mean", dims) {
        Ok(axes) => axes,
        Err(invalid) => return invalid,
    };
    let n = count(&x.shape(), &axes);
    if n == 0.0 {
        return x.invalid("mean", &[], InvalidArgument::new(format!("there is no mean of no elements: {}", x.shape())));
    }
    let sum = x.sum_keep(&axes).reshape(reduced(&x.shape(), &axes, keep));
    if n > 1.0 { sum * (1.0 / n) } else { sum }
}

#[track_caller]
fn var(x: &Tensor, dims: &[isize], correction: usize, keep: bool) -> Tensor {
    let axes = match resolve_all(x, "var", dims) {
        Ok(axes) => axes,
        Err(invalid) => return invalid,
    };
    let shape = x.shape();
    let n = count(&shape, &axes);
    let divisor = n - wide(correction);
    if divisor <= 0.0 {
        let invalid = InvalidArgument::new(format!("there is no such variance of {n} elements: {shape}"));
        let invalid =
            if correction > 0 && n > 0.0 { invalid.fix("the biased variance of one element is 0") } else { invalid };
        return x.invalid("var", &[], invalid);
    }
    let mean = x.sum_keep(&axes) * (1.0 / n);
    let sum = (x - mean).square().sum_keep(&axes);
    sum.reshape(reduced(&shape, &axes, keep)) * (1.0 / divisor)
}

//! Maximum, minimum, argmax and argmin along axes.

use std::ops::Range;

use wgrad_shaders::lib::NAN;

use crate::{
    Accuracy, Backward, Buffers, Dispatch, Grid, InvalidArgument, Kernel, Launch, Op, Operand, Real, Reference, Shape,
    Spec, Tensor, both, vectorized,
};

use crate::op::iterations::{ALONE, TREE};
use crate::ops::axes::{Dims, every, extents, reduced, resolve, resolve_all};

/// Maximum or minimum over a range of adjacent axes, which remain with size 1: `y[i, 0, k] = max_j x[i, j, k]`.
#[derive(Debug)]
struct Extreme {
    axes: Range<usize>,
    largest: bool,
}

impl Extreme {
    /// Applies the reduction over any axes. Axes that are not adjacent are first made adjacent with a permutation,
    /// not reduced one after another, because the gradient depends on ties over all axes at once.
    #[track_caller]
    fn over(x: &Tensor, axes: &[usize], largest: bool) -> Tensor {
        let shape = x.shape();
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        let (Some(&first), Some(&last)) = (sorted.first(), sorted.last()) else { return x.clone() };
        if last - first + 1 == sorted.len() {
            return x.graph().apply(Self { axes: first..last + 1, largest }, &[x]).get(0);
        }
        let kept: Vec<_> = (0..shape.rank()).filter(|axis| !sorted.contains(axis)).collect();
        let order: Vec<_> = kept.iter().chain(&sorted).map(|axis| axis.cast_signed()).collect();
        let op = Self { axes: kept.len()..shape.rank(), largest };
        x.graph().apply(op, &[&x.permute(&order)]).get(0).reshape(reduced(&shape, axes, true))
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

/// Computes the largest or smallest element of each column of `x`, whose rows are as long as `y`.
#[inline(always)]
fn extremes<F: Real, const LARGEST: bool>(y: &mut [F], x: &[F]) {
    let inner = y.len();
    // A NaN, once found, is kept.
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
    // The lanes are independent, so that the compiler vectorises the loop.
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

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        let axes: Vec<_> = self.axes.clone().collect();
        Ok(vec![Spec::f32(reduced(nonempty(&inputs[0], &self.axes)?, &axes, true))])
    }

    fn backward(&self, at: &mut Backward) {
        let axes: Vec<_> = self.axes.clone().collect();
        at.give_with(0, |at| {
            let ties = at.input(0).eq(at.output(0)).to_f32();
            let divided = at.dy() / ties.sum_keep(&axes);
            ties * divided
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
        // With few outputs and long rows, each row is split into parts, and a first pass computes one extreme per
        // part. No part is empty.
        let length = if n > 8192 && outer * inner < 1024 { n.div_ceil(n.div_ceil(4096)) } else { n };
        let parts = n.div_ceil(length);
        let software = at.limits.software;
        let stage = |x, y, n: usize, length: usize, parts: usize| {
            let outputs = outer * parts * inner;
            let kernel = Kernel::new("reduce_extreme", &[NAN, wgrad_shaders::REDUCE_EXTREME]).bundled();
            reduce(kernel, outputs, length, inner, software)
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

/// Argmax over one axis, which remains with size 1: the smallest j for which `x[i, j, k]` is largest.
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

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
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
        let kernel = Kernel::new("reduce_argmax", &[NAN, wgrad_shaders::REDUCE_ARGMAX]).bundled();
        at.dispatch(
            reduce(kernel, outer * inner, n, inner, at.limits.software)
                .bind("x", Operand::Input(0))
                .bind("y", Operand::Output(0))
                .param("outputs", outer * inner)
                .param("n", n)
                .param("inner", inner),
        );
    }
}

/// Chooses the serial kernel (one thread per output) or the tree kernel (one workgroup per output). The tree is
/// for long rows that the threads of the serial kernel would not read coalesced. On software adapters, where
/// barriers are expensive, it is used only for rows that are too long for a single thread's loop.
fn reduce(kernel: Kernel, outputs: usize, length: usize, inner: usize, software: bool) -> Dispatch {
    if length > ALONE || (!software && length > 64 && inner < 32) {
        Dispatch::new(kernel, "tree", Grid::Groups([outputs, 1, 1])).iterations_shared(1, length, TREE)
    } else {
        Dispatch::new(kernel, "serial", Grid::Threads([outputs, 1, 1])).iterations(length)
    }
}

/// Returns the shape, or an error if the elements are not floats or there are no elements along `axes`.
fn nonempty<'a>(spec: &'a Spec, axes: &Range<usize>) -> Result<&'a Shape, InvalidArgument> {
    if !spec.dtype.is_float() {
        return Err(
            InvalidArgument::new(format!("only floats are reduced, not {}", spec.dtype)).fix("cast with `.to_f32()`")
        );
    }
    if extents(&spec.shape, axes.clone())[1] == 0 {
        return Err(InvalidArgument::new(format!("there is no largest of no elements: {}", spec.shape)));
    }
    Ok(&spec.shape)
}

/// Maximum and minimum. As in PyTorch, NaN counts as the largest and as the smallest element, and the index is
/// that of the first NaN. (WGSL lets compilers assume that there are no NaNs; these kernels test the bits.)
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [2, 3, 4], DType::F32);
/// assert_eq!(x.amax_keepdim(1).shape().dims(), [2, 1, 4]);
/// assert_eq!(x.argmax(-1).shape().dims(), [2, 3]);
/// let (values, indices) = x.max(-1);
/// assert_eq!((values.shape().dims(), indices.shape().dims()), (&[2, 3][..], &[2, 3][..]));
/// ```
impl Tensor {
    /// Computes the maximum over `dims`.
    ///
    /// The gradient is divided evenly among ties. Equivalent: `torch.amax`.
    #[track_caller]
    pub fn amax(&self, dims: impl Dims) -> Tensor {
        extreme(self, "amax", &dims.dims(), true, false)
    }

    /// Computes [`Self::amax`], but keeps the reduced axes, with size 1.
    #[track_caller]
    pub fn amax_keepdim(&self, dims: impl Dims) -> Tensor {
        extreme(self, "amax", &dims.dims(), true, true)
    }

    /// Computes the minimum over `dims`.
    ///
    /// The gradient is divided evenly among ties. Equivalent: `torch.amin`.
    #[track_caller]
    pub fn amin(&self, dims: impl Dims) -> Tensor {
        extreme(self, "amin", &dims.dims(), false, false)
    }

    /// Computes [`Self::amin`], but keeps the reduced axes, with size 1.
    #[track_caller]
    pub fn amin_keepdim(&self, dims: impl Dims) -> Tensor {
        extreme(self, "amin", &dims.dims(), false, true)
    }

    /// Computes the maximum of all elements.
    ///
    /// The gradient is divided evenly among ties. Equivalent: `torch.max(input)`.
    #[track_caller]
    pub fn max_all(&self) -> Tensor {
        extreme(self, "max", &every(self), true, false)
    }

    /// Computes the minimum of all elements.
    ///
    /// The gradient is divided evenly among ties. Equivalent: `torch.min(input)`.
    #[track_caller]
    pub fn min_all(&self) -> Tensor {
        extreme(self, "min", &every(self), false, false)
    }

    /// Computes the maximum along one axis; returns the values and their indices as `u32`.
    ///
    /// In a tie the index is that of the first element, which gets all of the gradient, unlike in [`Self::amax`].
    /// Equivalent: `torch.max(input, dim)`.
    #[track_caller]
    pub fn max(&self, dim: isize) -> (Tensor, Tensor) {
        at_index(self, "max", dim, true, false)
    }

    /// Computes [`Self::max`], but keeps the axis `dim`, with size 1.
    #[track_caller]
    pub fn max_keepdim(&self, dim: isize) -> (Tensor, Tensor) {
        at_index(self, "max", dim, true, true)
    }

    /// Computes the minimum along one axis; returns the values and their indices as `u32`.
    ///
    /// In a tie the index is that of the first element, which gets all of the gradient. Equivalent:
    /// `torch.min(input, dim)`.
    #[track_caller]
    pub fn min(&self, dim: isize) -> (Tensor, Tensor) {
        at_index(self, "min", dim, false, false)
    }

    /// Computes [`Self::min`], but keeps the axis `dim`, with size 1.
    #[track_caller]
    pub fn min_keepdim(&self, dim: isize) -> (Tensor, Tensor) {
        at_index(self, "min", dim, false, true)
    }

    /// Returns the index of the largest element along one axis, as `u32`; in a tie, the first index.
    ///
    /// Equivalent: `torch.argmax`.
    #[track_caller]
    pub fn argmax(&self, dim: isize) -> Tensor {
        index(self, "argmax", dim, true, false)
    }

    /// Computes [`Self::argmax`], but keeps the axis `dim`, with size 1.
    #[track_caller]
    pub fn argmax_keepdim(&self, dim: isize) -> Tensor {
        index(self, "argmax", dim, true, true)
    }

    /// Returns the index of the smallest element along one axis, as `u32`; in a tie, the first index.
    ///
    /// Equivalent: `torch.argmin`.
    #[track_caller]
    pub fn argmin(&self, dim: isize) -> Tensor {
        index(self, "argmin", dim, false, false)
    }

    /// Computes [`Self::argmin`], but keeps the axis `dim`, with size 1.
    #[track_caller]
    pub fn argmin_keepdim(&self, dim: isize) -> Tensor {
        index(self, "argmin", dim, false, true)
    }
}

#[track_caller]
fn extreme(x: &Tensor, op: &str, dims: &[isize], largest: bool, keep: bool) -> Tensor {
    match resolve_all(x, op, dims) {
        Ok(axes) => Extreme::over(x, &axes, largest).reshape(reduced(&x.shape(), &axes, keep)),
        Err(invalid) => invalid,
    }
}

#[track_caller]
fn index(x: &Tensor, op: &str, dim: isize, largest: bool, keep: bool) -> Tensor {
    match resolve(x, op, dim) {
        Ok(axis) => {
            let signed = if largest { x.clone() } else { -x };
            let y = x.graph().apply(Argmax { axis }, &[&signed]).get(0);
            y.reshape(reduced(&x.shape(), &[axis], keep))
        }
        Err(invalid) => invalid,
    }
}

/// Returns the maxima or minima along an axis and their indices.
#[track_caller]
fn at_index(x: &Tensor, op: &str, dim: isize, largest: bool, keep: bool) -> (Tensor, Tensor) {
    let axis = match resolve(x, op, dim) {
        Ok(axis) => axis,
        Err(invalid) => return (invalid.clone(), invalid),
    };
    let at = index(x, op, dim, largest, true);
    let values = x.gather(axis.cast_signed(), &at);
    if keep {
        return (values, at);
    }
    let shape = reduced(&x.shape(), &[axis], false);
    (values.reshape(&shape), at.reshape(shape))
}

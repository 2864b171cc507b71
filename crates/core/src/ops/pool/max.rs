//! Max pooling.

use crate::{
    Accuracy, Backward, Buffers, Dispatch, Grid, InvalidArgument, Kernel, Launch, Op, Operand, Real, Reference, Spec,
    Tensor, both, vectorized,
};
use rayon::prelude::*;
use wgrad_shaders::lib::{NAN, WINDOWS};

use crate::op::iterations::ALONE;
use crate::op::template::Template;
use crate::ops::pool::windows::{Windows, planes};
use crate::ops::spatial::{OutputSizes, Sizes, setters};

/// Options of max pooling over `D` axes, with PyTorch's defaults.
///
/// ```
/// use wgrad_core::ops::MaxPool;
/// let pool = MaxPool::<2>::new(3).stride(2).padding(1);
/// assert_eq!((pool.kernel, pool.stride, pool.padding), ([3, 3], [2, 2], [1, 1]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool<const D: usize> {
    /// Size of the window along each axis.
    pub kernel: [usize; D],
    /// Step of the window; default: the size of the window.
    pub stride: [usize; D],
    /// Padding with −∞ on both sides, at most half the kernel; default: 0.
    pub padding: [usize; D],
    /// Distance between elements of the window; default: 1.
    pub dilation: [usize; D],
    /// True to round the output size up, not down, so that the last window may extend beyond the end; default:
    /// false.
    pub ceil_mode: bool,
}

impl<const D: usize> MaxPool<D> {
    /// Returns the options for windows of size `kernel`, without gaps or overlap.
    pub fn new(kernel: impl Into<Sizes<D>>) -> Self {
        let kernel = kernel.into().0;
        Self { kernel, stride: kernel, padding: [0; D], dilation: [1; D], ceil_mode: false }
    }

    setters! {
        /// Sets the step of the window.
        stride: Sizes<D>,
        /// Sets the padding, whose elements count as −∞.
        padding: Sizes<D>,
        /// Sets the distance between elements of the window.
        dilation: Sizes<D>,
        /// Sets whether the last window may extend beyond the end, if it begins inside the input or the padding
        /// before it.
        ceil_mode = bool,
    }

    #[track_caller]
    fn apply(&self, op: &str, x: &Tensor) -> (Tensor, Tensor) {
        let windows =
            Windows::sliding(&x.shape(), self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode);
        pool::<D>(op, x, windows)
    }
}

/// Max pooling. The input is `[N, C, L]` or `[C, L]` in one dimension, `[N, C, H, W]` or `[C, H, W]` in two.
///
/// `y[o]` is the largest element of window `o`, or NaN if the window contains a NaN. Each index, a `u32`, is the
/// position of that element in its image, in row-major order. Of equal elements it is the first; of several NaNs
/// it is the last, or the first if one window covers an entire image of more than 16,384 elements. No gradient
/// flows through indices. Equivalents: `torch.nn.functional.max_pool2d` and `adaptive_max_pool2d`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// use wgrad_core::ops::MaxPool;
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [8, 3, 28, 28], DType::F32);
/// assert_eq!(x.max_pool2d(MaxPool::new(2)).shape().dims(), [8, 3, 14, 14]);
/// let (y, place) = x.adaptive_max_pool2d([Some(5), None]);
/// assert_eq!((y.shape().dims(), place.dtype()), (&[8, 3, 5, 28][..], DType::U32));
/// ```
///
/// The methods record an error in the graph, which `compile` reports, if the size or step of the window is 0, the
/// window is larger than the padded input, the padding is more than half the kernel, or a window contains no
/// element of the input.
impl Tensor {
    /// Applies one-dimensional max pooling: the largest element of each window.
    #[track_caller]
    pub fn max_pool1d(&self, options: MaxPool<1>) -> Tensor {
        options.apply("max_pool1d", self).0
    }

    /// Applies [`Self::max_pool1d`]; returns the maxima and their indices.
    #[track_caller]
    pub fn max_pool1d_with_indices(&self, options: MaxPool<1>) -> (Tensor, Tensor) {
        options.apply("max_pool1d", self)
    }

    /// Applies two-dimensional max pooling: the largest element of each window.
    #[track_caller]
    pub fn max_pool2d(&self, options: MaxPool<2>) -> Tensor {
        options.apply("max_pool2d", self).0
    }

    /// Applies [`Self::max_pool2d`]; returns the maxima and their indices.
    #[track_caller]
    pub fn max_pool2d_with_indices(&self, options: MaxPool<2>) -> (Tensor, Tensor) {
        options.apply("max_pool2d", self)
    }

    /// Applies one-dimensional adaptive max pooling to the output size `L′`; returns the maxima and their indices.
    ///
    /// Window `o` contains the elements from `⌊o·L/L′⌋` up to, but not including, `⌈(o + 1)·L/L′⌉`.
    #[track_caller]
    pub fn adaptive_max_pool1d(&self, output: impl Into<OutputSizes<1>>) -> (Tensor, Tensor) {
        pool::<1>("adaptive_max_pool1d", self, Windows::adaptive(&self.shape(), output.into().0))
    }

    /// Applies two-dimensional adaptive max pooling; returns the maxima and their indices.
    ///
    /// The windows along each axis are those of [`Self::adaptive_max_pool1d`].
    #[track_caller]
    pub fn adaptive_max_pool2d(&self, output: impl Into<OutputSizes<2>>) -> (Tensor, Tensor) {
        pool::<2>("adaptive_max_pool2d", self, Windows::adaptive(&self.shape(), output.into().0))
    }
}

#[track_caller]
fn pool<const D: usize>(op: &str, x: &Tensor, windows: Result<Windows, InvalidArgument>) -> (Tensor, Tensor) {
    let (x, windows, shape) = match planes::<D>(op, x, windows) {
        Ok(planes) => planes,
        Err(invalid) => return (invalid.clone(), invalid),
    };
    let (y, index) = if windows.whole() && windows.input() > ALONE {
        x.flatten(-2).max_keepdim(-1)
    } else {
        let applied = x.graph().apply(Pool(windows), &[&x]);
        (applied.get(0), applied.get(1))
    };
    (y.reshape(&shape), index.reshape(shape))
}

fn dispatch(windows: &Windows, entry: &'static str, threads: usize) -> Dispatch {
    let source =
        Template::new("max_pool", &[NAN, WINDOWS, wgrad_shaders::MAX_POOL]).set_all(&windows.constants()).write();
    let kernel = Kernel::generated("max_pool", source).bundled();
    let dispatch = Dispatch::new(kernel, entry, Grid::Threads([threads, 1, 1])).param("threads", threads);
    if entry == "take" { dispatch } else { dispatch.iterations(windows.iterations()) }
}

/// Max pooling. Outputs: the largest element of each window, and its index in the image.
#[derive(Debug)]
struct Pool(Windows);

impl Pool {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let Windows([down, across]) = self.0;
        let (x, y, index) = (at.float(0), at.out(0), at.out_uint(1));
        let columns: Vec<_> = (0..across.output).map(|ox| across.window(ox)).collect();
        let planes = y.par_chunks_mut(self.0.output()).zip(index.par_chunks_mut(self.0.output()));
        let side_by_side = [down.side_by_side(), across.side_by_side()];
        planes.zip(x.par_chunks(self.0.input())).for_each(|((y, index), x)| {
            match side_by_side {
                [Some(2), Some(2)] => {
                    return vectorized(
                        #[inline(always)]
                        || self.tiles::<F, 2>(y, index, x),
                    );
                }
                [Some(3), Some(3)] => {
                    return vectorized(
                        #[inline(always)]
                        || self.tiles::<F, 3>(y, index, x),
                    );
                }
                _ => {}
            }
            let rows = y.chunks_exact_mut(across.output).zip(index.chunks_exact_mut(across.output));
            for (oy, (y, index)) in rows.enumerate() {
                let (top, bottom, step_y) = down.window(oy);
                for ((y, index), &(left, right, step_x)) in y.iter_mut().zip(index).zip(&columns) {
                    let (mut best, mut place) = (x[top * across.input + left], top * across.input + left);
                    for iy in (top..bottom).step_by(step_y) {
                        let mut at = iy * across.input + left;
                        let end = iy * across.input + right;
                        while at < end {
                            // Unlike `f32::max`, this comparison keeps a NaN and, of equal elements, the first.
                            if x[at] > best || x[at].is_nan() {
                                (best, place) = (x[at], at);
                            }
                            at += step_x;
                        }
                    }
                    *y = best;
                    *index = u32::try_from(place).unwrap_or(u32::MAX);
                }
            }
        });
    }

    /// Pools one plane with adjacent windows of `K` by `K`, without branches, so that the compiler vectorises the
    /// loops.
    #[inline(always)]
    fn tiles<F: Real, const K: usize>(&self, y: &mut [F], index: &mut [u32], x: &[F]) {
        let Windows([_, across]) = self.0;
        let width = across.input;
        let rows = y.chunks_exact_mut(across.output).zip(index.chunks_exact_mut(across.output));
        for ((y, index), (first, x)) in rows.zip((0u32..).step_by(K * width).zip(x.chunks_exact(K * width))) {
            let n = y.len();
            let x: [&[[F; K]]; K] = std::array::from_fn(|row| &x[row * width..][..width].as_chunks().0[..n]);
            for (o, (y, index)) in y.iter_mut().zip(index).enumerate() {
                let (mut best, mut place) = (x[0][o][0], 0);
                for (row, x) in x.iter().enumerate() {
                    for (column, &value) in x[o].iter().enumerate() {
                        // This comparison keeps a NaN and, of equal elements, the first.
                        let better = (value > best) | value.is_nan();
                        best = if better { value } else { best };
                        place = if better { (row * width + column) as u32 } else { place };
                    }
                }
                *y = best;
                *index = first + (o * K) as u32 + place;
            }
        }
    }
}

impl Op for Pool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        let shape = Windows::with(&inputs[0].shape, self.0.0.map(|axis| axis.output));
        Ok(vec![Spec::f32(&shape), Spec::u32(shape)])
    }

    fn backward(&self, at: &mut Backward) {
        if at.cotangent(0).is_some() {
            at.give_with(0, |at| at.dy().graph().apply(Spread(self.0), &[&at.dy(), &at.output(1).clone()]).get(0));
        }
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::new()
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let threads = at.outputs[0].shape.numel();
        let pool = dispatch(&self.0, "forward", threads).bind("x", Operand::Input(0));
        at.dispatch(pool.bind("y", Operand::Output(0)).bind("index", Operand::Output(1)));
    }
}

/// Gradient of [`Pool`]: adds every element of dy to the position of the maximum of its window.
#[derive(Debug)]
struct Spread(Windows);

impl Spread {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let (dy, index, dx) = (at.float(0), at.uint(1), at.out(0));
        let windows = dy.par_chunks(self.0.output()).zip(index.par_chunks(self.0.output()));
        dx.par_chunks_mut(self.0.input()).zip(windows).for_each(|(dx, (dy, index))| {
            dx.fill(F::zero());
            for (&dy, &place) in dy.iter().zip(index) {
                dx[place as usize] += dy;
            }
        });
    }
}

impl Op for Spread {
    fn name(&self) -> &'static str {
        "max_pool_grad"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![Spec::f32(Windows::with(&inputs[0].shape, self.0.0.map(|axis| axis.input)))])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| at.dy().graph().apply(Take(self.0), &[&at.dy(), at.input(1)]).get(0));
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::new().terms(self.0.terms())
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let threads = at.outputs[0].shape.numel();
        let spread = dispatch(&self.0, "backward", threads).bind("dy", Operand::Input(0));
        at.dispatch(spread.bind("places", Operand::Input(1)).bind("y", Operand::Output(0)));
    }
}

/// Gradient of [`Spread`]: reads the element at each index.
#[derive(Debug)]
struct Take(Windows);

impl Take {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let (x, index, y) = (at.float(0), at.uint(1), at.out(0));
        let windows = y.par_chunks_mut(self.0.output()).zip(index.par_chunks(self.0.output()));
        x.par_chunks(self.0.input()).zip(windows).for_each(|(x, (y, index))| {
            y.iter_mut().zip(index).for_each(|(y, &place)| *y = x[place as usize]);
        });
    }
}

impl Op for Take {
    fn name(&self) -> &'static str {
        "max_pool_take"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![Spec::f32(&inputs[1].shape)])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| at.dy().graph().apply(Spread(self.0), &[&at.dy(), at.input(1)]).get(0));
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::new()
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let threads = at.outputs[0].shape.numel();
        let take = dispatch(&self.0, "take", threads).bind("x", Operand::Input(0));
        at.dispatch(take.bind("places", Operand::Input(1)).bind("y", Operand::Output(0)));
    }
}

//! Average pooling.

use crate::{
    Accuracy, Backward, Buffers, Dispatch, Grid, InvalidArgument, Kernel, Launch, Op, Operand, Real, Reference, Spec,
    Tensor, both,
};
use rayon::prelude::*;

use crate::host::cast::{signed, wide};
use crate::op::template::Template;
use crate::ops::pool::windows::{Axis, WindowKind, Windows, planes};
use crate::ops::spatial::{OutputSizes, Sizes, setters};

/// Options of average pooling over `D` axes, with PyTorch's defaults.
///
/// ```
/// use wgrad_core::ops::AvgPool;
/// let pool = AvgPool::<2>::new([3, 2]).padding(1).count_include_pad(false);
/// assert_eq!((pool.kernel, pool.stride, pool.padding), ([3, 2], [3, 2], [1, 1]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct AvgPool<const D: usize> {
    /// Size of the window along each axis.
    pub kernel: [usize; D],
    /// Step of the window; default: the size of the window.
    pub stride: [usize; D],
    /// Zeros on both sides of the input, at most half the kernel; default: 0.
    pub padding: [usize; D],
    /// True to round the output size up, not down, so that the last window may extend beyond the end; default:
    /// false.
    pub ceil_mode: bool,
    /// True if the zeros of the padding count as elements of a window; default: true. Positions beyond the padding
    /// never count.
    pub count_include_pad: bool,
    /// Divisor of the sums that replaces the number of elements; default: none.
    pub divisor_override: Option<usize>,
}

impl<const D: usize> AvgPool<D> {
    /// Returns the options for windows of size `kernel`, without gaps or overlap.
    pub fn new(kernel: impl Into<Sizes<D>>) -> Self {
        let kernel = kernel.into().0;
        let (padding, count_include_pad) = ([0; D], true);
        Self { kernel, stride: kernel, padding, ceil_mode: false, count_include_pad, divisor_override: None }
    }

    setters! {
        /// Sets the step of the window.
        stride: Sizes<D>,
        /// Sets the number of zeros on both sides of the input.
        padding: Sizes<D>,
        /// Sets whether the last window may extend beyond the end, if it begins inside the input or the padding
        /// before it.
        ceil_mode = bool,
        /// Sets whether the zeros of the padding count as elements.
        count_include_pad = bool,
    }

    /// Sets the divisor of the sums, which replaces the number of elements.
    pub fn divisor_override(mut self, divisor: usize) -> Self {
        self.divisor_override = Some(divisor);
        self
    }

    #[track_caller]
    fn apply(&self, op: &str, x: &Tensor) -> Tensor {
        let mut windows = Windows::sliding(&x.shape(), self.kernel, self.stride, self.padding, [1; D], self.ceil_mode);
        if self.divisor_override == Some(0) {
            windows =
                Err(InvalidArgument::new("a sum cannot be divided by 0").fix("divisor_override(1) gives the sums"));
        }
        mean::<D>(op, x, windows, self.count_include_pad, self.divisor_override)
    }
}

/// Average pooling. The input is `[N, C, L]` or `[C, L]` in one dimension, `[N, C, H, W]` or `[C, H, W]` in two.
///
/// `y[o]` is the sum of window `o` divided by the number of elements in the window. Equivalents:
/// `torch.nn.functional.avg_pool2d` and `adaptive_avg_pool2d`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// use wgrad_core::ops::AvgPool;
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [8, 3, 28, 28], DType::F32);
/// assert_eq!(x.avg_pool2d(AvgPool::new(3).stride(2).padding(1)).shape().dims(), [8, 3, 14, 14]);
/// assert_eq!(x.adaptive_avg_pool2d(1).shape().dims(), [8, 3, 1, 1]);
/// ```
///
/// The methods record an error in the graph, which `compile` reports, if the size or step of the window is 0, the
/// window is larger than the padded input, or the padding is more than half the kernel.
impl Tensor {
    /// Applies one-dimensional average pooling: the mean of each window.
    #[track_caller]
    pub fn avg_pool1d(&self, pool: AvgPool<1>) -> Tensor {
        pool.apply("avg_pool1d", self)
    }

    /// Applies two-dimensional average pooling: the mean of each window.
    #[track_caller]
    pub fn avg_pool2d(&self, pool: AvgPool<2>) -> Tensor {
        pool.apply("avg_pool2d", self)
    }

    /// Applies one-dimensional adaptive average pooling to the output size `L′`.
    ///
    /// Window `o` contains the elements from `⌊o·L/L′⌋` up to, but not including, `⌈(o + 1)·L/L′⌉`.
    #[track_caller]
    pub fn adaptive_avg_pool1d(&self, output: impl Into<OutputSizes<1>>) -> Tensor {
        mean::<1>("adaptive_avg_pool1d", self, Windows::adaptive(&self.shape(), output.into().0), true, None)
    }

    /// Applies two-dimensional adaptive average pooling.
    ///
    /// The windows along each axis are those of [`Self::adaptive_avg_pool1d`].
    #[track_caller]
    pub fn adaptive_avg_pool2d(&self, output: impl Into<OutputSizes<2>>) -> Tensor {
        mean::<2>("adaptive_avg_pool2d", self, Windows::adaptive(&self.shape(), output.into().0), true, None)
    }
}

#[track_caller]
fn mean<const D: usize>(
    op: &str,
    x: &Tensor,
    windows: Result<Windows, InvalidArgument>,
    padding_counts: bool,
    divisor: Option<usize>,
) -> Tensor {
    let (x, windows, shape) = match planes::<D>(op, x, windows) {
        Ok(planes) => planes,
        Err(invalid) => return invalid,
    };
    let y = if windows.whole() {
        // The sum kernel divides a long sum among threads; the pooling kernel does not.
        x.sum_keepdim([-2, -1]) * (1.0 / wide(divisor.unwrap_or(windows.input())))
    } else {
        x.graph().apply(Mean(Means { windows, padding_counts, divisor }), &[&x]).get(0)
    };
    y.reshape(shape)
}

/// Windows and the divisors of their sums.
#[derive(Clone, Copy, Debug)]
struct Means {
    windows: Windows,
    padding_counts: bool,
    divisor: Option<usize>,
}

impl Means {
    /// Returns, for each window along an axis, its start, its end and how many of its elements count in the mean.
    fn along(&self, axis: &Axis) -> Vec<(usize, usize, usize)> {
        let counted = |o: usize| {
            let (begin, end, _) = axis.window(o);
            let count = match axis.kind {
                WindowKind::Sliding { kernel, stride, before, .. } if self.padding_counts => {
                    kernel.min(axis.input + 2 * before - o * stride)
                }
                _ => end - begin,
            };
            (begin, end, count)
        };
        (0..axis.output).map(counted).collect()
    }

    /// Calls `each` with every window of a plane: its number, rows, columns and divisor.
    fn each(&self, mut each: impl FnMut(usize, std::ops::Range<usize>, std::ops::Range<usize>, f64)) {
        let [down, across] = self.windows.0;
        let columns = self.along(&across);
        for (oy, (top, bottom, height)) in self.along(&down).into_iter().enumerate() {
            for (ox, &(left, right, width)) in columns.iter().enumerate() {
                let divisor = wide(self.divisor.unwrap_or(height * width));
                each(oy * across.output + ox, top..bottom, left..right, divisor);
            }
        }
    }

    fn forward<F: Real>(&self, mut at: Buffers<'_, F>) {
        let (x, y, width) = (at.float(0), at.out(0), self.windows.0[1].input);
        let planes = y.par_chunks_mut(self.windows.output()).zip(x.par_chunks(self.windows.input()));
        planes.for_each(|(y, x)| {
            self.each(|o, rows, columns, divisor| {
                let row = |iy: usize| x[iy * width + columns.start..iy * width + columns.end].iter();
                y[o] = F::lit(rows.flat_map(row).map(|x| x.wide()).sum::<f64>() / divisor);
            });
        });
    }

    fn backward<F: Real>(&self, mut at: Buffers<'_, F>) {
        let (dy, dx, width) = (at.float(0), at.out(0), self.windows.0[1].input);
        let planes = dx.par_chunks_mut(self.windows.input()).zip(dy.par_chunks(self.windows.output()));
        planes.for_each(|(dx, dy)| {
            dx.fill(F::zero());
            self.each(|o, rows, columns, divisor| {
                let term = dy[o] / F::lit(divisor);
                for iy in rows {
                    dx[iy * width + columns.start..iy * width + columns.end].iter_mut().for_each(|dx| *dx += term);
                }
            });
        });
    }

    fn dispatch(&self, entry: &'static str, at: &mut Launch<'_>) {
        let threads = at.outputs[0].shape.numel();
        let mut constants = self.windows.constants();
        constants.push(("PADDING_COUNTS", i64::from(self.padding_counts)));
        constants.push(("DIVISOR", signed(self.divisor.unwrap_or(0))));
        let source = Template::new("avg_pool", &[wgrad_shaders::lib::WINDOWS, wgrad_shaders::AVG_POOL])
            .set_all(&constants)
            .write();
        at.dispatch(
            Dispatch::new(Kernel::generated("avg_pool", source).bundled(), entry, Grid::Threads([threads, 1, 1]))
                .iterations(self.windows.iterations())
                .param("threads", threads)
                .bind("x", Operand::Input(0))
                .bind("y", Operand::Output(0)),
        );
    }
}

/// Average pooling.
#[derive(Debug)]
struct Mean(Means);

impl Op for Mean {
    fn name(&self) -> &'static str {
        "avg_pool"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![Spec::f32(Windows::with(&inputs[0].shape, self.0.windows.0.map(|axis| axis.output)))])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| at.dy().graph().apply(Spread(self.0), &[&at.dy()]).get(0));
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::new().steps(2.0).terms(self.0.windows.terms())
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.0.forward(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        self.0.dispatch("forward", at);
    }
}

/// Gradient of [`Mean`]: adds each element of dy, divided by the divisor, to all elements of its window. The
/// gradient of this op is [`Mean`].
#[derive(Debug)]
struct Spread(Means);

impl Op for Spread {
    fn name(&self) -> &'static str {
        "avg_pool_grad"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![Spec::f32(Windows::with(&inputs[0].shape, self.0.windows.0.map(|axis| axis.input)))])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| at.dy().graph().apply(Mean(self.0), &[&at.dy()]).get(0));
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::new().steps(2.0).terms(self.0.windows.terms())
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.0.backward(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        self.0.dispatch("backward", at);
    }
}

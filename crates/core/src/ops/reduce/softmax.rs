//! Softmax, log-softmax and softmin along one axis.

use crate::{
    Accuracy, Backward, Buffers, Dispatch, Grid, InvalidArgument, Kernel, Launch, Limits, Op, Operand, Real, Reference,
    Shape, Spec, Tensor, both, vectorized,
};
use rayon::prelude::*;

use crate::op::iterations::TREE;
use crate::ops::axes::extents;

/// Softmax along an axis.
impl Tensor {
    /// Computes the softmax along `axis`: `y_c = exp(x_c) / Σ_j exp(x_j)`.
    ///
    /// The result has the shape of x. A negative axis counts from the end. The maximum is subtracted first, so
    /// that logits of ±1000 do not overflow. Records an error in the graph, which `compile` reports, if the axis
    /// does not exist or the tensor contains integers. Equivalent: `torch.softmax`.
    #[track_caller]
    pub fn softmax(&self, axis: isize) -> Tensor {
        apply(self, axis, false)
    }

    /// Computes the logarithm of the softmax along `axis`: `y_c = x_c − log Σ_j exp(x_j)`.
    ///
    /// Unlike `log` of [`Self::softmax`], it does not underflow. Equivalent: `torch.log_softmax`.
    #[track_caller]
    pub fn log_softmax(&self, axis: isize) -> Tensor {
        apply(self, axis, true)
    }

    /// Computes the softmax of −x along `axis`.
    ///
    /// Equivalent: `torch.nn.functional.softmin`.
    #[track_caller]
    pub fn softmin(&self, axis: isize) -> Tensor {
        (-self).softmax(axis)
    }
}

#[track_caller]
fn apply(x: &Tensor, axis: isize, log: bool) -> Tensor {
    let Some(axis) = x.shape().axis(axis) else {
        let invalid = InvalidArgument::new(format!("there is no axis {axis}: the tensor has {}", x.shape().rank()));
        return x.invalid(if log { "log_softmax" } else { "softmax" }, &[], invalid);
    };
    x.graph().apply(Softmax { axis, log }, &[x]).get(0)
}

/// Returns whether to use the serial kernel (one thread per row): for short rows, for strided rows, and on
/// software adapters, where barriers are expensive, but never for very long rows.
pub(crate) fn one_thread_per_row(classes: usize, inner: usize, limits: &Limits) -> bool {
    classes <= TREE || (classes <= 8192 && (inner > 1 || limits.software))
}

/// Returns a dispatch of one thread (`serial`) or one workgroup per row, with up to three loops over a row.
pub(crate) fn over_rows(kernel: Kernel, entry: &'static str, serial: bool, rows: usize, classes: usize) -> Dispatch {
    if serial {
        Dispatch::new(kernel, entry, Grid::Threads([rows, 1, 1])).iterations(3 * classes)
    } else {
        Dispatch::new(kernel, entry, Grid::Groups([rows, 1, 1])).iterations_shared(3, classes, TREE)
    }
}

const SOURCE: [&str; 3] = [wgrad_shaders::lib::SPECIAL, wgrad_shaders::lib::TREE, wgrad_shaders::SOFTMAX];

#[derive(Debug)]
struct Softmax {
    axis: usize,
    log: bool,
}

impl Softmax {
    /// Returns the sizes before, along and after the axis.
    fn extents(&self, shape: &Shape) -> [usize; 3] {
        extents(shape, self.axis..self.axis + 1)
    }

    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let [_, classes, inner] = self.extents(&at.input_spec(0).shape);
        let (x, y) = (at.float(0), at.out(0));
        let block = (classes * inner).max(1);
        let rows = |(y, x): (&mut [F], &[F])| {
            vectorized(
                #[inline(always)]
                || {
                    if inner == 1 {
                        y.chunks_exact_mut(block).zip(x.chunks_exact(block)).for_each(
                            #[inline(always)]
                            |(y, x)| self.row(y, x),
                        );
                        return;
                    }
                    // Copies each strided row into a contiguous buffer, and the result back.
                    let [mut from, mut to] = [vec![F::zero(); classes], vec![F::zero(); classes]];
                    for (y, x) in y.chunks_exact_mut(block).zip(x.chunks_exact(block)) {
                        for i in 0..inner {
                            from.iter_mut().zip(x[i..].iter().step_by(inner)).for_each(|(to, &x)| *to = x);
                            self.row(&mut to, &from);
                            y[i..].iter_mut().step_by(inner).zip(&to).for_each(|(y, &to)| *y = to);
                        }
                    }
                },
            );
        };
        // Each parallel task gets enough blocks to be worth while.
        let piece = block * ((1 << 13) / block + 1);
        if x.len() <= piece {
            rows((y, x));
        } else {
            y.par_chunks_mut(piece).zip(x.par_chunks(piece)).for_each(rows);
        }
    }

    #[inline(always)]
    fn row<F: Real>(&self, y: &mut [F], x: &[F]) {
        let (max, _, others) = exponentials(y, x);
        let (scale, log) = (F::lit(1.0 / (1.0 + others)), F::lit(others.ln_1p()));
        if self.log {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = (x - max) - log;
            }
        } else {
            for y in y {
                *y *= scale;
            }
        }
    }
}

/// Computes `y = exp(x − max x)` of a row. Returns the maximum, its index, and the sum of all other exponentials,
/// from which `log(1 + others)` is accurate even if the sum is small.
#[inline(always)]
pub(crate) fn exponentials<F: Real>(y: &mut [F], x: &[F]) -> (F, usize, f64) {
    const LANES: usize = 16;
    let larger = |a: F, b: F| if b > a { b } else { a };
    let mut lanes = [x[0]; LANES];
    for values in x.chunks(LANES) {
        for (lane, &x) in lanes.iter_mut().zip(values) {
            *lane = larger(*lane, x);
        }
    }
    let max = lanes.into_iter().fold(x[0], larger);
    let best = x.iter().position(|&x| x == max).unwrap_or(0);
    for (y, &x) in y.iter_mut().zip(x) {
        *y = (x - max).exp();
    }
    let first = std::mem::replace(&mut y[best], F::zero());
    let mut sums = [0.0; LANES];
    let values = y.chunks_exact(LANES);
    let rest = values.remainder();
    for values in values {
        for (sum, y) in sums.iter_mut().zip(values) {
            *sum += y.wide();
        }
    }
    let others = sums.iter().sum::<f64>() + rest.iter().map(|y| y.wide()).sum::<f64>();
    y[best] = first;
    (max, best, others)
}

impl Op for Softmax {
    fn name(&self) -> &'static str {
        if self.log { "log_softmax" } else { "softmax" }
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        if !inputs[0].dtype.is_float() {
            return Err(InvalidArgument::new("softmax is taken of floats, not of u32").fix("cast with `.to_f32()`"));
        }
        Ok(vec![inputs[0].clone()])
    }

    /// Adds the gradient: `dx = y · (dy − Σ dy·y)` for softmax, `dx = dy − softmax(x) · Σ dy` for log-softmax.
    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| {
            let dy = at.dy();
            if self.log {
                let y = at.input(0).graph().apply(Self { axis: self.axis, log: false }, &[at.input(0)]).get(0);
                &dy - y * dy.sum_keep(&[self.axis])
            } else {
                let y = at.output(0);
                let mean = (&dy * y).sum_keep(&[self.axis]);
                (dy - mean) * y
            }
        });
    }

    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        // The logarithm of a probability near 1 loses digits through cancellation.
        let cancelling = if self.log { 4.0 } else { 0.0 };
        Accuracy::new().steps(4.0).terms(inputs[0].shape.dims()[self.axis]).cancelling(cancelling)
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let [outer, classes, inner] = self.extents(&at.inputs[0].shape);
        let rows = outer * inner;
        if rows * classes == 0 {
            return;
        }
        let serial = one_thread_per_row(classes, inner, at.limits);
        let (kernel, entry) = (Kernel::new("softmax", &SOURCE).bundled(), if serial { "serial" } else { "tree" });
        at.dispatch(
            over_rows(kernel, entry, serial, rows, classes)
                .bind("x", Operand::Input(0))
                .bind("y", Operand::Output(0))
                .param("rows", rows)
                .param("classes", classes)
                .param("inner", inner)
                .constant("LOG", self.log),
        );
    }
}

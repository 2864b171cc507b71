//! Cumulative sums along an axis, of the elements or of their exponentials.

use crate::{
    Accuracy, Backward, Buffers, Dispatch, Grid, InvalidArgument, Kernel, Launch, Limits, Op, Operand, Real, Reference,
    Spec, Tensor, both,
};
use rayon::prelude::*;

use crate::op::iterations::LONGEST;
use crate::ops::axes::{extents, resolve};

/// Cumulative sums.
impl Tensor {
    /// Computes the cumulative sum along `axis`: `y[…, j, …] = Σ_{i ≤ j} x[…, i, …]`.
    ///
    /// The result has the shape of x. Records an error in the graph, which `compile` reports, if the axis does not
    /// exist or the tensor contains integers. Equivalent: `torch.cumsum`.
    #[track_caller]
    pub fn cumsum(&self, axis: isize) -> Tensor {
        match resolve(self, "cumsum", axis) {
            Ok(axis) => self.graph().apply(Cumsum { axis, reverse: false }, &[self]).get(0),
            Err(invalid) => invalid,
        }
    }

    /// Computes the logarithm of the cumulative sum of exponentials along `axis`: `log Σ_{i ≤ j} exp(x[…, i, …])`.
    ///
    /// The result has the shape of x. The exponentials do not overflow. Records an error in the graph, which
    /// `compile` reports, if the axis does not exist or the tensor contains integers. Equivalent:
    /// `torch.logcumsumexp`.
    #[track_caller]
    pub fn logcumsumexp(&self, axis: isize) -> Tensor {
        match resolve(self, "logcumsumexp", axis) {
            Ok(axis) => self.graph().apply(LogCumsumExp { axis, reverse: false }, &[self]).get(0),
            Err(invalid) => invalid,
        }
    }
}

/// Cumulative sum, starting at the end of the axis if `reverse`.
#[derive(Clone, Copy, Debug)]
struct Cumsum {
    axis: usize,
    reverse: bool,
}

impl Cumsum {
    fn run<F: Real>(self, at: Buffers<'_, F>) {
        scan(at, self.axis, self.reverse, 1 << 14, 0.0f64, |sum, term| {
            *sum += term;
            *sum
        });
    }
}

impl Op for Cumsum {
    fn name(&self) -> &'static str {
        "cumsum"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        output_like(&inputs[0])
    }

    /// Adds the gradient: the cumulative sum of dy, starting at the other end.
    fn backward(&self, at: &mut Backward) {
        let back = Self { reverse: !self.reverse, ..*self };
        at.give_with(0, |at| at.dy().graph().apply(back, &[&at.dy()]).get(0));
    }

    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().terms(inputs[0].shape.dims()[self.axis])
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
        let kernel = Kernel::new("cumsum", &[wgrad_shaders::CUMSUM]).bundled();
        launch(at, &kernel, self.axis, self.reverse, &["sums"]);
    }
}

/// Computes a running total along an axis, from its end if `reverse`. `next` adds a term to the total, which begins as
/// `start`, and returns the output. A core handles at least `work` elements.
fn scan<F: Real, T: Copy + Send + Sync>(
    mut at: Buffers<'_, F>,
    axis: usize,
    reverse: bool,
    work: usize,
    start: T,
    next: impl Fn(&mut T, f64) -> f64 + Sync,
) {
    let [_, n, inner] = extents(&at.input_spec(0).shape, axis..axis + 1);
    let (x, y) = (at.float(0), at.out(0));
    let block = (n * inner).max(1);
    y.par_chunks_mut(block).with_min_len(work / block + 1).zip(x.par_chunks(block)).for_each(|(y, x)| {
        let mut totals = vec![start; inner];
        for step in 0..n {
            let j = if reverse { n - 1 - step } else { step };
            for (k, total) in totals.iter_mut().enumerate() {
                y[j * inner + k] = F::lit(next(total, x[j * inner + k].wide()));
            }
        }
    });
}

/// Logarithm of the cumulative sum of exponentials, starting at the end of the axis if `reverse`.
#[derive(Clone, Copy, Debug)]
struct LogCumsumExp {
    axis: usize,
    reverse: bool,
}

impl LogCumsumExp {
    /// Finite replacement for log 0 = −∞, because GPUs need not support infinities. It is within the range of
    /// `f32`.
    const NOTHING: f64 = -3.0e38;

    fn run<F: Real>(self, at: Buffers<'_, F>) {
        // The total is exp(top)·sum, where top is the largest term so far.
        scan(at, self.axis, self.reverse, 1 << 12, (f64::NEG_INFINITY, 0.0f64), |(top, sum), term| {
            if term > *top {
                (*top, *sum) = (term, *sum * (*top - term).exp() + 1.0);
            } else {
                *sum += if term >= *top { 1.0 } else { (term - *top).exp() };
            }
            *top + sum.ln()
        });
    }
}

impl Op for LogCumsumExp {
    fn name(&self) -> &'static str {
        "logcumsumexp"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        output_like(&inputs[0])
    }

    /// Adds the gradient `dx[i] = Σ_{j ≥ i} dy[j]·exp(x[i] − y[j])`. The sums are computed with this op, starting
    /// at the other end and applied to the logarithms of the positive and of the negative cotangents separately,
    /// so that nothing overflows.
    fn backward(&self, at: &mut Backward) {
        let back = Self { reverse: !self.reverse, ..*self };
        at.give_with(0, |at| {
            let (x, y) = (at.input(0), at.output(0));
            let part = |dy: &Tensor| {
                let positive = dy.gt(0.0);
                let logs = positive.where_cond(positive.where_cond(dy, 1.0).log() - y, Self::NOTHING);
                (x + x.graph().apply(back, &[&logs]).get(0)).exp()
            };
            part(&at.dy()) - part(&-at.dy())
        });
    }

    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().steps(8.0).terms(inputs[0].shape.dims()[self.axis])
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
        let source = [wgrad_shaders::lib::SPECIAL, wgrad_shaders::LOGCUMSUMEXP];
        launch(at, &Kernel::new("logcumsumexp", &source).bundled(), self.axis, self.reverse, &["tops", "sums"]);
    }
}

/// Returns the type and shape of a cumulative op's output, which equal those of the input, or an error if the
/// input is not a tensor of floats.
fn output_like(input: &Spec) -> Result<Vec<Spec>, InvalidArgument> {
    if input.dtype.is_float() {
        Ok(vec![input.clone()])
    } else {
        Err(InvalidArgument::new(format!("only floats are summed, not {}", input.dtype)).fix("cast with `.to_f32()`"))
    }
}

/// Launches a cumulative op. If the axis is divided into several blocks, there are three dispatches: they compute
/// the totals of the blocks, accumulate these totals, and compute the result. `states` are the names of the
/// scratch buffers for the totals.
fn launch(at: &mut Launch<'_>, kernel: &Kernel, axis: usize, reverse: bool, states: &[&'static str]) {
    let [outer, n, inner] = extents(&at.inputs[0].shape, axis..axis + 1);
    let lines = outer * inner;
    let length = block(lines, n, at.limits);
    let blocks = n.div_ceil(length);
    let dispatch = |entry, threads| {
        Dispatch::new(kernel.clone(), entry, Grid::Threads([threads, 1, 1]))
            .param("lines", lines)
            .param("n", n)
            .param("inner", inner)
            .param("reverse", usize::from(reverse))
            .param("length", length)
            .param("blocks", blocks)
    };
    let (x, y) = (Operand::Input(0), Operand::Output(0));
    if blocks == 1 {
        at.dispatch(dispatch("forward", lines).bind("x", x).bind("y", y));
        return;
    }
    let states: Vec<_> = states.iter().map(|&name| (name, at.scratch(Spec::f32([blocks * lines])))).collect();
    let bound =
        |dispatch: Dispatch| states.iter().fold(dispatch, |dispatch, &(name, state)| dispatch.bind(name, state));
    at.dispatch(bound(dispatch("sums_of_blocks", lines * blocks).bind("x", x)));
    at.dispatch(bound(dispatch("offsets", lines)));
    at.dispatch(bound(dispatch("blocked", lines * blocks).bind("x", x)).bind("y", y));
}

/// Returns the number of elements that one thread adds: all `n` elements along the axis if there are enough slices
/// (`lines`) along the axis to keep all threads busy, else about `√n`, so that the loops of the three dispatches
/// are about equally long. On a software adapter, one slice is enough.
fn block(lines: usize, n: usize, limits: &Limits) -> usize {
    let (enough, long) = if limits.software { (1, LONGEST) } else { (4096, 4096) };
    if n <= 64 || (lines >= enough && n <= long) { n.max(1) } else { n.isqrt() + 1 }
}

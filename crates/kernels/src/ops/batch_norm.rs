//! Batch normalisation with the statistics of the batch.

use rayon::prelude::*;
use wgrad_core::{
    Backward, Buffers, Dispatch, Grid, Kernel, Launch, Misfit, Op, Operand, Real, Reference, Shape, Spec, Tensor, View,
    both,
};

use crate::bundled::bundled;

/// Normalisation over a batch.
pub trait BatchNormOps {
    /// `y = (x − mean) / sqrt(var + eps) · weight + bias` with each channel's own mean and biased variance over all
    /// axes but 1.
    ///
    /// `self` is `[N, C]` or `[N, C, L…]`; `weight` and `bias` are `[C]`, 1 and 0 if not given. Returns
    /// `(y, mean, var)`, the latter two `[C]` and meant for running statistics: no gradient flows back through them.
    /// The variance is summed around the mean, never as `E[x²] − E[x]²`. Source: `torch.nn.functional.batch_norm`.
    ///
    /// Fewer than two axes, one value per channel, and weights that are not `[C]` are errors; so is differentiating
    /// the gradient again.
    #[must_use]
    #[track_caller]
    fn batch_norm_train(&self, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> (Tensor, Tensor, Tensor);
}

impl BatchNormOps for Tensor {
    #[track_caller]
    fn batch_norm_train(&self, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> (Tensor, Tensor, Tensor) {
        let op = BatchNorm { eps };
        let applied = if weight.is_none() && bias.is_none() {
            self.graph().apply(op, &[self])
        } else {
            let channels = self.shape().dims().get(1).copied().unwrap_or(1);
            let or = |given: Option<&Tensor>, value| {
                given.cloned().unwrap_or_else(|| self.number(value).broadcast_to([channels]))
            };
            self.graph().apply(op, &[self, &or(weight, 1.0), &or(bias, 0.0)])
        };
        (applied.get(0), applied.get(1), applied.get(2))
    }
}

/// A tensor seen as `[rows, channels, inner]`.
#[derive(Clone, Copy)]
struct Layout {
    rows: usize,
    channels: usize,
    inner: usize,
}

impl Layout {
    /// Of a shape with at least two axes.
    fn of(shape: &Shape) -> Self {
        let dims = shape.dims();
        Self { rows: dims[0], channels: dims[1], inner: dims[2..].iter().product() }
    }

    /// Values per channel.
    fn count(self) -> usize {
        self.rows * self.inner
    }

    /// Elements per row, and rows that make a fair piece of work.
    fn piece(self) -> usize {
        let row = (self.channels * self.inner).max(1);
        row * ((1 << 15) / row + 1)
    }

    /// Two sums per channel of `f(x, d, stats[c])`, in an order that the shape alone decides.
    fn sums<F: Real, S: Copy + Sync>(
        self,
        x: &[F],
        d: &[F],
        stats: &[S],
        f: impl Fn(F, F, S) -> [f64; 2] + Sync,
    ) -> Vec<[f64; 2]> {
        let add = |sum: &mut [f64; 2], [a, b]: [f64; 2]| {
            sum[0] += a;
            sum[1] += b;
        };
        let row = (self.channels * self.inner).max(1);
        let pieces = x.par_chunks(self.piece()).zip(d.par_chunks(self.piece())).map(|(x, d)| {
            let mut sums = vec![[0.0; 2]; self.channels];
            for (x, d) in x.chunks_exact(row).zip(d.chunks_exact(row)) {
                if self.inner == 1 {
                    let values = x.iter().zip(d).zip(stats);
                    sums.iter_mut().zip(values).for_each(|(sum, ((&x, &d), &s))| add(sum, f(x, d, s)));
                    continue;
                }
                let values = x.chunks_exact(self.inner).zip(d.chunks_exact(self.inner)).zip(stats);
                for (sum, ((x, d), &s)) in sums.iter_mut().zip(values) {
                    x.iter().zip(d).for_each(|(&x, &d)| add(sum, f(x, d, s)));
                }
            }
            sums
        });
        let mut total = vec![[0.0; 2]; self.channels];
        for piece in pieces.collect::<Vec<_>>() {
            total.iter_mut().zip(piece).for_each(|(total, piece)| add(total, piece));
        }
        total
    }

    /// `out = f(x, d, stats[c])`.
    fn map<F: Real, S: Copy + Sync>(
        self,
        out: &mut [F],
        x: &[F],
        d: &[F],
        stats: &[S],
        f: impl Fn(F, F, S) -> F + Sync,
    ) {
        let inner = self.inner.max(1);
        let row = (self.channels * inner).max(1);
        let piece = self.piece();
        out.par_chunks_mut(piece).zip(x.par_chunks(piece)).zip(d.par_chunks(piece)).for_each(|((out, x), d)| {
            for ((out, x), d) in out.chunks_exact_mut(row).zip(x.chunks_exact(row)).zip(d.chunks_exact(row)) {
                if inner == 1 {
                    let values = x.iter().zip(d).zip(stats);
                    out.iter_mut().zip(values).for_each(|(out, ((&x, &d), &s))| *out = f(x, d, s));
                    continue;
                }
                let values = x.chunks_exact(inner).zip(d.chunks_exact(inner)).zip(stats);
                for (out, ((x, d), &s)) in out.chunks_exact_mut(inner).zip(values) {
                    out.iter_mut().zip(x).zip(d).for_each(|((out, &x), &d)| *out = f(x, d, s));
                }
            }
        });
    }

    /// A dispatch of one workgroup per block of channels.
    fn dispatch(self, kernel: Kernel, entry: &'static str, eps: f64) -> Dispatch {
        // Threads along channels where their values are neighbours in memory, else along a channel's values.
        let width = if self.inner == 1 { self.channels.next_power_of_two().min(32) } else { 1 };
        #[allow(clippy::cast_possible_truncation, reason = "kernels compute in f32")]
        let eps = eps as f32;
        Dispatch::new(kernel, entry, Grid::Groups([self.channels.div_ceil(width), 1, 1]))
            .param("channels", self.channels)
            .param("inner", self.inner)
            .param("count", self.count())
            .param("eps", eps)
            .constant("WIDTH", f64::from(u32::try_from(width).unwrap_or(1)))
    }
}

#[allow(clippy::cast_precision_loss, reason = "a number of values is far below 2^53")]
fn wide(count: usize) -> f64 {
    count as f64
}

/// x, and weight and bias or neither, to y, mean and biased variance.
#[derive(Debug)]
struct BatchNorm {
    eps: f64,
}

impl BatchNorm {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let layout = Layout::of(&at.input_spec(0).shape);
        let n = wide(layout.count());
        let (x, y, mean, var) = (at.float(0), at.out(0), at.out(1), at.out(2));
        let plain = vec![(); layout.channels];
        let means: Vec<_> = layout.sums(x, x, &plain, |x, _, ()| [x.wide(), 0.0]);
        let means: Vec<_> = means.iter().map(|[sum, _]| sum / n).collect();
        let squares = layout.sums(x, x, &means, |x, _, mean| {
            let d = x.wide() - mean;
            [d * d, 0.0]
        });
        let gain = |i: usize, c: usize, default: f64| if at.inputs() > 1 { at.float(i)[c].wide() } else { default };
        let stats: Vec<_> = (0..layout.channels)
            .map(|c| {
                let variance = squares[c][0] / n;
                mean[c] = F::lit(means[c]);
                var[c] = F::lit(variance);
                let scale = gain(1, c, 1.0) / (variance + self.eps).sqrt();
                (F::lit(means[c]), F::lit(scale), F::lit(gain(2, c, 0.0)))
            })
            .collect();
        layout.map(y, x, x, &stats, |x, _, (mean, scale, bias)| (x - mean) * scale + bias);
    }
}

impl Op for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, Misfit> {
        let x = &inputs[0];
        if !x.dtype.is_float() {
            return Err(Misfit::new("batch norm is taken of floats, not of u32").fix("cast with `.to_f32()`"));
        }
        if x.shape.rank() < 2 {
            return Err(Misfit::new(format!("expected [N, C] or [N, C, L...], got {}", x.shape))
                .fix("give a batch of rows: a single one has shape [1, C]"));
        }
        let layout = Layout::of(&x.shape);
        if layout.count() <= 1 {
            return Err(Misfit::new(format!("expected more than 1 value per channel when training, got {}", x.shape))
                .fix("drop the last, smaller batch (drop_last), or choose a batch size that leaves no single row")
                .fix("evaluate the model in Mode::Evaluate, which uses the running statistics"));
        }
        let channels = Shape::from([layout.channels]);
        for (spec, name) in inputs[1..].iter().zip(["weight", "bias"]) {
            if *spec != Spec::f32(channels.clone()) {
                return Err(Misfit::new(format!("{name} must be f32{channels}, one per channel of {x}, not {spec}"))
                    .fix(format!("the norm was made for another number of channels than {}", layout.channels)));
            }
        }
        Ok(vec![x.clone(), Spec::f32(channels.clone()), Spec::f32(channels)])
    }

    fn backward(&self, at: &mut Backward) {
        let Some(dy) = at.cotangent(0) else { return };
        let (mean, var) = (at.output(1).clone(), at.output(2).clone());
        let mut inputs = vec![&dy, at.input(0), &mean, &var];
        inputs.extend((at.inputs() > 1).then(|| at.input(1)));
        let applied = dy.graph().apply(BatchNormBackward { eps: self.eps }, &inputs);
        at.give(0, applied.get(0));
        for input in 1..at.inputs() {
            at.give_with(input, |_| dy.graph().apply(Row { index: input - 1 }, &[&applied.get(1)]).get(0));
        }
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let layout = Layout::of(&at.inputs[0].shape);
        if layout.channels == 0 {
            return;
        }
        let kernel = bundled(Kernel::new("batch_norm", &[include_str!("../../../../shaders/batch_norm.wgsl")]));
        let scaled = at.inputs.len() > 1;
        let mut dispatch = layout
            .dispatch(kernel, if scaled { "forward" } else { "forward_plain" }, self.eps)
            .bind("x", Operand::Input(0))
            .bind("y", Operand::Output(0))
            .bind("mean", Operand::Output(1))
            .bind("variance", Operand::Output(2));
        if scaled {
            dispatch = dispatch.bind("weight", Operand::Input(1)).bind("bias", Operand::Input(2));
        }
        at.dispatch(dispatch);
    }
}

/// dy, x, mean, variance and maybe weight to dx and `[2, C]`, the gradients of weight and bias.
#[derive(Debug)]
struct BatchNormBackward {
    eps: f64,
}

fn twice() -> Misfit {
    Misfit::new("the gradient of batch_norm cannot be differentiated again")
        .fix("for second derivatives compose the norm from means, or evaluate it with running statistics")
}

impl BatchNormBackward {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let layout = Layout::of(&at.input_spec(1).shape);
        let n = wide(layout.count());
        let (dy, x, mean, var) = (at.float(0), at.float(1), at.float(2), at.float(3));
        let (dx, dweights) = (at.out(0), at.out(1));
        let r = |c: usize| 1.0 / (var[c].wide() + self.eps).sqrt();
        let stats: Vec<_> = (0..layout.channels).map(|c| (mean[c].wide(), r(c))).collect();
        let sums = layout.sums(x, dy, &stats, |x, dy, (mean, r)| {
            let dy = dy.wide();
            [dy * ((x.wide() - mean) * r), dy]
        });
        let stats: Vec<_> = (0..layout.channels)
            .map(|c| {
                let [dw, db] = sums[c];
                (dweights[c], dweights[layout.channels + c]) = (F::lit(dw), F::lit(db));
                let gain = if at.inputs() > 4 { at.float(4)[c].wide() } else { 1.0 };
                [mean[c], F::lit(r(c)), F::lit(gain * r(c)), F::lit(db / n), F::lit(dw / n)]
            })
            .collect();
        layout.map(dx, x, dy, &stats, |x, dy, [mean, r, gain, db, dw]| gain * (dy - (db + (x - mean) * r * dw)));
    }
}

impl Op for BatchNormBackward {
    fn name(&self) -> &'static str {
        "batch_norm_backward"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, Misfit> {
        Ok(vec![inputs[1].clone(), Spec::f32([2, Layout::of(&inputs[1].shape).channels])])
    }

    fn backward(&self, at: &mut Backward) {
        let _ = at.input(0).misfit(self.name(), &[], twice());
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let layout = Layout::of(&at.inputs[1].shape);
        if layout.channels == 0 {
            return;
        }
        let kernel = bundled(Kernel::new(
            "batch_norm_backward",
            &[include_str!("../../../../shaders/batch_norm_backward.wgsl")],
        ));
        let scaled = at.inputs.len() > 4;
        let mut dispatch = layout
            .dispatch(kernel, if scaled { "backward" } else { "backward_plain" }, self.eps)
            .bind("dy", Operand::Input(0))
            .bind("x", Operand::Input(1))
            .bind("mean", Operand::Input(2))
            .bind("variance", Operand::Input(3))
            .bind("dx", Operand::Output(0))
            .bind("dweights", Operand::Output(1));
        if scaled {
            dispatch = dispatch.bind("weight", Operand::Input(4));
        }
        at.dispatch(dispatch);
    }
}

/// One row of a matrix, as a view.
#[derive(Debug)]
struct Row {
    index: usize,
}

impl Op for Row {
    fn name(&self) -> &'static str {
        "row"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, Misfit> {
        Ok(vec![Spec::f32([inputs[0].shape.dims()[1]])])
    }

    fn backward(&self, at: &mut Backward) {
        let _ = at.input(0).misfit("batch_norm_backward", &[], twice());
    }

    fn view(&self, of: &View) -> Option<View> {
        let offset = of.offset + self.index * of.strides[0];
        Some(View { shape: [of.shape.dims()[1]].into(), strides: vec![of.strides[1]], offset })
    }
}

//! Batch normalisation with the statistics of the batch.

use crate::{
    Accuracy, Backward, Buffers, Dispatch, Grid, InvalidArgument, Kernel, Launch, Limits, Op, Operand, Real, Reference,
    Shape, Spec, Tensor, both,
};

use crate::host::cast::{single, wide};
use crate::op::iterations::per_thread;
use crate::ops::norm::channels::Channels;

/// Batch normalisation.
impl Tensor {
    /// Applies batch normalisation with the statistics of the batch:
    /// `y = (x − mean) / √(var + eps) · weight + bias`.
    ///
    /// The mean and the biased variance of each channel are computed over all axes except axis 1. `self` is
    /// `[N, C]` or `[N, C, L…]`; `weight` and `bias` are `[C]` and default to 1 and 0. PyTorch's default `eps` is
    /// 1e-5. Returns `(y, mean, var)`; `mean` and `var` are `[C]`, are meant for running statistics, and have no
    /// gradient. The variance is the mean of `(x − mean)²`, never `E[x²] − E[x]²`, which cancels.
    ///
    /// A bias that is added to x before the norm has no effect, because the mean is subtracted. Its gradient is
    /// the constant 0 and costs nothing; PyTorch returns a sum of rounding errors instead.
    ///
    /// Records an error in the graph, which `compile` reports, if the tensor has fewer than two axes or a single
    /// value per channel, a parameter is not `[C]`, or the gradient is differentiated again. Equivalent:
    /// `torch.nn.functional.batch_norm`.
    #[track_caller]
    pub fn batch_norm_train(
        &self,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> (Tensor, Tensor, Tensor) {
        let op = BatchNorm { eps };
        let applied = if weight.is_none() && bias.is_none() {
            self.graph().apply(op, &[self])
        } else {
            let channels = self.shape().dims().get(1).copied().unwrap_or(1);
            let or =
                |given: Option<&Tensor>, value| given.cloned().unwrap_or_else(|| self.number(value).expand([channels]));
            self.graph().apply(op, &[self, &or(weight, 1.0), &or(bias, 0.0)])
        };
        (applied.get(0), applied.get(1), applied.get(2))
    }
}

/// Kernel variant of a batch norm. The sums over a channel are computed by single threads (serial) or by
/// workgroups (tree reduction), and may be split into parts.
struct Variant {
    layout: Channels,
    /// True if each thread works alone, without workgroup memory and barriers.
    serial: bool,
    /// True if the four vector lanes of a serial thread process values of one channel, not of four channels.
    along: bool,
    /// True if the values of the four lanes are neighbours in memory, so that one load reads all four.
    four: bool,
    /// Channels per workgroup.
    width: usize,
    /// Number of threads (serial) or workgroups (tree) per part, which together cover all channels.
    columns: usize,
    /// Number of parts into which each channel is split.
    parts: usize,
    /// Length of a part of a channel: in groups of four values if `along` is true, else in values.
    length: usize,
}

impl Variant {
    fn choose(layout: Channels, limits: &Limits) -> Self {
        let Channels { channels, inner, .. } = layout;
        let count = layout.count();
        if limits.software {
            let along = inner % 4 == 0;
            let four = along || (inner == 1 && channels % 4 == 0);
            let (columns, values) = if along { (channels, count / 4) } else { (channels.div_ceil(4), count) };
            let length = per_thread(values * columns, 2048);
            let length = values.div_ceil(values.div_ceil(length));
            return Self {
                layout,
                serial: true,
                along,
                four,
                width: 1,
                columns,
                parts: values.div_ceil(length),
                length,
            };
        }
        // Neighbouring threads process neighbouring channels if these are neighbours in memory, else values of one
        // channel.
        let width = if inner == 1 { channels.next_power_of_two().min(32) } else { 1 };
        let columns = channels.div_ceil(width);
        // One workgroup processes all values of its channels, unless there are too many.
        let length = if count <= 4096 { count } else { count.div_ceil(128).max(16 * 256 / width) };
        let parts = count.div_ceil(length);
        Self { layout, serial: false, along: false, four: false, width, columns, parts, length }
    }

    /// Allocates scratch space: `own` numbers per channel and part, and `shared` numbers per channel.
    fn scratch(&self, at: &mut Launch<'_>, own: usize, shared: usize) -> Operand {
        let lanes = if self.serial { 4 * self.columns } else { self.layout.channels };
        at.scratch(Spec::f32([(own * self.parts + shared) * lanes]))
    }

    /// Returns a dispatch of the serial kernel or the tree kernel.
    fn dispatch(&self, kernels: &[Kernel; 2], entry: &'static str, eps: f64, scaled: bool) -> Dispatch {
        let Channels { channels, inner, .. } = self.layout;
        let number = self.columns * self.parts;
        let launch = |kernel: &Kernel, grid| {
            Dispatch::new(kernel.clone(), entry, grid)
                .param("channels", channels)
                .param("inner", inner)
                .param("count", self.layout.count())
                .param("parts", self.parts)
                .param("length", self.length)
                .param("scaled", u32::from(scaled))
                .param("eps", single(eps))
        };
        if self.serial {
            launch(&kernels[1], Grid::Threads([number, 1, 1]))
                .param("columns", self.columns)
                .constant("ALONG", self.along)
                .constant("FOUR", self.four)
        } else {
            launch(&kernels[0], Grid::Groups([number, 1, 1])).constant("WIDTH", self.width)
        }
    }
}

const FORWARD: [&str; 3] =
    [wgrad_shaders::lib::BATCH_NORM_FORWARD, wgrad_shaders::BATCH_NORM, wgrad_shaders::BATCH_NORM_SERIAL];
const BACKWARD: [&str; 3] = [
    wgrad_shaders::lib::BATCH_NORM_GRADIENTS,
    wgrad_shaders::BATCH_NORM_BACKWARD,
    wgrad_shaders::BATCH_NORM_BACKWARD_SERIAL,
];

/// Returns the tree kernel and the serial kernel for the forward or the backward pass.
fn kernels(names: [&'static str; 2], [stores, sources @ ..]: [&'static str; 3]) -> [Kernel; 2] {
    let tasks = [wgrad_shaders::lib::BATCH_NORM, wgrad_shaders::lib::BATCH_NORM_SERIAL];
    let parts = |i: usize| [wgrad_shaders::lib::CHANNELS, tasks[i], stores, sources[i]];
    [0, 1].map(|i| Kernel::new(names[i], &parts(i)).bundled())
}

/// Batch norm. Inputs: x, optionally weight and bias. Outputs: y, mean and biased variance.
#[derive(Debug)]
struct BatchNorm {
    eps: f64,
}

impl BatchNorm {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let layout = Channels::of(&at.input_spec(0).shape);
        let n = wide(layout.count());
        let (x, y, mean, var) = (at.float(0), at.out(0), at.out(1), at.out(2));
        let plain = vec![F::zero(); layout.channels];
        let [sums] = layout.sums(
            [x, x],
            &plain,
            #[inline(always)]
            |x, _, _| [x],
        );
        mean.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = F::lit(sum / n));
        // The mean above is rounded. Its rounding error, `off` below, is the mean of the differences from it, and
        // is used to correct the mean and the variance.
        let [rest, squares] = layout.sums(
            [x, x],
            mean,
            #[inline(always)]
            |x, _, mean| [x - mean, (x - mean) * (x - mean)],
        );
        let gain = |i: usize, c: usize, default: f64| if at.inputs() > 1 { at.float(i)[c].wide() } else { default };
        let (mut scale, mut shift) = (plain.clone(), plain);
        for c in 0..layout.channels {
            let off = rest[c] / n;
            let variance = squares[c] / n - off * off;
            let variance = if variance < 0.0 { 0.0 } else { variance };
            mean[c] = F::lit(mean[c].wide() + off);
            var[c] = F::lit(variance);
            scale[c] = F::lit(gain(1, c, 1.0) / (variance + self.eps).sqrt());
            shift[c] = F::lit(gain(2, c, 0.0));
        }
        let numbers = [mean.to_vec(), scale, shift];
        layout.map(
            y,
            [x, x],
            &numbers,
            #[inline(always)]
            |x, _, [mean, scale, shift]| (x - mean) * scale + shift,
        );
    }
}

impl Op for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        let x = &inputs[0];
        if !x.dtype.is_float() {
            return Err(InvalidArgument::new("batch norm is taken of floats, not of u32").fix("cast with `.to_f32()`"));
        }
        if x.shape.rank() < 2 {
            return Err(InvalidArgument::new(format!("expected [N, C] or [N, C, L...], got {}", x.shape))
                .fix("give a batch of rows: a single one has shape [1, C]"));
        }
        let layout = Channels::of(&x.shape);
        if layout.count() <= 1 {
            return Err(InvalidArgument::new(format!(
                "expected more than 1 value per channel when training, got {}",
                x.shape
            ))
            .fix("drop the last, smaller batch (drop_last), or choose a batch size that leaves no single row")
            .fix("evaluate the model in Mode::Evaluate, which uses the running statistics"));
        }
        let channels = Shape::from([layout.channels]);
        for (spec, name) in inputs[1..].iter().zip(["weight", "bias"]) {
            if *spec != Spec::f32(channels.clone()) {
                return Err(InvalidArgument::new(format!(
                    "{name} must be f32{channels}, one per channel of {x}, not {spec}"
                ))
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
        for input in 0..at.inputs() {
            at.give(input, applied.get(input));
        }
    }

    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        // Two nearly equal values are normalised to ±1, although their differences from the mean lose digits.
        Accuracy::new().steps(2.0).terms(Channels::of(&inputs[0].shape).count()).ulp(8.0).cancelling(4.0)
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0, 1, 2]
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let layout = Channels::of(&at.inputs[0].shape);
        if layout.channels == 0 {
            return;
        }
        let variant = Variant::choose(layout, at.limits);
        let scaled = at.inputs.len() > 1;
        // Without weights this binding is never read, so any buffer fits.
        let [weight, bias] = if scaled { [1, 2] } else { [0, 0] }.map(Operand::Input);
        let kernels = kernels(["batch_norm", "batch_norm_serial"], FORWARD);
        let launch = |entry| variant.dispatch(&kernels, entry, self.eps, scaled).bind("x", Operand::Input(0));
        let last = |dispatch: Dispatch| {
            dispatch
                .bind("weight", weight)
                .bind("bias", bias)
                .bind("y", Operand::Output(0))
                .bind("mean", Operand::Output(1))
                .bind("variance", Operand::Output(2))
        };
        if variant.parts == 1 {
            at.dispatch(last(launch("forward")));
        } else {
            let partials = variant.scratch(at, 2, 0);
            at.dispatch(launch("partial").bind("partials", partials));
            at.dispatch(last(launch("finish")).bind("partials", partials));
        }
    }
}

/// Gradient of [`BatchNorm`]. Inputs: dy, x, mean, variance, optionally weight. Outputs: dx, dweight, dbias.
#[derive(Debug)]
struct BatchNormBackward {
    eps: f64,
}

impl BatchNormBackward {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let layout = Channels::of(&at.input_spec(1).shape);
        let n = wide(layout.count());
        let (dy, x, mean, var) = (at.float(0), at.float(1), at.float(2), at.float(3));
        let (dx, dweight, dbias) = (at.out(0), at.out(1), at.out(2));
        let [scaled, plain] = layout.sums(
            [x, dy],
            mean,
            #[inline(always)]
            |x, dy, mean| [dy * (x - mean), dy],
        );
        let mut numbers = [mean.to_vec(), mean.to_vec(), mean.to_vec(), mean.to_vec()];
        for c in 0..layout.channels {
            let r = 1.0 / (var[c].wide() + self.eps).sqrt();
            let gain = if at.inputs() > 4 { at.float(4)[c].wide() } else { 1.0 };
            (dweight[c], dbias[c]) = (F::lit(scaled[c] * r), F::lit(plain[c]));
            numbers[1][c] = F::lit(gain * r);
            numbers[2][c] = F::lit(plain[c] / n);
            numbers[3][c] = F::lit(scaled[c] * r * r / n);
        }
        layout.map(
            dx,
            [x, dy],
            &numbers,
            #[inline(always)]
            |x, dy, [mean, gain, shift, factor]| gain * (dy - (shift + (x - mean) * factor)),
        );
    }
}

impl Op for BatchNormBackward {
    fn name(&self) -> &'static str {
        "batch_norm_backward"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        let channels = [Channels::of(&inputs[1].shape).channels];
        Ok(vec![inputs[1].clone(), Spec::f32(channels), Spec::f32(channels)])
    }

    fn backward(&self, at: &mut Backward) {
        let invalid = InvalidArgument::new("the gradient of batch_norm cannot be differentiated again")
            .fix("for second derivatives compose the norm from means, or evaluate it with running statistics");
        let _ = at.input(0).invalid(self.name(), &[], invalid);
    }

    /// Returns true for sums of dx over all `n` values of a channel, because they are always 0. With
    /// `r = 1 / √(var + eps)` and `x̂ = (x − mean)·r`, the sum is `weight·r·(Σ dy − Σ dy − dweight/n·Σ x̂)`, where
    /// `Σ x̂ = 0`.
    fn vanishes(&self, output: usize, of: &Shape, axes: &[usize]) -> bool {
        let whole = |axis: usize| axes.contains(&axis) || of.dims()[axis] == 1;
        output == 0 && (0..of.rank()).all(|axis| axis == 1 || whole(axis))
    }

    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().steps(2.0).terms(Channels::of(&inputs[0].shape).count()).ulp(8.0)
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0, 1, 2]
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let layout = Channels::of(&at.inputs[1].shape);
        if layout.channels == 0 {
            return;
        }
        let variant = Variant::choose(layout, at.limits);
        let scaled = at.inputs.len() > 4;
        let kernels = kernels(["batch_norm_backward", "batch_norm_backward_serial"], BACKWARD);
        let launch = |entry| {
            let dispatch = variant.dispatch(&kernels, entry, self.eps, scaled);
            dispatch.bind("dy", Operand::Input(0)).bind("x", Operand::Input(1))
        };
        let first = |dispatch: Dispatch| {
            dispatch
                .bind("mean", Operand::Input(2))
                .bind("variance", Operand::Input(3))
                // Without weights this binding is never read, so any buffer fits.
                .bind("weight", Operand::Input(if scaled { 4 } else { 2 }))
        };
        let last = |dispatch: Dispatch| {
            dispatch
                .bind("dx", Operand::Output(0))
                .bind("dweight", Operand::Output(1))
                .bind("dbias", Operand::Output(2))
        };
        if variant.parts == 1 {
            at.dispatch(last(first(launch("backward"))));
        } else {
            let partials = variant.scratch(at, 2, 4);
            at.dispatch(first(launch("partial")).bind("partials", partials));
            at.dispatch(last(launch("finish")).bind("partials", partials));
        }
    }
}

//! Batch norm: normalizes each channel over the batch to mean 0 and variance 1.

use std::panic::Location;

use wgrad_core::{Counter, DType, Graph, Init, InvalidArgument, Kind, Mode, Params, Tensor, Variable};

options! {
    /// Options of a [`BatchNorm`].
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct BatchNormOptions {
        /// Number added to the variance. Default: 1e−5.
        eps: f64 = 1e-5,
        /// Weight of the current batch when the running statistics are updated. With `None`, the running
        /// statistics are the average over all batches. Default: 0.1.
        momentum: Option<f64> as Option<f64> = Some(0.1),
        /// If `false`, the layer has no weight and no bias. Default: `true`.
        affine: bool = true,
        /// If `false`, an affine layer has no bias. Default: `true`.
        bias: bool = true,
        /// If `false`, the layer has no running statistics, and evaluation uses the statistics of the batch.
        /// Default: `true`.
        track_running_stats: bool = true,
    }
}

#[derive(Clone, Debug)]
struct Running {
    mean: Variable,
    var: Variable,
    batches: Counter,
}

/// Batch norm over `[N, C]` or `[N, C, L]`: `y = (x − mean) / √(var + eps) · weight + bias` per channel; PyTorch's
/// `BatchNorm1d`.
///
/// In training, the layer normalizes with the mean and the biased variance of the batch, and updates the running
/// statistics with the mean and the unbiased variance. In evaluation, it normalizes with the running statistics.
/// If the layer is called several times in a training step, each call updates the statistics, in the order of the
/// calls.
///
/// A layer whose parameters are all frozen ([`Params::set_trainable`]) also normalizes with the running statistics
/// in training and does not update them, as in Keras. In PyTorch, `requires_grad = False` does not stop these
/// updates; `bn.eval()` does.
///
/// Variables, as in PyTorch: `weight` (initially 1), `bias` (0), `running_mean` (0) and `running_var` (1), all of
/// shape `[C]`, and the counter `num_batches_tracked`.
///
/// Ioffe, Szegedy: "Batch normalization: accelerating deep network training by reducing internal covariate shift",
/// 2015.
///
/// ```
/// use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::{Module, layers::BatchNorm1d};
/// let params = Params::seeded(0);
/// let norm = BatchNorm1d::new(&params.at("bn"), 2);
/// let graph = Graph::new(Mode::Train);
/// let x = graph.input("x", [2, 2], DType::F32);
/// let y = norm.forward(&x);
/// let mut session = Session::new(CpuBackend::<f64>::new(), &params)?;
/// let step = session.compile(&graph, &[&y])?;
/// session.run(&step, &[(&x, &Array::new([2, 2], vec![1.0f32, 2.0, 3.0, 6.0])?)])?;
/// session.sync()?;
/// let var = params.get("bn.running_var")?.value()?.to_f32();
/// assert_eq!(var, [1.1, 1.7]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
pub type BatchNorm1d = BatchNorm<1>;

/// Batch norm of images `[N, C, H, W]`, with the mean and variance of each channel over all pixels of the batch;
/// PyTorch's `BatchNorm2d`. See [`BatchNorm1d`].
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::{Module, layers::BatchNorm2d};
/// let norm = BatchNorm2d::new(&Params::seeded(0).at("bn"), 3);
/// let graph = Graph::new(Mode::Train);
/// let y = norm.forward(&graph.input("x", [8, 3, 28, 28], DType::F32));
/// assert_eq!(y.shape().dims(), [8, 3, 28, 28]);
/// ```
pub type BatchNorm2d = BatchNorm<2>;

/// Batch norm of data with `D` spatial axes: [`BatchNorm1d`] or [`BatchNorm2d`].
#[derive(Clone, Debug)]
pub struct BatchNorm<const D: usize> {
    scope: String,
    channels: usize,
    options: BatchNormOptions,
    weight: Option<Variable>,
    bias: Option<Variable>,
    running: Option<Running>,
}

impl<const D: usize> BatchNorm<D> {
    /// Creates a layer for `channels` channels. Its variables are declared in `params`.
    #[track_caller]
    pub fn new(params: &Params, channels: usize) -> Self {
        Self::with(params, channels, BatchNormOptions::new())
    }

    /// Creates a layer with options.
    #[track_caller]
    pub fn with(params: &Params, channels: usize, options: BatchNormOptions) -> Self {
        let (mut weight, mut bias, mut running) = (None, None, None);
        if options.affine {
            weight = Some(params.variable("weight", [channels], Kind::Parameter, Init::Constant(1.0)));
            if options.bias {
                bias = Some(params.variable("bias", [channels], Kind::Parameter, Init::Constant(0.0)));
            }
        }
        if options.track_running_stats {
            running = Some(Running {
                mean: params.variable("running_mean", [channels], Kind::Buffer, Init::Constant(0.0)),
                var: params.variable("running_var", [channels], Kind::Buffer, Init::Constant(1.0)),
                batches: params.counter("num_batches_tracked"),
            });
        }
        Self { scope: params.path().into(), channels, options, weight, bias, running }
    }

    /// Returns the weight `[C]`, or `None` if the layer is not affine.
    pub fn weight(&self) -> Option<&Variable> {
        self.weight.as_ref()
    }

    /// Returns the bias `[C]`, or `None` if the layer has no bias.
    pub fn bias(&self) -> Option<&Variable> {
        self.bias.as_ref()
    }

    fn invalid(&self, x: &Tensor, shapes: &str, ranks: &[usize]) -> Option<InvalidArgument> {
        let (shape, channels) = (x.shape(), self.channels);
        let BatchNormOptions { eps, momentum, .. } = self.options;
        if !(eps.is_finite() && eps >= 0.0) {
            return Some(InvalidArgument::new(format!("eps must be a number that is not negative, not {eps}")));
        }
        if let Some(momentum) = momentum.filter(|momentum| !momentum.is_finite()) {
            return Some(
                InvalidArgument::new(format!("momentum must be a number, not {momentum}"))
                    .fix("use None for the average over all batches"),
            );
        }
        if !ranks.contains(&shape.rank()) {
            let shapes = shapes.replace('C', &channels.to_string());
            return Some(
                InvalidArgument::new(format!("expected {shapes}, not {shape}"))
                    .fix("the first axis is the batch, the second the channels; reshape, or flatten with `Flatten`"),
            );
        }
        let found = shape.dims()[1];
        (found != channels).then(|| {
            InvalidArgument::new(format!("axis 1 of {shape} has {found} channels, the layer has {channels}"))
                .fix(format!("make the layer with {found} channels, or the layer before it with {channels} outputs"))
        })
    }

    /// Returns the result of the function `of`, called with the weight that the current batch has in the updated
    /// running statistics.
    fn weight_of_batch(
        &self,
        graph: &Graph,
        batches: &Counter,
        of: impl Fn(f64) -> f64 + Send + Sync + 'static,
    ) -> Tensor {
        if let Some(momentum) = self.options.momentum {
            return graph.constant(of(momentum));
        }
        // Each earlier call of the layer in the same training step counts as a batch.
        let (batches, before) = (batches.clone(), graph.advances(batches) as u64);
        let weight = move || of(1.0 / (batches.get() + before + 1) as f64);
        graph.scheduled(format!("{}.momentum", self.scope), DType::F32, weight)
    }

    fn track(&self, x: &Tensor, running: &Running, mean: &Tensor, var: &Tensor) {
        let graph = x.graph();
        if !mean.is_valid() {
            return;
        }
        let n = (x.shape().numel() / self.channels.max(1)) as f64;
        let keep = self.weight_of_batch(graph, &running.batches, |weight| 1.0 - weight);
        let update = |variable: &Variable, new: &Tensor, weight: &Tensor| {
            graph.update(variable, &(graph.latest(variable) * &keep + new * weight));
        };
        update(&running.mean, mean, &self.weight_of_batch(graph, &running.batches, |weight| weight));
        update(&running.var, var, &self.weight_of_batch(graph, &running.batches, move |weight| weight * n / (n - 1.0)));
        graph.advance_again(&running.batches);
    }

    /// Normalizes `x` with the running statistics.
    fn evaluate(&self, x: &Tensor, running: &Running) -> Tensor {
        let graph = x.graph();
        let mut shape = vec![1; x.shape().rank() - 1];
        shape[0] = self.channels;
        let at = |variable: &Variable| graph.variable(variable).reshape(shape.clone());
        let mut scale = (at(&running.var) + self.options.eps).rsqrt();
        if let Some(weight) = &self.weight {
            scale = scale * at(weight);
        }
        let y = (x - at(&running.mean)) * scale;
        match &self.bias {
            Some(bias) => y + at(bias),
            None => y,
        }
    }

    /// Returns whether the layer has parameters and all of them are frozen.
    fn is_frozen(&self) -> bool {
        let mut parameters = self.weight.iter().chain(&self.bias).peekable();
        parameters.peek().is_some() && parameters.all(|parameter| !parameter.is_trainable())
    }

    /// Traces the layer for an input whose rank must be in `ranks`; the error message for other ranks contains
    /// `shapes`, a description of the permitted shapes.
    #[track_caller]
    fn trace(&self, x: &Tensor, shapes: &str, ranks: &[usize]) -> Tensor {
        let graph = x.graph();
        // The scope records the caller's source line, because `track_caller` does not reach into closures.
        let _scope = graph.scope_of_library(&self.scope, Location::caller(), crate::source());
        if let Some(invalid) = self.invalid(x, shapes, ranks) {
            return x.invalid("batch_norm", &[], invalid);
        }
        match &self.running {
            Some(running) if graph.mode() == Mode::Evaluate || self.is_frozen() => self.evaluate(x, running),
            running => {
                let weight = self.weight.as_ref().map(|weight| graph.variable(weight));
                let bias = self.bias.as_ref().map(|bias| graph.variable(bias));
                let (y, mean, var) = x.batch_norm_train(weight.as_ref(), bias.as_ref(), self.options.eps);
                if let (Some(running), Mode::Train) = (running, graph.mode()) {
                    self.track(x, running, &mean, &var);
                }
                y
            }
        }
    }
}

module!(BatchNorm<1>, |norm, x| norm.trace(x, "[N, C] or [N, C, L]", &[2, 3]));
module!(BatchNorm<2>, |norm, x| norm.trace(x, "[N, C, H, W]", &[4]));

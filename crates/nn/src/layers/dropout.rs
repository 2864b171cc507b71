//! Dropout of elements and dropout of entire channels.

use std::panic::Location;

use wgrad_core::{Counter, DType, InvalidArgument, Mode, Params, Tensor};

use crate::Module;

/// Dropout of elements: in training, sets each element to 0 with probability `p` and multiplies the others by
/// `1 / (1 − p)`; in evaluation, returns the input unchanged; PyTorch's `Dropout`.
///
/// The random numbers are a function of the [`Params`] seed, the layer's scope, the number of the layer call
/// within the graph, the number of training steps so far, and the element's position. So a training step draws the
/// same numbers on every device. Layers in the same scope draw the same numbers, so each layer needs its own
/// scope.
///
/// Hinton et al.: "Improving neural networks by preventing co-adaptation of feature detectors", 2012.
#[derive(Clone, Debug)]
pub struct Dropout {
    scope: String,
    p: f64,
    key: [u32; 2],
    step: Counter,
}

impl Dropout {
    /// Creates a dropout layer with probability `p`, in the scope of `params`. PyTorch's default is 0.5.
    pub fn new(params: &Params, p: f64) -> Self {
        let seed = params.seed();
        // Counters whose name begins with `@` are not part of the state dict.
        let step = params.counter("@step");
        Self { scope: params.path().into(), p, key: [seed as u32, (seed >> 32) as u32], step }
    }

    /// Returns a hash of the layer's scope and the number of this call, so that each dropout call in the graph
    /// draws different random numbers.
    fn call_key(&self, x: &Tensor, schedule: &str) -> u32 {
        // Each call that draws random numbers adds a step number with the name `schedule` to the graph, which the
        // host computes before each run. The count of these numbers is the number of earlier calls.
        let earlier = x.graph().scheduled_as(schedule);
        let name = format!("{}#{earlier}", self.scope);
        // This is the 32-bit FNV-1a hash.
        name.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }
}

module!(Dropout, |dropout, x| {
    let graph = x.graph();
    let _scope = graph.scope(&dropout.scope);
    if graph.mode() == Mode::Evaluate && (0.0..=1.0).contains(&dropout.p) {
        return x.clone();
    }
    if graph.mode() == Mode::Train {
        graph.advance(&dropout.step);
    }
    if dropout.p == 0.0 {
        return x.clone();
    }
    let name = format!("{}.@step", dropout.scope);
    let key = dropout.call_key(x, &name);
    let counter = dropout.step.clone();
    let step = graph.scheduled(name, DType::U32, move || counter.get() as f64);
    x.dropout(dropout.p, dropout.key, key, &step)
});

/// Dropout of channels of sequences, `[N, C, L]` or `[C, L]`: in training, sets each channel to 0 with probability
/// `p` and multiplies the others by `1 / (1 − p)`; in evaluation, returns the input unchanged; PyTorch's
/// `Dropout1d`.
///
/// This layer draws one random number per channel; see [`Dropout`] for what the random numbers depend on.
///
/// ```
/// use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::{Module, layers::Dropout1d};
/// let params = Params::seeded(7);
/// let graph = Graph::new(Mode::Train);
/// let x = graph.input("x", [4, 8, 3], DType::F32);
/// let y = Dropout1d::new(&params.at("drop"), 0.5).forward(&x);
/// let mut session = Session::new(CpuBackend::<f32>::new(), &params)?;
/// let step = session.compile(&graph, &[&y])?;
/// let y = session.run(&step, &[(&x, &Array::full([4, 8, 3], 1f32))])?[0].to_f32();
/// assert!(y.chunks(3).all(|channel| channel == [0.0; 3] || channel == [2.0; 3]));
/// # Ok::<(), wgrad_core::Error>(())
/// ```
pub type Dropout1d = ChannelDropout<1>;

/// Dropout of channels of images, `[N, C, H, W]`; PyTorch's `Dropout2d`. See [`Dropout1d`].
///
/// An input with three axes is treated as `[N, C, L]`, as in PyTorch 2.15. PyTorch warns that this may change, so
/// use [`Dropout1d`] for sequences.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::{Module, layers::Dropout2d};
/// let dropout = Dropout2d::new(&Params::seeded(7).at("drop"), 0.2);
/// let graph = Graph::new(Mode::Train);
/// let y = dropout.forward(&graph.input("x", [8, 16, 5, 5], DType::F32));
/// assert_eq!(y.shape().dims(), [8, 16, 5, 5]);
/// ```
pub type Dropout2d = ChannelDropout<2>;

/// Dropout of channels with `D` spatial axes: [`Dropout1d`] or [`Dropout2d`].
#[derive(Clone, Debug)]
pub struct ChannelDropout<const D: usize>(Dropout);

impl<const D: usize> ChannelDropout<D> {
    /// Creates a dropout of channels with probability `p`, in the scope of `params`. PyTorch's default is 0.5.
    pub fn new(params: &Params, p: f64) -> Self {
        Self(Dropout::new(params, p))
    }

    /// Traces the op `name`. `ranks` lists the permitted ranks, each with the axis of the channels. The error
    /// message for other ranks contains `shapes`, a description of the permitted shapes.
    #[track_caller]
    fn trace(&self, x: &Tensor, name: &str, shapes: &str, ranks: &[(usize, usize)]) -> Tensor {
        if !x.is_valid() {
            return x.clone();
        }
        let _scope = x.graph().scope_of_library(&self.0.scope, Location::caller(), crate::source());
        let shape = x.shape();
        let Some(&(_, axis)) = ranks.iter().find(|(rank, _)| *rank == shape.rank()) else {
            let invalid = InvalidArgument::new(format!("expected {shapes}, not {shape}"))
                .fix("for single elements use `Dropout`");
            return x.invalid(name, &[], invalid);
        };
        if x.graph().mode() == Mode::Evaluate && (0.0..=1.0).contains(&self.0.p) {
            return x.clone();
        }
        // The mask has one number per channel; axes after the channels have size 1.
        let mut channels = shape.dims().to_vec();
        channels[axis + 1..].fill(1);
        x * self.0.forward(&x.number(1.0).expand(channels))
    }
}

module!(ChannelDropout<1>, |dropout, x| dropout.trace(x, "dropout1d", "[N, C, L] or [C, L]", &[(2, 0), (3, 1)]));
module!(ChannelDropout<2>, |dropout, x| dropout.trace(x, "dropout2d", "[N, C, H, W]", &[(3, 1), (4, 1)]));

/// Dropout that keeps the mean and variance of a SELU network's activations: in training, sets each element to
/// `−λα` with probability `p`, then computes `a·x + b`, which restores mean 0 and variance 1; in evaluation,
/// returns the input unchanged; PyTorch's `AlphaDropout`.
///
/// Here `λ` and `α` are SELU's constants, `α' = −λα ≈ −1.758`, `a = ((1 − p)·(1 + p·α'²))^(−1/2)` and
/// `b = −a·p·α'`. For `p = 1` the result is 0. Random numbers are drawn as in [`Dropout`].
///
/// Klambauer et al.: "Self-normalizing neural networks", 2017.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::{Module, layers::AlphaDropout};
/// let dropout = AlphaDropout::new(&Params::seeded(7).at("drop"), 0.1);
/// let graph = Graph::new(Mode::Train);
/// assert!(dropout.forward(&graph.input("x", [8, 16], DType::F32)).is_valid());
/// ```
#[derive(Clone, Debug)]
pub struct AlphaDropout(Dropout);

/// Value of dropped elements: `−λα`, with SELU's constants `λ` and `α`.
const DROPPED: f64 = -1.758_099_340_847_376_6;

impl AlphaDropout {
    /// Creates a dropout layer with probability `p`, in the scope of `params`. PyTorch's default is 0.5.
    pub fn new(params: &Params, p: f64) -> Self {
        Self(Dropout::new(params, p))
    }
}

module!(AlphaDropout, |dropout, x| {
    let p = dropout.0.p;
    // In this scope, errors about the mask name the layer and the caller's source line.
    let _scope = x.graph().scope_of_library(&dropout.0.scope, Location::caller(), crate::source());
    if !x.is_valid() || p == 0.0 || (x.graph().mode() == Mode::Evaluate && (0.0..=1.0).contains(&p)) {
        return x.clone();
    }
    let kept = dropout.0.forward(&x.number(1.0).expand(x.shape()));
    #[allow(clippy::float_cmp, reason = "exactly 1 drops all")]
    if p == 1.0 {
        return x * kept;
    }
    let a = ((1.0 - p) * (1.0 + p * DROPPED * DROPPED)).sqrt().recip();
    let zero = x.number(0.0);
    kept.gt(&zero).where_cond(x, DROPPED) * a - a * p * DROPPED
});

//! Dropout: random zeros while training, of elements or of whole channels.

use std::panic::Location;

use wgrad_core::{Counter, DType, Misfit, Mode, Params, Tensor};

use crate::Module;

/// Sets each element to 0 with probability `p` and multiplies the others by `1 / (1 − p)`; evaluates to the identity.
///
/// The random numbers follow from the seed of the [`Params`], the layer's scope, which call of the layer in the graph
/// it is, the number of training runs so far, and the element: the same run draws the same numbers on every device.
/// So layers need scopes of their own to draw different numbers.
#[derive(Clone, Debug)]
pub struct Dropout {
    scope: String,
    p: f64,
    key: [u32; 2],
    step: Counter,
}

impl Dropout {
    /// A dropout of probability `p`, in the scope of `params`.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the seed is split into halves")]
    pub fn new(params: &Params, p: f64) -> Self {
        let seed = params.seed();
        // Not part of the state dict: its last segment starts with `@`.
        let step = params.counter("@step");
        Self { scope: params.path().into(), p, key: [seed as u32, (seed >> 32) as u32], step }
    }

    /// What tells this call's random numbers from those of other dropouts in the graph.
    fn site(&self, x: &Tensor) -> u32 {
        let nodes = x.graph().nodes();
        let earlier = nodes.iter().filter(|node| node.name() == "dropout" && node.site.scope == self.scope);
        let name = format!("{}#{}", self.scope, earlier.count());
        // 32-bit FNV-1a.
        name.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }
}

impl Module for Dropout {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let graph = x.graph();
        let _scope = graph.scope(&self.scope);
        if graph.mode() == Mode::Evaluate && (0.0..=1.0).contains(&self.p) {
            return x.clone();
        }
        let site = self.site(x);
        let counter = self.step.clone();
        #[allow(clippy::cast_precision_loss, reason = "no run has 2^53 steps")]
        let step = graph.scheduled(format!("{}.@step", self.scope), DType::U32, move || counter.get() as f64);
        if graph.mode() == Mode::Train {
            graph.advance(&self.step);
        }
        x.dropout(self.p, self.key, site, &step)
    }
}

/// Declares the dropouts of whole channels.
macro_rules! channel_dropout {
    ($(#[$doc:meta])* $Name:ident, $op:literal, $shapes:literal, |$dims:ident| $kept:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $Name(Dropout);

        impl $Name {
            /// A dropout of channels of probability `p`, in the scope of `params`; PyTorch's default is 0.5.
            #[must_use]
            pub fn new(params: &Params, p: f64) -> Self {
                Self(Dropout::new(params, p))
            }
        }

        impl Module for $Name {
            #[track_caller]
            fn forward(&self, x: &Tensor) -> Tensor {
                if !x.is_valid() {
                    return x.clone();
                }
                let _scope = x.graph().scope_of_library(&self.0.scope, Location::caller(), crate::source());
                let shape = x.shape();
                let $dims = shape.dims();
                let kept: Option<Vec<usize>> = $kept;
                let Some(channels) = kept else {
                    let misfit = Misfit::new(format!("expected {}, not {shape}", $shapes))
                        .fix("for single elements use `Dropout`");
                    return x.misfit($op, &[], misfit);
                };
                if x.graph().mode() == Mode::Evaluate && (0.0..=1.0).contains(&self.0.p) {
                    return x.clone();
                }
                x * self.0.forward(&x.number(1.0).broadcast_to(channels))
            }
        }
    };
}

/// The shape of one number per channel, for channels in axis `axis`.
fn per_channel(dims: &[usize], axis: usize) -> Vec<usize> {
    dims.iter().enumerate().map(|(i, &size)| if i <= axis { size } else { 1 }).collect()
}

channel_dropout! {
    /// Sets whole channels of lines, `[N, C, L]` or `[C, L]`, to 0 with probability `p` and multiplies the others by
    /// `1 / (1 − p)`; evaluates to the identity. Random numbers are drawn as [`Dropout`] does, one per channel.
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
    Dropout1d, "dropout1d", "[N, C, L] or [C, L]", |dims| match dims.len() {
        2 => Some(per_channel(dims, 0)),
        3 => Some(per_channel(dims, 1)),
        _ => None,
    }
}

channel_dropout! {
    /// As [`Dropout1d`], of images `[N, C, H, W]`.
    ///
    /// Three axes are `[N, C, L]`, as in PyTorch 2.15, which warns that this may change; [`Dropout1d`] says so clearly.
    ///
    /// ```
    /// use wgrad_core::{DType, Graph, Mode, Params};
    /// use wgrad_nn::{Module, layers::Dropout2d};
    /// let dropout = Dropout2d::new(&Params::seeded(7).at("drop"), 0.2);
    /// let graph = Graph::new(Mode::Train);
    /// let y = dropout.forward(&graph.input("x", [8, 16, 5, 5], DType::F32));
    /// assert_eq!(y.shape().dims(), [8, 16, 5, 5]);
    /// ```
    Dropout2d, "dropout2d", "[N, C, H, W]", |dims| matches!(dims.len(), 3 | 4).then(|| per_channel(dims, 1))
}

/// Dropout that keeps the mean and variance of a SELU network's activations: elements become `−λα` with probability
/// `p`, and `a·x + b` restores mean 0 and variance 1. Evaluates to the identity.
///
/// With `α' = −λα ≈ −1.758`: `a = ((1 − p)·(1 + p·α'²))^(−1/2)` and `b = −a·p·α'`. Random numbers are drawn as
/// [`Dropout`] does. `p = 1` gives zeros.
///
/// Klambauer et al.: "Self-normalizing neural networks", 2017. Source: `torch.nn.AlphaDropout`.
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

/// `−λα` of SELU: what a dropped element becomes.
const DROPPED: f64 = -1.758_099_340_847_376_6;

impl AlphaDropout {
    /// A dropout of probability `p`, in the scope of `params`; PyTorch's default is 0.5.
    #[must_use]
    pub fn new(params: &Params, p: f64) -> Self {
        Self(Dropout::new(params, p))
    }
}

impl Module for AlphaDropout {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let p = self.0.p;
        // The mask's errors, and the identity of an evaluation.
        let _scope = x.graph().scope_of_library(&self.0.scope, Location::caller(), crate::source());
        if !x.is_valid() || p == 0.0 || (x.graph().mode() == Mode::Evaluate && (0.0..=1.0).contains(&p)) {
            return x.clone();
        }
        let kept = self.0.forward(&x.number(1.0).broadcast_to(x.shape()));
        #[allow(clippy::float_cmp, reason = "exactly 1 drops all")]
        if p == 1.0 {
            return x * kept;
        }
        let a = ((1.0 - p) * (1.0 + p * DROPPED * DROPPED)).sqrt().recip();
        let zero = x.number(0.0);
        kept.gt(&zero).select(x, &x.number(DROPPED)) * a - a * p * DROPPED
    }
}

//! Recurrent layers: the code that LSTM, GRU and RNN have in common.
//!
//! A layer is unrolled over time: the graph has nodes for each time step. One matrix product multiplies the inputs
//! of all steps by `weight_ih`. Each step then multiplies the hidden state by `weight_hh` and applies pointwise
//! ops.

use std::marker::PhantomData;

use wgrad_core::ops::cat;
use wgrad_core::{Init, InvalidArgument, Kind, Params, Shape, Tensor, Variable};

use super::Dropout;
use crate::Module;

/// Activation of an RNN; PyTorch's `nonlinearity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nonlinearity {
    /// Hyperbolic tangent.
    #[default]
    Tanh,
    /// `max(x, 0)`.
    Relu,
}

options! {
    /// Options of an [`Lstm`](super::Lstm), [`Gru`](super::Gru) or [`Rnn`](super::Rnn).
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct RecurrentOptions {
        /// Number of stacked layers. Default: 1.
        num_layers: usize = 1,
        /// If `false`, the layers have no biases. Default: `true`.
        bias: bool = true,
        /// If `true`, sequences are `[N, L, features]` instead of `[L, N, features]`. Default: `false`.
        batch_first: bool = false,
        /// Dropout probability of the outputs of each layer except the last. Default: 0.
        dropout: f64 = 0.0,
        /// If `true`, each layer also runs over the reversed sequence, and the outputs of both directions are
        /// concatenated. Default: `false`.
        bidirectional: bool = false,
        /// Size to which an [`Lstm`](super::Lstm) projects its hidden state; 0 for no projection. Other layers
        /// must not set this. Default: 0.
        proj_size: usize = 0,
        /// Activation of an [`Rnn`](super::Rnn); other layers must not set this. Default: [`Nonlinearity::Tanh`].
        nonlinearity: Nonlinearity = Nonlinearity::Tanh,
    }
}

/// Weights and biases of a recurrent cell, or of one direction of a recurrent layer.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    ih: Variable,
    hh: Variable,
    biases: Option<[Variable; 2]>,
    hr: Option<Variable>,
}

impl Weights {
    /// Declares `weight_ih`, `weight_hh`, the biases and `weight_hr`, with `suffix` appended to the names,
    /// initially uniform in ±`1/√hidden`.
    #[track_caller]
    pub fn declare(params: &Params, suffix: &str, gates: usize, sizes: [usize; 3], bias: bool) -> Self {
        let [inputs, hidden, projected] = sizes;
        let bound = if hidden > 0 { (hidden as f64).sqrt().recip() } else { 0.0 };
        let init = Init::Uniform(-bound, bound);
        let (rows, state) = (gates * hidden, if projected > 0 { projected } else { hidden });
        let ih = params.variable(&format!("weight_ih{suffix}"), [rows, inputs], Kind::Parameter, init);
        let hh = params.variable(&format!("weight_hh{suffix}"), [rows, state], Kind::Parameter, init);
        let biases = if bias {
            let ih = params.variable(&format!("bias_ih{suffix}"), [rows], Kind::Parameter, init);
            Some([ih, params.variable(&format!("bias_hh{suffix}"), [rows], Kind::Parameter, init)])
        } else {
            None
        };
        let hr = if projected > 0 {
            Some(params.variable(&format!("weight_hr{suffix}"), [projected, hidden], Kind::Parameter, init))
        } else {
            None
        };
        Self { ih, hh, biases, hr }
    }
}

/// Kind of recurrent layer: LSTM, GRU or RNN.
pub trait RecurrentKind {
    /// Name of the layer in error messages.
    const NAME: &'static str;
    /// Name of the cell in error messages.
    const CELL: &'static str;
    /// Number of gates: a weight has this many rows per hidden unit.
    const GATES: usize;
    /// Number of gates whose `bias_hh` is added to `bias_ih` once, before the time steps. The `bias_hh` of the
    /// other gates is in [`TimeStep::separate_bias`].
    const SUMMED_BIASES: usize;
    /// Number of states: 2 (hidden and cell state) for an LSTM, otherwise 1 (hidden state).
    const STATES: usize;

    /// `true` if the nonlinearity can be chosen with an option, as for an RNN.
    const NONLINEAR: bool;

    /// Returns the states after one time step from the hidden state `h` and the cell state `c`, both
    /// `[N, hidden]`. For kinds without a cell state, `c` is the same tensor as `h`.
    fn step(step: &TimeStep, h: &Tensor, c: &Tensor) -> [Tensor; 2];
}

/// A [`RecurrentKind`] without a cell state: GRU or RNN.
pub trait SingleState: RecurrentKind {}

/// Tensors from which [`RecurrentKind::step`] computes one time step of one layer in one direction.
pub struct TimeStep {
    /// Product of the step's input and `weight_ih`, plus `bias_ih` and the part of `bias_hh` that is added to it
    /// before the time steps, `[N, gates·hidden]`.
    pub x: Tensor,
    /// The weight `weight_hh`.
    pub hh: Tensor,
    /// Part of `bias_hh` that is not included in `x`, `[(gates − SUMMED_BIASES)·hidden]`.
    pub separate_bias: Option<Tensor>,
    /// Activation of an RNN.
    pub nonlinearity: Nonlinearity,
    hr: Option<Tensor>,
}

impl TimeStep {
    /// Returns the projected hidden state, or `h` itself if there is no projection.
    pub fn project(&self, h: Tensor) -> Tensor {
        if let Some(hr) = &self.hr { h.linear(hr, None) } else { h }
    }

    /// Divides the last axis of `x` into `of` equal parts and returns part `i`.
    pub fn part(x: &Tensor, i: usize, of: usize) -> Tensor {
        let size = x.shape().dims().last().map_or(0, |all| all / of);
        x.slice(-1, i * size..(i + 1) * size)
    }
}

/// Weights and biases of one direction of a recurrent layer, as tensors of a graph.
pub(super) struct Direction {
    ih: Tensor,
    bias: Option<Tensor>,
    pub step: TimeStep,
}

impl Direction {
    pub fn new<R: RecurrentKind>(x: &Tensor, weights: &Weights, nonlinearity: Nonlinearity) -> Self {
        let graph = x.graph();
        let (ih, hh) = (graph.variable(&weights.ih), graph.variable(&weights.hh));
        let hr = weights.hr.as_ref().map(|hr| graph.variable(hr));
        let (mut bias, mut separate_bias) = (None, None);
        if let Some([of_input, of_state]) = &weights.biases {
            let unit = of_state.shape().dims()[0] / R::GATES;
            let [of_input, of_state] = [of_input, of_state].map(|bias| graph.variable(bias));
            let early = of_state.slice(0, ..R::SUMMED_BIASES * unit);
            if R::SUMMED_BIASES < R::GATES {
                let rest = early.number(0.0).expand([(R::GATES - R::SUMMED_BIASES) * unit]);
                bias = Some(of_input + cat(&[&early, &rest], 0));
                separate_bias = Some(of_state.slice(0, R::SUMMED_BIASES * unit..));
            } else {
                bias = Some(of_input + early);
            }
        }
        Self { ih, bias, step: TimeStep { x: x.clone(), hh, separate_bias, nonlinearity, hr } }
    }

    /// Returns the product of the inputs `x`, `[…, inputs]`, and `weight_ih`, plus `bias_ih` and the part of
    /// `bias_hh` that is added to it before the time steps.
    pub fn inputs(&self, x: &Tensor) -> Tensor {
        x.linear(&self.ih, self.bias.as_ref())
    }
}

/// Returns an error if the nonlinearity is set for a layer that is not an RNN.
pub(super) fn invalid_nonlinearity<R: RecurrentKind>(nonlinearity: Nonlinearity) -> Option<InvalidArgument> {
    (!R::NONLINEAR && nonlinearity != Nonlinearity::default()).then(|| {
        InvalidArgument::new(format!("the nonlinearity {nonlinearity:?} is only for an RNN"))
            .fix("leave the option out")
    })
}

/// Stacked recurrent layers: [`Lstm`](super::Lstm), [`Gru`](super::Gru) or [`Rnn`](super::Rnn).
#[derive(Clone, Debug)]
pub struct Recurrent<R> {
    kind: PhantomData<R>,
    scope: String,
    inputs: usize,
    hidden: usize,
    options: RecurrentOptions,
    /// Weights of each layer; in a bidirectional layer, the forward direction is followed by the reverse one.
    weights: Vec<Weights>,
    dropouts: Vec<Dropout>,
}

/// Outputs of all time steps, and the states after the last one; there are [`RecurrentKind::STATES`] states.
type Outputs = (Tensor, Vec<Tensor>);

impl<R: RecurrentKind> Recurrent<R> {
    /// Creates one layer of `hidden_size` units for inputs of `input_size` features.
    #[track_caller]
    pub fn new(params: &Params, input_size: usize, hidden_size: usize) -> Self {
        Self::with(params, input_size, hidden_size, RecurrentOptions::new())
    }

    /// Creates layers with options.
    #[track_caller]
    pub fn with(params: &Params, input_size: usize, hidden_size: usize, options: RecurrentOptions) -> Self {
        let (inputs, hidden) = (input_size, hidden_size);
        let directions = 1 + usize::from(options.bidirectional);
        let state = if options.proj_size > 0 { options.proj_size } else { hidden };
        let mut weights = vec![];
        for layer in 0..options.num_layers {
            let inputs = if layer == 0 { inputs } else { state * directions };
            for direction in 0..directions {
                let suffix = format!("_l{layer}{}", if direction == 0 { "" } else { "_reverse" });
                let sizes = [inputs, hidden, options.proj_size];
                weights.push(Weights::declare(params, &suffix, R::GATES, sizes, options.bias));
            }
        }
        let between = options.num_layers.saturating_sub(1);
        let dropout = |i| Dropout::new(&params.at(format!("dropout_l{i}")), options.dropout);
        let dropouts = (0..between).map(dropout).collect();
        Self { kind: PhantomData, scope: params.path().into(), inputs, hidden, options, weights, dropouts }
    }

    fn directions(&self) -> usize {
        1 + usize::from(self.options.bidirectional)
    }

    /// Returns the size of the hidden state, after projection if there is one, and the size of the cell state.
    fn state_sizes(&self) -> [usize; 2] {
        [if self.options.proj_size > 0 { self.options.proj_size } else { self.hidden }, self.hidden]
    }

    fn invalid(&self, x: &Tensor, first: &[&Tensor]) -> Option<InvalidArgument> {
        let RecurrentOptions { num_layers, batch_first, proj_size, .. } = self.options;
        let spec = x.spec();
        let dims = spec.shape.dims();
        if num_layers == 0 || self.hidden == 0 || self.inputs == 0 {
            return Some(InvalidArgument::new("input_size, hidden_size and num_layers must be at least 1"));
        }
        if proj_size > 0 && (R::STATES != 2 || proj_size >= self.hidden) {
            return Some(
                InvalidArgument::new(format!(
                    "proj_size {proj_size} is only for an LSTM, and must be below its hidden_size {}",
                    self.hidden
                ))
                .fix("0 means no projection"),
            );
        }
        if let Some(invalid) = invalid_nonlinearity::<R>(self.options.nonlinearity) {
            return Some(invalid);
        }
        let batch = if batch_first { "[N, L, " } else { "[L, N, " };
        if !spec.dtype.is_float() || !matches!(dims.len(), 2 | 3) || dims.last() != Some(&self.inputs) {
            let inputs = self.inputs;
            return Some(
                InvalidArgument::new(format!("expected {batch}{inputs}] or [L, {inputs}], not {spec}"))
                    .fix("the last axis is input_size; `batch_first` says which of the others is the batch"),
            );
        }
        let time = usize::from(dims.len() == 3 && batch_first);
        if dims[time] == 0 {
            return Some(InvalidArgument::new("the sequence has no steps"));
        }
        for (state, size) in first.iter().zip(self.state_sizes()) {
            let mut expected = vec![self.weights.len(), size];
            if dims.len() == 3 {
                expected.insert(1, dims[1 - time]);
            }
            if state.shape().dims() != expected || !state.dtype().is_float() {
                let expected = Shape::from(expected);
                return Some(InvalidArgument::new(format!("the first state must be f32{expected}, not {}", state.spec())).fix(
                    "states are [num_layers · directions, N, size], also with batch_first; without N for one sequence",
                ));
            }
        }
        None
    }

    /// Runs the layers over the sequences `x`, from the initial states `first`, or from zeros if `first` is
    /// `None`.
    #[track_caller]
    pub(super) fn run(&self, x: &Tensor, first: Option<&[&Tensor]>) -> Outputs {
        let caller = std::panic::Location::caller();
        let _scope = x.graph().scope_of_library(&self.scope, caller, crate::source());
        let given = first.unwrap_or_default();
        let invalid = !x.is_valid() || given.iter().any(|state| !state.is_valid());
        let invalid = if invalid { Some(InvalidArgument::default()) } else { self.invalid(x, given) };
        if let Some(invalid) = invalid {
            let invalid = x.invalid(R::NAME, given, invalid);
            return (invalid.clone(), vec![invalid; R::STATES]);
        }
        let batched = x.shape().rank() == 3;
        // From here on, sequences are [L, N, inputs].
        let mut y = match (batched, self.options.batch_first) {
            (false, _) => x.unsqueeze(1),
            (true, true) => x.transpose(0, 1),
            (true, false) => x.clone(),
        };
        let mut last = vec![vec![]; R::STATES];
        for layer in 0..self.options.num_layers {
            let mut outputs = vec![];
            for direction in 0..self.directions() {
                let at = layer * self.directions() + direction;
                let (output, states) = self.run_direction(&y, at, direction == 1, given, batched);
                outputs.push(output);
                last.iter_mut().zip(states).for_each(|(last, state)| last.push(state.unsqueeze(0)));
            }
            y = cat(&outputs.iter().collect::<Vec<_>>(), -1);
            if let Some(dropout) = self.dropouts.get(layer) {
                y = dropout.forward(&y);
            }
        }
        let y = match (batched, self.options.batch_first) {
            (false, _) => y.squeeze(1),
            (true, true) => y.transpose(0, 1),
            (true, false) => y,
        };
        let last = last.iter().map(|states| {
            let last = cat(&states.iter().collect::<Vec<_>>(), 0);
            if batched { last } else { last.squeeze(1) }
        });
        (y, last.collect())
    }

    /// Runs one direction of one layer, whose weights are at index `at`, over the sequences `x`, `[L, N, inputs]`.
    /// Returns the outputs `[L, N, size]` and the last states `[N, size]`.
    fn run_direction(&self, x: &Tensor, at: usize, reverse: bool, first: &[&Tensor], batched: bool) -> Outputs {
        let (length, n) = (x.shape().dims()[0], x.shape().dims()[1]);
        let state = |i: usize| {
            let size = self.state_sizes()[i];
            match first.get(i) {
                Some(state) if batched => state.slice(0, at..=at).squeeze(0),
                Some(state) => state.slice(0, at..=at),
                None => x.number(0.0).expand([n, size]),
            }
        };
        let mut h = state(0);
        let mut c = if R::STATES > 1 { state(1) } else { h.clone() };
        let mut direction = Direction::new::<R>(x, &self.weights[at], self.options.nonlinearity);
        let products = direction.inputs(x);
        let mut outputs = Vec::with_capacity(length);
        for step in 0..length {
            let t = if reverse { length - 1 - step } else { step };
            direction.step.x = products.slice(0, t..=t).squeeze(0);
            [h, c] = R::step(&direction.step, &h, &c);
            outputs.push(h.unsqueeze(0));
        }
        if reverse {
            outputs.reverse();
        }
        let mut last = vec![h, c];
        last.truncate(R::STATES);
        (cat(&outputs.iter().collect::<Vec<_>>(), 0), last)
    }
}

impl<R: SingleState> Recurrent<R> {
    /// Returns the outputs of all time steps and the last hidden states. The initial hidden states are `first`, or
    /// zeros if `first` is `None`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, first: Option<&Tensor>) -> (Tensor, Tensor) {
        let (y, last) = self.run(x, first.as_ref().map(std::slice::from_ref));
        (y, last[0].clone())
    }
}

impl<R: RecurrentKind> Module for Recurrent<R> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.run(x, None).0
    }
}

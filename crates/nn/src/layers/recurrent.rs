//! Recurrent layers: what LSTM, GRU and plain RNN have in common.
//!
//! A layer is unrolled over time: each step is nodes of the graph. The products with the inputs of all steps are one;
//! a step has one product with the hidden state, and what follows is pointwise.

use std::marker::PhantomData;

use wgrad_core::ops::cat;
use wgrad_core::{Init, InvalidArgument, Kind, Params, Shape, Tensor, Variable};

use super::Dropout;
use crate::Module;

/// Activation of a plain recurrent layer.
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
        /// Number of layers, one upon the other's outputs; 1 by default.
        num_layers: usize = 1,
        /// Whether there are biases; by default there are.
        bias: bool = true,
        /// Whether sequences are `[N, L, features]`; by default they are `[L, N, features]`.
        batch_first: bool = false,
        /// Probability of dropout of each layer's outputs but the last's; 0 by default.
        dropout: f64 = 0.0,
        /// Whether there is a second direction, from the end to the start, whose outputs stand beside those of the
        /// first; by default there is none.
        bidirectional: bool = false,
        /// Size of the projected hidden state, for an [`Lstm`](super::Lstm) only; 0, the default, is no projection.
        proj_size: usize = 0,
        /// Activation, for an [`Rnn`](super::Rnn) only; by default the hyperbolic tangent.
        nonlinearity: Nonlinearity = Nonlinearity::Tanh,
    }
}

options! {
    /// Options of an [`LstmCell`](super::LstmCell), [`GruCell`](super::GruCell) or [`RnnCell`](super::RnnCell).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct RecurrentCellOptions {
        /// Whether there are biases; by default there are.
        bias: bool = true,
        /// Activation, for an [`RnnCell`](super::RnnCell) only; by default the hyperbolic tangent.
        nonlinearity: Nonlinearity = Nonlinearity::Tanh,
    }
}

/// Variables of one layer in one direction, or of a cell.
#[derive(Clone, Debug)]
struct Weights {
    ih: Variable,
    hh: Variable,
    biases: Option<[Variable; 2]>,
    hr: Option<Variable>,
}

impl Weights {
    /// Declares `weight_ih`, `weight_hh`, the biases and `weight_hr` with a suffix, uniform in ±`1/√hidden`.
    #[track_caller]
    fn declare(params: &Params, suffix: &str, gates: usize, sizes: [usize; 3], bias: bool) -> Self {
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

/// Kind of recurrent layer: an LSTM, a GRU or a plain one.
pub trait Rule {
    /// Name of a layer in errors.
    const NAME: &'static str;
    /// Name of a cell in errors.
    const CELL: &'static str;
    /// Rows of a weight per unit.
    const GATES: usize;
    /// Number of parts of `bias_hh` that may be added beside `bias_ih`; the others are [`Step::late`].
    const EARLY: usize;
    /// Tensors of state: the hidden one, and perhaps that of a cell.
    const STATES: usize;

    /// Whether the nonlinearity is an option.
    const NONLINEAR: bool;

    /// Returns the next state. `h` and `c` are `[N, hidden]`; without cell state, `c` is `h` again.
    fn step(step: &Step, h: &Tensor, c: &Tensor) -> [Tensor; 2];
}

/// [`Rule`] of one state: that of a GRU or a plain layer.
pub trait SingleState: Rule {}

/// One step of one layer in one direction.
pub struct Step {
    /// The product of this step's input, with the early biases `[N, gates·hidden]`.
    pub x: Tensor,
    /// `weight_hh`.
    pub hh: Tensor,
    /// The rest of `bias_hh`, `[(gates − early)·hidden]`.
    pub late: Option<Tensor>,
    /// The activation of a plain layer.
    pub nonlinearity: Nonlinearity,
    hr: Option<Tensor>,
}

impl Step {
    /// The projection of the hidden state, or itself.
    pub fn project(&self, h: Tensor) -> Tensor {
        if let Some(hr) = &self.hr { h.linear(hr, None) } else { h }
    }

    /// Part `i` of `of` equal parts of the last axis.
    pub fn part(x: &Tensor, i: usize, of: usize) -> Tensor {
        let size = x.shape().dims().last().map_or(0, |all| all / of);
        x.slice(-1, i * size..(i + 1) * size)
    }
}

/// Weights of one direction as tensors of a graph.
struct Direction {
    ih: Tensor,
    bias: Option<Tensor>,
    step: Step,
}

impl Direction {
    fn new<R: Rule>(x: &Tensor, weights: &Weights, nonlinearity: Nonlinearity) -> Self {
        let graph = x.graph();
        let (ih, hh) = (graph.variable(&weights.ih), graph.variable(&weights.hh));
        let hr = weights.hr.as_ref().map(|hr| graph.variable(hr));
        let (mut bias, mut late) = (None, None);
        if let Some([of_input, of_state]) = &weights.biases {
            let unit = of_state.shape().dims()[0] / R::GATES;
            let [of_input, of_state] = [of_input, of_state].map(|bias| graph.variable(bias));
            let early = of_state.slice(0, ..R::EARLY * unit);
            if R::EARLY < R::GATES {
                let rest = early.number(0.0).expand([(R::GATES - R::EARLY) * unit]);
                bias = Some(of_input + cat(&[&early, &rest], 0));
                late = Some(of_state.slice(0, R::EARLY * unit..));
            } else {
                bias = Some(of_input + early);
            }
        }
        Self { ih, bias, step: Step { x: x.clone(), hh, late, nonlinearity, hr } }
    }

    /// The product of inputs `[…, inputs]`.
    fn inputs(&self, x: &Tensor) -> Tensor {
        x.linear(&self.ih, self.bias.as_ref())
    }
}

/// Why an option is not for the layers of a rule.
fn invalid_nonlinearity<R: Rule>(nonlinearity: Nonlinearity) -> Option<InvalidArgument> {
    (!R::NONLINEAR && nonlinearity != Nonlinearity::default()).then(|| {
        InvalidArgument::new(format!("the nonlinearity {nonlinearity:?} is for an RNN")).fix("leave the option out")
    })
}

/// Recurrent layers of any kind: [`Lstm`](super::Lstm), [`Gru`](super::Gru) or [`Rnn`](super::Rnn).
#[derive(Clone, Debug)]
pub struct Recurrent<R> {
    rule: PhantomData<R>,
    scope: String,
    inputs: usize,
    hidden: usize,
    options: RecurrentOptions,
    /// Layer by layer, the directions of each beside each other.
    weights: Vec<Weights>,
    dropouts: Vec<Dropout>,
}

/// Outputs of a run: those of all steps, and the last states, one of [`Rule::STATES`] each.
type Outputs = (Tensor, Vec<Tensor>);

impl<R: Rule> Recurrent<R> {
    /// Makes one layer of `hidden_size` units for inputs of `input_size` features.
    #[track_caller]
    pub fn new(params: &Params, input_size: usize, hidden_size: usize) -> Self {
        Self::with(params, input_size, hidden_size, RecurrentOptions::new())
    }

    /// Makes layers with options.
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
        Self { rule: PhantomData, scope: params.path().into(), inputs, hidden, options, weights, dropouts }
    }

    fn directions(&self) -> usize {
        1 + usize::from(self.options.bidirectional)
    }

    /// Sizes of the states: the hidden one is projected, that of the cell is not.
    fn state_sizes(&self) -> [usize; 2] {
        [if self.options.proj_size > 0 { self.options.proj_size } else { self.hidden }, self.hidden]
    }

    fn invalid(&self, x: &Tensor, first: &[&Tensor]) -> Option<InvalidArgument> {
        let RecurrentOptions { num_layers, batch_first, proj_size, .. } = self.options;
        let spec = x.spec();
        let dims = spec.shape.dims();
        if num_layers == 0 || self.hidden == 0 || self.inputs == 0 {
            return Some(InvalidArgument::new("input_size, hidden_size and num_layers must be 1 at least"));
        }
        if proj_size > 0 && (R::STATES != 2 || proj_size >= self.hidden) {
            return Some(
                InvalidArgument::new(format!(
                    "proj_size {proj_size} is for an LSTM, and below its hidden_size {}",
                    self.hidden
                ))
                .fix("0 is no projection"),
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

    /// Runs the sequences `x`, from the states `first` or from zeros.
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
        // [L, N, inputs], whatever came.
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
                let (output, states) = self.one(&y, at, direction == 1, given, batched);
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

    /// One layer in one direction over `x` `[L, N, inputs]`: outputs `[L, N, size]` and the last states `[N, size]`.
    fn one(&self, x: &Tensor, at: usize, reverse: bool, first: &[&Tensor], batched: bool) -> Outputs {
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
    /// Returns the outputs of all steps, and the last states; `first` are the states before the first step, zeros if
    /// none.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, first: Option<&Tensor>) -> (Tensor, Tensor) {
        let (y, last) = self.run(x, first.as_ref().map(std::slice::from_ref));
        (y, last[0].clone())
    }
}

impl<R: Rule> Module for Recurrent<R> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.run(x, None).0
    }
}

/// One step of a recurrent layer of any kind: [`LstmCell`](super::LstmCell), [`GruCell`](super::GruCell) or
/// [`RnnCell`](super::RnnCell).
#[derive(Clone, Debug)]
pub struct RecurrentCell<R> {
    rule: PhantomData<R>,
    scope: String,
    options: RecurrentCellOptions,
    inputs: usize,
    hidden: usize,
    weights: Weights,
}

impl<R: Rule> RecurrentCell<R> {
    /// Makes a cell with biases.
    #[track_caller]
    pub fn new(params: &Params, input_size: usize, hidden_size: usize) -> Self {
        Self::with(params, input_size, hidden_size, RecurrentCellOptions::new())
    }

    /// Makes a cell with options.
    #[track_caller]
    pub fn with(params: &Params, input_size: usize, hidden_size: usize, options: RecurrentCellOptions) -> Self {
        let weights = Weights::declare(params, "", R::GATES, [input_size, hidden_size, 0], options.bias);
        let scope = params.path().into();
        Self { rule: PhantomData, scope, options, inputs: input_size, hidden: hidden_size, weights }
    }

    /// Returns the next states for `x` `[N, inputs]` or `[inputs]`, from `first` or from zeros.
    #[track_caller]
    pub(super) fn run(&self, x: &Tensor, first: Option<&[&Tensor]>) -> [Tensor; 2] {
        let caller = std::panic::Location::caller();
        let _scope = x.graph().scope_of_library(&self.scope, caller, crate::source());
        let given = first.unwrap_or_default();
        let invalid = if !x.is_valid() || given.iter().any(|state| !state.is_valid()) {
            Some(InvalidArgument::default())
        } else {
            self.invalid(x, given)
        };
        if let Some(invalid) = invalid {
            let invalid = x.invalid(R::CELL, given, invalid);
            return [invalid.clone(), invalid];
        }
        let batched = x.shape().rank() == 2;
        let rows = |x: &Tensor| if batched { x.clone() } else { x.unsqueeze(0) };
        let x = rows(x);
        let n = x.shape().dims()[0];
        let state = |i: usize| given.get(i).map_or_else(|| x.number(0.0).expand([n, self.hidden]), |state| rows(state));
        let h = state(0);
        let c = if R::STATES > 1 { state(1) } else { h.clone() };
        let mut direction = Direction::new::<R>(&x, &self.weights, self.options.nonlinearity);
        direction.step.x = direction.inputs(&x);
        R::step(&direction.step, &h, &c).map(|state| if batched { state } else { state.squeeze(0) })
    }

    fn invalid(&self, x: &Tensor, first: &[&Tensor]) -> Option<InvalidArgument> {
        let (spec, inputs) = (x.spec(), self.inputs);
        let dims = spec.shape.dims();
        if !spec.dtype.is_float() || !matches!(dims.len(), 1 | 2) || dims.last() != Some(&inputs) {
            return Some(
                InvalidArgument::new(format!("expected [N, {inputs}] or [{inputs}], not {spec}"))
                    .fix("a cell takes one step; for sequences use the layer"),
            );
        }
        if let Some(invalid) = invalid_nonlinearity::<R>(self.options.nonlinearity) {
            return Some(invalid);
        }
        let expected = spec.shape.with(dims.len() - 1, self.hidden);
        first.iter().find(|state| state.shape() != expected || !state.dtype().is_float()).map(|state| {
            InvalidArgument::new(format!("the first state must be f32{expected}, not {}", state.spec()))
                .fix("states are [N, hidden_size], or [hidden_size] beside one input")
        })
    }
}

impl<R: SingleState> RecurrentCell<R> {
    /// Returns the next state; zeros are the state before, if none.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, state: Option<&Tensor>) -> Tensor {
        let [h, _] = self.run(x, state.as_ref().map(std::slice::from_ref));
        h
    }
}

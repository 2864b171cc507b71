//! Recurrent cells, which compute one time step of a recurrent layer.

use std::marker::PhantomData;

use wgrad_core::{InvalidArgument, Params, Tensor};

use super::recurrent::{Direction, Nonlinearity, RecurrentKind, SingleState, Weights, invalid_nonlinearity};

options! {
    /// Options of an [`LstmCell`](super::LstmCell), [`GruCell`](super::GruCell) or [`RnnCell`](super::RnnCell).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct RecurrentCellOptions {
        /// If `false`, the cell has no biases. Default: `true`.
        bias: bool = true,
        /// Activation of an [`RnnCell`](super::RnnCell); other cells must not set this. Default:
        /// [`Nonlinearity::Tanh`].
        nonlinearity: Nonlinearity = Nonlinearity::Tanh,
    }
}

/// A cell that computes one time step of a recurrent layer: [`LstmCell`](super::LstmCell),
/// [`GruCell`](super::GruCell) or [`RnnCell`](super::RnnCell).
#[derive(Clone, Debug)]
pub struct RecurrentCell<R> {
    kind: PhantomData<R>,
    scope: String,
    options: RecurrentCellOptions,
    inputs: usize,
    hidden: usize,
    weights: Weights,
}

impl<R: RecurrentKind> RecurrentCell<R> {
    /// Creates a cell with biases.
    #[track_caller]
    pub fn new(params: &Params, input_size: usize, hidden_size: usize) -> Self {
        Self::with(params, input_size, hidden_size, RecurrentCellOptions::new())
    }

    /// Creates a cell with options.
    #[track_caller]
    pub fn with(params: &Params, input_size: usize, hidden_size: usize, options: RecurrentCellOptions) -> Self {
        let weights = Weights::declare(params, "", R::GATES, [input_size, hidden_size, 0], options.bias);
        let scope = params.path().into();
        Self { kind: PhantomData, scope, options, inputs: input_size, hidden: hidden_size, weights }
    }

    /// Returns the states after one time step with the input `x`, `[N, inputs]` or `[inputs]`, from the states
    /// `first`, or from zeros if `first` is `None`.
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
                .fix("states are [N, hidden_size], or [hidden_size] for an input without batch")
        })
    }
}

impl<R: SingleState> RecurrentCell<R> {
    /// Returns the hidden state after one time step from `state`, or from zeros if `state` is `None`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, state: Option<&Tensor>) -> Tensor {
        let [h, _] = self.run(x, state.as_ref().map(std::slice::from_ref));
        h
    }
}

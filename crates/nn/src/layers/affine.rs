//! The trainable weight and bias of the norms that normalize each sample on its own: layer, group and RMS norm.

use std::panic::Location;

use wgrad_core::{Init, Kind, Params, Shape, Tensor, Variable};

/// Trainable weight and bias of a norm layer, each present only if the layer's options ask for it.
#[derive(Clone, Debug)]
pub(super) struct Affine {
    scope: String,
    weight: Option<Variable>,
    bias: Option<Variable>,
}

impl Affine {
    #[track_caller]
    pub fn new(params: &Params, shape: &Shape, weight: bool, bias: bool) -> Self {
        let declare = |name, value| params.variable(name, shape, Kind::Parameter, Init::Constant(value));
        Self {
            scope: params.path().into(),
            weight: weight.then(|| declare("weight", 1.0)),
            bias: (weight && bias).then(|| declare("bias", 0.0)),
        }
    }

    /// Enters the layer's scope and returns the result of `apply`, which is called with the weight and the bias.
    #[track_caller]
    pub fn apply(&self, x: &Tensor, apply: impl FnOnce(Option<&Tensor>, Option<&Tensor>) -> Tensor) -> Tensor {
        let graph = x.graph();
        // The scope records the caller's source line, because `track_caller` does not reach into closures.
        let _scope = graph.scope_of_library(&self.scope, Location::caller(), crate::source());
        let read = |variable: &Option<Variable>| variable.as_ref().map(|variable| graph.variable(variable));
        apply(read(&self.weight).as_ref(), read(&self.bias).as_ref())
    }
}

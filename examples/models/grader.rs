//! A model for ordered grades, with a choice of two output layers.

use wgrad::prelude::*;

/// A hidden layer and an output layer `O`: `Linear` with a logit per grade, or `Coral` with a logit per step
/// between grades.
pub struct Grader<O> {
    fc1: Linear,
    output: O,
}

impl<O: Module> Grader<O> {
    /// Creates the model. `output` creates the output layer, given its number of inputs.
    pub fn new(p: &Params, features: usize, output: impl FnOnce(&Params, usize) -> O) -> Self {
        Self { fc1: Linear::new(&p.at("fc1"), features, 32), output: output(&p.at("output"), 32) }
    }
}

impl<O: Module> Module for Grader<O> {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.output.forward(&self.fc1.forward(x).relu())
    }
}

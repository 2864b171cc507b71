//! What an audit of gradients found.

use crate::{NonFinite, Site};

/// How a gradient compares with finite differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They agree.
    Agrees,
    /// They do not, and there is no kink: the gradient is wrong.
    Disagrees,
    /// They do not agree, because an op on the way to the loss is at a kink, such as a `ReLU` of exactly 0, or jumps, such as the
    /// index of the larger of two that are equal. No op by itself is wrong: its rule gives one of the slopes around.
    Kink,
    /// Not compared: on the way to the loss there is an op whose gradient is by design an estimate and not the derivative
    /// ([`Pointwise::estimated`](crate::Pointwise::estimated)), such as the sign of binary weights.
    Estimated,
    /// A difference is not finite, or changes with the size of its step, so that nothing can be said.
    Unknown,
}

/// A parameter and its gradient.
#[derive(Clone, Debug)]
pub struct ParameterAudit {
    /// The parameter's name.
    pub name: String,
    /// Its type and shape.
    pub spec: String,
    /// Where it is read first.
    pub site: Site,
    /// The root of the sum of its squares.
    pub norm: f64,
    /// The root of the sum of the squares of its gradient.
    pub gradient_norm: f64,
    /// The share of its gradient's elements that are exactly 0.
    pub zeros: f64,
    /// The norm of what the step adds to it, as a share of its own, so infinite from 0; none if the graph does not update it.
    /// About 0.001 is usual.
    pub update: Option<f64>,
    /// How many parameters were moved at once, this one among them; 0 if it was not moved.
    pub moved: usize,
    /// How fast the loss grows along a random direction of these parameters, by the gradient; NaN if none was moved.
    pub claimed: f64,
    /// How fast it does, by finite differences.
    pub measured: f64,
    /// What that says.
    pub verdict: Verdict,
}

impl ParameterAudit {
    /// Whether every element of the gradient is 0.
    pub fn is_dead(&self) -> bool {
        self.gradient_norm == 0.0
    }
}

/// An op whose gradient rule does not fit its values.
#[derive(Clone, Debug)]
pub struct OpAudit {
    /// The op's name.
    pub name: String,
    /// Where it was called.
    pub site: Site,
    /// Which of its inputs gets the wrong gradient, from 0.
    pub input: usize,
    /// Whether that input gets no gradient at all, although the result depends on it.
    pub missing: bool,
    /// How fast the result grows along a random direction, under a random cotangent, by the rule.
    pub claimed: f64,
    /// How fast it does, by finite differences.
    pub measured: f64,
}

/// An op whose gradient is by design an estimate and not the derivative, so that it is not compared.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// The op's name.
    pub name: String,
    /// Where it was called.
    pub site: Site,
}

/// Units that are 0 for every row of the batch, and so learn nothing: dead `ReLU`s.
#[derive(Clone, Debug)]
pub struct Silent {
    /// The op's name.
    pub name: String,
    /// Where it was called.
    pub site: Site,
    /// How many units are 0 for every row.
    pub units: usize,
    /// Of how many.
    pub of: usize,
}

/// What [`audit`](fn@crate::audit) found.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The loss.
    pub loss: f64,
    /// The parameters that the loss depends on, in the order of first use.
    pub parameters: Vec<ParameterAudit>,
    /// Trainable parameters that no gradient reaches.
    pub without_gradient: Vec<String>,
    /// Ops whose rule is wrong, in the order of execution.
    pub ops: Vec<OpAudit>,
    /// How many ops on the way from parameters to the loss were held to finite differences.
    pub checked: usize,
    /// How many of these stand at a kink, such as a `ReLU` of exactly 0, where the rule gives one of the slopes around.
    pub kinks: usize,
    /// Of how many nothing can be said: a difference is not finite, or not steady.
    pub unknown: usize,
    /// Ops that were not compared, because their gradient is by design an estimate.
    pub estimated: Vec<Estimate>,
    /// Ops with units that are 0 for the whole batch.
    pub silent: Vec<Silent>,
    /// The first value that is not finite in a run in `f32` on the CPU, of the loss or of a gradient.
    pub non_finite: Option<NonFinite>,
}

/// A gradient is called vanishing below this share of the largest one among the parameters, per element.
const VANISHING: f64 = 1e-6;
/// A gradient is called exploding if its norm is above this.
const EXPLODING: f64 = 1e3;
/// An update is called large above this share of the parameter.
const LARGE: f64 = 0.1;

impl Audit {
    /// Whether no gradient is wrong and every value is finite.
    pub fn passes(&self) -> bool {
        self.ops.is_empty()
            && self.non_finite.is_none()
            && self.wrong().next().is_none()
            && self.parameters.iter().all(|parameter| parameter.gradient_norm.is_finite())
    }

    /// Parameters whose gradient is wrong.
    pub fn wrong(&self) -> impl Iterator<Item = &ParameterAudit> {
        self.parameters.iter().filter(|parameter| parameter.verdict == Verdict::Disagrees)
    }

    /// What is suspicious about a parameter besides its verdict, in words.
    pub fn notes(&self, parameter: &ParameterAudit) -> Vec<&'static str> {
        let largest = self.parameters.iter().map(|parameter| parameter.gradient_norm).fold(0.0, f64::max);
        let mut notes = vec![];
        if !parameter.gradient_norm.is_finite() {
            notes.push("not finite");
        } else if parameter.is_dead() {
            notes.push("dead");
        } else if parameter.gradient_norm < VANISHING * largest {
            notes.push("vanishing");
        }
        if parameter.gradient_norm.is_finite() && parameter.gradient_norm > EXPLODING {
            notes.push("exploding");
        }
        if parameter.update.is_some_and(|update| update > LARGE && parameter.norm > 0.0) {
            notes.push("large update");
        }
        notes
    }
}

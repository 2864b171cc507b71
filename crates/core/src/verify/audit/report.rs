//! Report of a gradient audit.

use crate::{NonFinite, Site};

/// Verdict on a gradient after comparison with finite differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GradientVerdict {
    /// The gradient agrees with finite differences.
    Agrees,
    /// The gradient disagrees and there is no kink: it is wrong.
    Disagrees,
    /// The gradient disagrees because an op before the loss is at a kink, such as a `ReLU` of exactly 0, or jumps,
    /// such as the argmax of two equal values. The gradient rule of that op is right: it returns a value between
    /// the one-sided derivatives.
    Kink,
    /// Not compared: an op before the loss has a gradient that is by design an estimate and not the derivative
    /// ([`Pointwise::estimated`](crate::Pointwise::estimated)), such as the sign of binary weights.
    Estimated,
    /// Not measurable: the finite difference is not finite, or changes with the step size.
    Unknown,
}

/// Result for a parameter and its gradient.
#[derive(Clone, Debug)]
pub struct ParameterAudit {
    /// Name of the parameter.
    pub name: String,
    /// Type and shape.
    pub spec: String,
    /// Source location at which the parameter is first used.
    pub site: Site,
    /// L2 norm of the parameter's value.
    pub norm: f64,
    /// L2 norm of the gradient.
    pub gradient_norm: f64,
    /// Fraction of the gradient's elements that are exactly 0.
    pub zeros: f64,
    /// Norm of the update in this step, divided by the norm of the parameter's value: infinite if the value is 0,
    /// `None` if the graph does not update the parameter. Usual updates are about 0.001.
    pub update: Option<f64>,
    /// Number of parameters that were moved together, including this one; 0 if this parameter was not moved.
    pub moved: usize,
    /// Derivative of the loss along a random direction of the moved parameters, computed from the gradient; NaN if
    /// this parameter was not moved.
    pub claimed: f64,
    /// The derivative along the same direction, measured with finite differences.
    pub measured: f64,
    /// Verdict on the gradient.
    pub verdict: GradientVerdict,
}

impl ParameterAudit {
    /// Returns whether every element of the gradient is 0.
    pub fn is_dead(&self) -> bool {
        self.gradient_norm == 0.0
    }
}

/// Op whose gradient rule is wrong.
#[derive(Clone, Debug)]
pub struct OpAudit {
    /// Name of the op.
    pub name: String,
    /// Source location of the call.
    pub site: Site,
    /// Index of the input with the wrong gradient.
    pub input: usize,
    /// True if that input gets no gradient at all, although the result depends on it.
    pub missing: bool,
    /// Derivative along a random direction, with a random cotangent, computed with the op's gradient rule.
    pub claimed: f64,
    /// The derivative along the same direction, measured with finite differences.
    pub measured: f64,
}

/// Op that is not compared, because its gradient is by design an estimate and not the derivative.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// Name of the op.
    pub name: String,
    /// Source location of the call.
    pub site: Site,
}

/// Units of an op that are 0 for every example of the batch and therefore get no gradient, such as dead `ReLU`s.
#[derive(Clone, Debug)]
pub struct SilentUnits {
    /// Name of the op.
    pub name: String,
    /// Source location of the call.
    pub site: Site,
    /// Number of units that are 0 for every example.
    pub units: usize,
    /// Number of all units of the op.
    pub of: usize,
}

/// Report of [`audit`](fn@crate::audit).
#[derive(Clone, Debug)]
pub struct Audit {
    /// Value of the loss.
    pub loss: f64,
    /// Parameters that the loss depends on, in the order of first use.
    pub parameters: Vec<ParameterAudit>,
    /// Trainable parameters that no gradient reaches.
    pub without_gradient: Vec<String>,
    /// Ops whose gradient rule is wrong, in the order of execution.
    pub ops: Vec<OpAudit>,
    /// Number of ops between parameters and the loss that were compared with finite differences.
    pub checked: usize,
    /// Number of compared ops that are at a kink, such as a `ReLU` of exactly 0, where the gradient rule returns a
    /// value between the one-sided derivatives.
    pub kinks: usize,
    /// Number of compared ops that are not measurable: the finite difference is not finite, or changes with the
    /// step size.
    pub unknown: usize,
    /// Ops that were not compared, because their gradient is by design an estimate.
    pub estimated: Vec<Estimate>,
    /// Ops with units that are 0 for every example of the batch.
    pub silent: Vec<SilentUnits>,
    /// First non-finite value in a run of the loss and its gradients in `f32` on the CPU.
    pub non_finite: Option<NonFinite>,
}

/// A gradient is called vanishing if its norm is below this fraction of the largest norm among the parameters.
const VANISHING: f64 = 1e-6;
/// A gradient is called exploding if its norm is above this value.
const EXPLODING: f64 = 1e3;
/// An update is called large if its norm is above this fraction of the parameter's norm.
const LARGE: f64 = 0.1;

impl Audit {
    /// Returns whether no gradient is wrong and every value is finite.
    pub fn passes(&self) -> bool {
        self.ops.is_empty()
            && self.non_finite.is_none()
            && self.wrong().next().is_none()
            && self.parameters.iter().all(|parameter| parameter.gradient_norm.is_finite())
    }

    /// Returns the parameters whose gradient is wrong.
    pub fn wrong(&self) -> impl Iterator<Item = &ParameterAudit> {
        self.parameters.iter().filter(|parameter| parameter.verdict == GradientVerdict::Disagrees)
    }

    /// Returns the notes on a parameter, in addition to its verdict: `not finite`, `dead`, `vanishing`,
    /// `exploding`, `large update`.
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

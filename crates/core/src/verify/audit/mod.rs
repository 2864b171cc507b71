//! The gradient audit: a graph's own gradients beside finite differences of its loss, and what else may be wrong with them.

mod here;
mod ops;
mod slope;
mod text;

use crate::{Array, Error, Kind, NonFinite, Params, Result, Site, Tensor};
use here::Here;

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
    #[must_use]
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

/// What [`audit`] found.
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
    #[must_use]
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
    #[must_use]
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

/// Holds the gradients of `loss`, which must have one element, to finite differences of it, all in `f64`.
///
/// For every parameter: along a random direction `d`, the gradient claims that the loss grows by `g·d`, and
/// `(L(θ + t·d) − L(θ − t·d)) / 2t` measures it, at several `t` with Richardson's extrapolation, of which the steadiest
/// counts. More than 16 parameters are moved some at a time; if that disagrees, each by itself. For every op on the way, the
/// same with a random cotangent, at the values that it has in this step: so a wrong rule is named with its source line.
///
/// What disagrees is looked at again, so that a kink is not called a fault: a pointwise op element by element, where the
/// gradient must be between the slopes to the left and to the right; others at values nearby. `detach`ed values stand still,
/// dropout draws the same numbers each time, and an op that says that its gradient is an estimate
/// ([`Pointwise::estimated`](crate::Pointwise::estimated), [`Op::estimated`](crate::Op::estimated)) is named and not compared.
///
/// The graph stays as it is, also if an optimizer is in it already; no variable and no counter moves. A session's newest
/// values have to be on the host: [`Session::sync`](crate::Session::sync) before. It costs about a hundred runs of the loss in
/// `f64` on the host, however many parameters there are, and the memory of all values of a step; a few rows are enough.
///
/// ```
/// use wgrad_core::{Array, DType, Graph, Init, Kind, Mode, Params, audit};
/// let params = Params::seeded(0);
/// let w = params.variable("w", [3], Kind::Parameter, Init::Uniform(-1.0, 1.0));
/// let graph = Graph::new(Mode::Train);
/// let x = graph.input("x", [3], DType::F32);
/// let error = graph.variable(&w) - &x;
/// let loss = (&error * &error).sum_keep(&[0]);
/// let report = audit(&loss, &[(&x, &Array::vector(vec![1f32, 2.0, 3.0]))])?;
/// assert!(report.passes(), "{report}");
/// assert_eq!(report.parameters[0].name, "w");
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// Errors of the graph; a loss of several elements; inputs that are missing or misshapen; variables whose newest value is
/// on a device.
#[track_caller]
pub fn audit(loss: &Tensor, feeds: &[(&Tensor, &Array)]) -> Result<Audit> {
    let graph = loss.graph();
    graph.check()?;
    if loss.shape().numel() != 1 {
        return Err(Error::Config(format!(
            "an audit is of one number, not of {}\n  fix: reduce the loss first: `.mean()` or `.sum()`",
            loss.spec()
        )));
    }
    let here = Here::new(loss, feeds)?;
    let ops = here.ops()?;
    let params = graph.variables().first().map_or_else(Params::default, |variable| variable.params().clone());
    let reached: Vec<&str> = here.parameters.iter().map(|parameter| parameter.variable.name()).collect();
    let trained = params.variables().into_iter().filter(|v| v.kind() == Kind::Parameter && v.is_trainable());
    Ok(Audit {
        loss: here.walk.value(&here.base, here.loss)?.to_f64()[0],
        parameters: here.parameters(&ops)?,
        kinks: ops.kinks.len(),
        unknown: ops.unknown.len(),
        without_gradient: trained.map(|v| v.name().to_string()).filter(|v| !reached.contains(&v.as_str())).collect(),
        ops: ops.wrong,
        checked: ops.checked,
        estimated: here.estimated(),
        silent: here.silent()?,
        non_finite: here.non_finite(&params)?,
    })
}

#[cfg(test)]
mod tests;

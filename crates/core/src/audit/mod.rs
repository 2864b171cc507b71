//! The gradient audit: a graph's own gradients beside finite differences of its loss, and what else may be wrong with them.

mod measure;

use std::fmt;
use std::sync::Arc;

use crate::{Array, CpuBackend, Error, Kind, NonFinite, Params, Result, Session, Site, Tensor};
use measure::Here;

/// How a gradient compares with finite differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They agree.
    Agrees,
    /// They do not, here and at points nearby: the gradient is wrong.
    Disagrees,
    /// They do not agree here, but they do at points nearby: the loss has a kink here, such as a ReLU of exactly 0.
    Kink,
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
    /// The root of the sum of its squares.
    pub norm: f64,
    /// The root of the sum of the squares of its gradient.
    pub gradient_norm: f64,
    /// The share of its gradient's elements that are exactly 0.
    pub zeros: f64,
    /// The norm of what the step adds to it, as a share of its own; none if the graph does not update it. About 0.001 is
    /// usual.
    pub update: Option<f64>,
    /// How fast the loss grows along a random direction, by the gradient.
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
    /// How fast the result grows along a random direction, under a random cotangent, by the rule.
    pub claimed: f64,
    /// How fast it does, by finite differences.
    pub measured: f64,
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
    /// Ops with units that are 0 for the whole batch.
    pub silent: Vec<Silent>,
    /// The first value that is not finite in a run in `f32` on the CPU.
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
            && self.parameters.iter().all(|parameter| parameter.verdict != Verdict::Disagrees)
    }

    /// What is suspicious about a parameter besides its verdict, in words.
    #[must_use]
    pub fn notes(&self, parameter: &ParameterAudit) -> Vec<&'static str> {
        let largest = self.parameters.iter().map(|parameter| parameter.gradient_norm).fold(0.0, f64::max);
        let mut notes = vec![];
        if parameter.is_dead() {
            notes.push("dead");
        } else if parameter.gradient_norm < VANISHING * largest {
            notes.push("vanishing");
        }
        if parameter.gradient_norm > EXPLODING || parameter.gradient_norm.is_nan() {
            notes.push("exploding");
        }
        if parameter.update.is_some_and(|update| update > LARGE && parameter.norm > 0.0) {
            notes.push("large update");
        }
        notes
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong = self.parameters.iter().filter(|parameter| parameter.verdict == Verdict::Disagrees).count();
        match (wrong, self.ops.len()) {
            (0, 0) => write!(
                f,
                "gradients of {} parameters and {} ops agree with finite differences; the loss is {:.6}",
                self.parameters.len(),
                self.checked,
                self.loss
            )?,
            (wrong, _) => write!(f, "gradients of {wrong} of {} parameters are wrong", self.parameters.len())?,
        }
        for op in &self.ops {
            let OpAudit { name, site, input, claimed, measured } = op;
            write!(
                f,
                "\n  the gradient rule of `{name}` is wrong for its input {input}: {claimed:.6e}, by finite differences \
                 {measured:.6e}\n    at {site}"
            )?;
        }
        if let Some(non_finite) = &self.non_finite {
            write!(f, "\n  the first value that is not finite: {non_finite}")?;
        }
        let width = self.parameters.iter().map(|parameter| parameter.name.len()).max().unwrap_or(0).max(9);
        write!(
            f,
            "\n{:<width$}  {:>9}  {:>9}  {:>6}  {:>9}  {:>13}  {:>13}",
            "parameter", "norm", "gradient", "zeros", "update", "claimed", "measured"
        )?;
        for parameter in &self.parameters {
            let ParameterAudit { name, norm, gradient_norm, zeros, update, claimed, measured, verdict, .. } = parameter;
            let update = update.map_or_else(|| "-".to_string(), |update| format!("{update:.2e}"));
            let (zeros, verdict) = (
                100.0 * zeros,
                match verdict {
                    Verdict::Agrees => "",
                    Verdict::Disagrees => "WRONG",
                    Verdict::Kink => "at a kink",
                    Verdict::Unknown => "not measurable",
                },
            );
            let notes: Vec<_> =
                std::iter::once(verdict).chain(self.notes(parameter)).filter(|n| !n.is_empty()).collect();
            let line = format!(
                "{name:<width$}  {norm:>9.2e}  {gradient_norm:>9.2e}  {zeros:>5.1}%  {update:>9}  {claimed:>13.6e}  \
                 {measured:>13.6e}  {}",
                notes.join(", ")
            );
            write!(f, "\n{}", line.trim_end())?;
        }
        for Silent { name, site, units, of } in &self.silent {
            write!(f, "\n{units} of {of} units of {name} are 0 for the whole batch\n    at {site}")?;
        }
        if !self.without_gradient.is_empty() {
            write!(f, "\nno gradient reaches: {}", self.without_gradient.join(", "))?;
        }
        Ok(())
    }
}

/// Holds the gradients of `loss`, which must have one element, to finite differences of it, all in `f64`.
///
/// For every parameter: along a random direction `d`, the gradient claims that the loss grows by `g·d`, and
/// `(L(θ + t·d) − L(θ − t·d)) / 2t` measures it, at several `t` with Richardson's extrapolation, of which the steadiest
/// counts. For every op on the way, the same with a random cotangent, at the values that it has in this step: so a wrong rule
/// is named with its source line. What disagrees is looked at again at points nearby, so that a kink is not called a fault;
/// `detach`ed values stand still, and dropout draws the same numbers each time.
///
/// The graph stays as it is, also if an optimizer is in it already; no variable and no counter moves. A session's newest
/// values have to be on the host: [`Session::sync`] before. Each parameter costs some runs of the loss on the host.
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
    let mut parameters = vec![];
    for i in 0..here.parameters.len() {
        parameters.push(here.parameter(i)?);
    }
    let (ops, checked) = here.ops()?;
    let params = graph.variables().first().map_or_else(Params::default, |variable| variable.params().clone());
    let reached: Vec<&str> = here.parameters.iter().map(|(variable, _)| variable.name()).collect();
    let trained = params.variables().into_iter().filter(|v| v.kind() == Kind::Parameter && v.is_trainable());
    let mut session = Session::new(CpuBackend::<f32>::new(), &params)?;
    session.on_warning(Arc::new(|_| {}));
    Ok(Audit {
        loss: here.walk.value(&here.base, here.loss)?.to_f64()[0],
        without_gradient: trained.map(|v| v.name().to_string()).filter(|v| !reached.contains(&v.as_str())).collect(),
        silent: here.silent()?,
        parameters,
        ops,
        checked,
        non_finite: session.first_non_finite(graph, &[loss], feeds)?,
    })
}

#[cfg(test)]
mod tests;

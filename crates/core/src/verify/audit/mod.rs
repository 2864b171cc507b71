//! The gradient audit: a graph's own gradients beside finite differences of its loss, and what else may be wrong with them.

mod findings;
mod ops;
mod parameters;
mod report;
mod slope;
mod step_values;
mod text;

pub use report::{Audit, Estimate, OpAudit, ParameterAudit, Silent, Verdict};

use crate::{Array, Kind, Params, Result, SettingError, Tensor};
use step_values::StepValues;

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
/// let loss = (&error * &error).sum_keepdim(&[0]);
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
        return Err(SettingError::LossNotScalar { loss: loss.spec().clone() }.into());
    }
    let step = StepValues::new(loss, feeds)?;
    let ops = ops::check(&step)?;
    let params = graph.variables().first().map_or_else(Params::default, |variable| variable.params().clone());
    let reached: Vec<&str> = step.parameters.iter().map(|parameter| parameter.variable.name()).collect();
    let trained = params.variables().into_iter().filter(|v| v.kind() == Kind::Parameter && v.is_trainable());
    Ok(Audit {
        loss: step.interpreter.value(&step.base, step.loss)?.to_f64()[0],
        parameters: parameters::check(&step, &ops)?,
        kinks: ops.kinks.len(),
        unknown: ops.unknown.len(),
        without_gradient: trained.map(|v| v.name().to_string()).filter(|v| !reached.contains(&v.as_str())).collect(),
        ops: ops.wrong,
        checked: ops.checked,
        estimated: findings::estimated(&step),
        silent: findings::silent(&step)?,
        non_finite: findings::non_finite(&step, &params)?,
    })
}

#[cfg(test)]
mod tests;

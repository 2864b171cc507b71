//! The gradient audit: compares a graph's gradients with finite differences of its loss and reports related
//! problems.

mod derivative;
mod findings;
mod ops;
mod parameters;
mod report;
mod step_values;
mod text;

pub use report::{Audit, Estimate, GradientVerdict, OpAudit, ParameterAudit, SilentUnits};

use crate::{Array, Kind, Params, Result, SettingError, Tensor};
use step_values::StepValues;

/// Compares the gradients of `loss`, which must have one element, with finite differences of the loss, all in
/// `f64`.
///
/// For every parameter, the directional derivative `g·d` along a random direction `d` is compared with the central
/// difference `(L(θ + t·d) − L(θ − t·d)) / 2t`. This is evaluated for several `t` with Richardson extrapolation,
/// and the result with the smallest estimated error is used. More than 16 parameters are divided into sets that
/// are moved together; if the derivatives of a set disagree, its parameters are moved one at a time. The gradient
/// rule of every op between parameters and the loss is checked in the same way, with a random cotangent, at the
/// values that the op's inputs have in this step. A wrong gradient rule is therefore reported with the source line
/// of the op.
///
/// A disagreement is checked again, so that a kink, such as a `ReLU` at 0, is not reported as wrong. A pointwise
/// op is checked element by element, and the gradient of an element at a kink must be between the one-sided
/// derivatives. Other ops are checked at nearby values. `detach`ed values are kept constant, and dropout draws the
/// same numbers each time. An op that declares its gradient an estimate
/// ([`Pointwise::estimated`](crate::Pointwise::estimated), [`Op::estimated`](crate::Op::estimated)) is listed but
/// not compared.
///
/// The graph is not changed, even if it contains an optimizer; no variable is updated and no counter advances. The
/// newest values of variables must be on the host: call [`Session::sync`](crate::Session::sync) before. The audit
/// costs about a hundred runs of the loss in `f64` on the host, regardless of the number of parameters, and needs
/// memory for all values of a step. A batch of a few examples is enough.
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
/// Returns an error if the graph contains an error, the loss has several elements, a feed is missing or has the
/// wrong shape or type, or the newest value of a variable is on a device.
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
    let with_gradient: Vec<&str> = step.parameters.iter().map(|parameter| parameter.variable.name()).collect();
    let trained = params.variables().into_iter().filter(|v| v.kind() == Kind::Parameter && v.is_trainable());
    Ok(Audit {
        loss: step.interpreter.value(&step.base, step.loss)?.to_f64()[0],
        parameters: parameters::check(&step, &ops)?,
        kinks: ops.kinks.len(),
        unknown: ops.unknown.len(),
        without_gradient: trained
            .map(|v| v.name().to_string())
            .filter(|v| !with_gradient.contains(&v.as_str()))
            .collect(),
        ops: ops.wrong,
        checked: ops.checked,
        estimated: findings::estimated(&step),
        silent: findings::silent(&step)?,
        non_finite: findings::non_finite(&step, &params)?,
    })
}

#[cfg(test)]
mod tests;

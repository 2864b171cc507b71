//! Runs a recorded call on a device and compares all results with PyTorch's.
//!
//! Distances are relative to max(1, |truth|), and the largest distance in a tensor counts. The truth is PyTorch's
//! `f64` result. The generator recorded two numbers that describe how sensitive a tensor is to rounding. `own` is
//! the error of PyTorch's `f32` run. `moved` is the largest change of the truth over four draws in which every
//! input changes by a random relative `±2⁻²⁴`. The bounds are
//!
//! - on the CPU in `f64`: 1e-11, or the effect of inputs rounded to `f64`, `64 · moved · 2⁻²⁹`;
//! - in `f32`, on the CPU and on GPUs: the largest of `4 · own`, `16 · moved` and `64 · 2⁻²⁴`, because PyTorch is
//!   often exact by chance. Integers must be equal.
//!
//! On GPUs, numbers that are not finite are not compared, because WGSL lets a driver assume that there are none.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wgrad::core::{Backend, vjp};
use wgrad::prelude::*;

use crate::call::{Adapter, Call, Refusal};
use crate::fixture::Case;
use crate::rules::Rules;

const EPS: f64 = 5.960_464_477_539_063e-8;

/// Precision of a device, which determines the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    F64,
    F32,
    /// `f32` on a device that need not support infinities.
    Gpu,
}

/// A call translated to a graph, or the reason why it could not be translated.
pub enum Traced<'a> {
    Graph(Call<'a>, Vec<Tensor>),
    Refused(Refusal),
}

/// Translates a call to a graph.
///
/// # Errors
/// If the call adapter panics.
pub fn trace(case: &Case, adapter: Adapter) -> Result<Traced<'_>, String> {
    let call = Call::new(case);
    match catch_unwind(AssertUnwindSafe(|| adapter(&call))) {
        Ok(Ok(outputs)) => Ok(Traced::Graph(call, outputs)),
        Ok(Err(refusal)) => Ok(Traced::Refused(refusal)),
        Err(_) => Err(format!("{case}: the adapter panicked")),
    }
}

/// Returns wgrad's error message for a call that PyTorch refuses, or `None` if wgrad accepts the call.
///
/// # Errors
/// If the call adapter panics.
pub fn refusal(case: &Case, adapter: Adapter) -> Result<Result<Option<String>, Refusal>, String> {
    let (call, outputs) = match trace(case, adapter)? {
        Traced::Refused(Refusal::Untypable(what)) => return Ok(Ok(Some(what))),
        Traced::Refused(lacks) => return Ok(Err(lacks)),
        Traced::Graph(call, outputs) => (call, outputs),
    };
    if let Err(error) = call.graph.check() {
        return Ok(Ok(Some(error.to_string())));
    }
    let run = || -> Result<()> {
        let mut session = Session::new(CpuBackend::<f64>::new(), &call.params)?;
        let step = session.compile(&call.graph, &outputs.iter().collect::<Vec<_>>())?;
        let fed = call.fed.borrow();
        session.run(&step, &fed.iter().map(|fed| (&fed.tensor, &fed.array)).collect::<Vec<_>>())?;
        Ok(())
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => Ok(Ok(result.err().map(|error| error.to_string()))),
        Err(_) => Err(format!("{case}: wgrad panicked where PyTorch says {}", case.error.as_deref().unwrap_or(""))),
    }
}

/// Returns messages about all differences between wgrad and PyTorch for a call on a device.
pub fn differences(
    case: &Case,
    adapter: Adapter,
    backend: Box<dyn Backend>,
    on: Precision,
    rules: &Rules,
) -> Vec<String> {
    let (call, outputs) = match trace(case, adapter) {
        Ok(Traced::Graph(call, outputs)) => (call, outputs),
        // The module `rules` checks once that this refusal is listed.
        Ok(Traced::Refused(_)) => return vec![],
        Err(panicked) => return vec![panicked],
    };
    let run = || compare(case, &call, &outputs, backend, on, rules);
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(wrong)) => wrong,
        Ok(Err(error)) => vec![format!("{case}: {error}")],
        Err(panic) => {
            let said = panic.downcast_ref::<String>().cloned();
            vec![format!("{case}: a panic: {}", said.unwrap_or_default())]
        }
    }
}

/// Returns whether a buffer of a PyTorch module is an option in wgrad, as the weights of a loss are.
fn is_option(case: &Case, name: &str) -> bool {
    case.options.get(name).is_some_and(serde_json::Value::is_object)
}

/// Sets each variable of the call adapter's layers to the PyTorch tensor of the same name.
fn set_state(case: &Case, call: &Call<'_>) -> Result<(), String> {
    let variables = call.params.variables();
    for variable in &variables {
        let key = format!("state/{}", variable.name());
        if !case.has(&key) {
            return Err(format!("PyTorch has no {}", variable.name()));
        }
        variable.set(case.array(&key)).map_err(|error| error.to_string())?;
    }
    let counters = call.params.counters();
    // A variable with `@` in its name exists only in wgrad: it counts random draws.
    for (name, counter) in counters.iter().filter(|(name, _)| !name.contains('@')) {
        let count = case.array(&format!("state/{name}")).item().map_err(|error| error.to_string())?;
        counter.set(count as u64);
    }
    let fed = call.fed.borrow();
    let known = |name: &str| {
        variables.iter().any(|variable| variable.name() == name)
            || counters.iter().any(|(counter, _)| &**counter == name)
            || fed.iter().any(|fed| fed.path.strip_prefix("state/") == Some(name))
            || is_option(case, name)
    };
    let unknown: Vec<_> = case.keys("state/").filter(|name| !known(name)).collect();
    if unknown.is_empty() { Ok(()) } else { Err(format!("nothing takes the state {unknown:?}")) }
}

fn compare(
    case: &Case,
    call: &Call<'_>,
    outputs: &[Tensor],
    backend: Box<dyn Backend>,
    on: Precision,
    rules: &Rules,
) -> Result<Vec<String>, String> {
    call.graph.check().map_err(|error| error.to_string())?;
    set_state(case, call)?;
    if outputs.len() != case.outputs {
        return Err(format!("{} outputs, not {}", outputs.len(), case.outputs));
    }
    let mut wrong = vec![];
    let mut fetches: Vec<(String, Tensor)> = vec![];
    for (i, output) in outputs.iter().enumerate() {
        let key = format!("out/{i}");
        let shape = case.array(&key).shape().clone();
        if output.shape() != shape {
            return Err(format!("{key} has the shape {}, not {shape}", output.shape()));
        }
        fetches.push((key, output.clone()));
    }
    // The recorded output gradients are fed for float outputs. Every gradient that PyTorch returned is compared.
    let mut feeds: Vec<(Tensor, Array)> =
        call.fed.borrow().iter().map(|fed| (fed.tensor.clone(), fed.array.clone())).collect();
    let mut pairs = vec![];
    for i in case.keys("cot/") {
        let array = case.array(&format!("cot/{i}"));
        let cotangent = call.graph.input(format!("cot/{i}"), array.shape(), DType::F32);
        pairs.push((outputs[i.parse::<usize>().expect("a number")].clone(), cotangent.clone()));
        feeds.push((cotangent, array));
    }
    let mut wrt: Vec<(String, Tensor)> = vec![];
    for (gradient, of) in [("din/", "in/"), ("dstate/", "state/")] {
        for name in case.keys(gradient) {
            let source = format!("{of}{name}");
            if let Some(fed) = call.fed.borrow().iter().find(|fed| fed.path == source) {
                wrt.push((format!("{gradient}{name}"), fed.tensor.clone()));
            } else if let Some(variable) = call.params.variables().iter().find(|v| of == "state/" && v.name() == name) {
                wrt.push((format!("{gradient}{name}"), call.graph.variable(variable)));
            } else if !call.constants.borrow().contains(&source) {
                wrong.push(format!("{case}: nothing takes {source}, which has a gradient"));
            } else if !rules.allows_no_gradient(case, name) {
                wrong.push(format!("{case}: {source} is data here and has a gradient in PyTorch"));
            }
        }
    }
    let pairs: Vec<_> = pairs.iter().map(|(y, dy)| (y, dy)).collect();
    let tensors: Vec<_> = wrt.iter().map(|(_, tensor)| tensor.clone()).collect();
    for ((key, tensor), gradient) in wrt.iter().zip(vjp(&pairs, &tensors)) {
        let zero = || call.graph.constant(0.0).expand(tensor.shape());
        fetches.push((key.clone(), gradient.unwrap_or_else(zero)));
    }
    let mut session = Session::new(backend, &call.params).map_err(|error| error.to_string())?;
    let tensors: Vec<_> = fetches.iter().map(|(_, tensor)| tensor).collect();
    let step = session.compile(&call.graph, &tensors).map_err(|error| error.to_string())?;
    let feeds: Vec<_> = feeds.iter().map(|(tensor, array)| (tensor, array)).collect();
    let found = session.run(&step, &feeds).map_err(|error| error.to_string())?;
    for ((key, _), found) in fetches.iter().zip(&found) {
        wrong.extend(difference(case, key, found, on, rules));
    }
    session.sync().map_err(|error| error.to_string())?;
    for name in case.keys("after/") {
        let key = format!("after/{name}");
        if let Some((_, counter)) = call.params.counters().iter().find(|(counter, _)| &**counter == name) {
            let found = Array::scalar(counter.get() as f64);
            wrong.extend(difference(case, &key, &found, on, rules));
        } else if !is_option(case, name) {
            let variable = call.params.get(name).map_err(|error| error.to_string())?;
            let value = variable.value().map_err(|error| error.to_string())?;
            wrong.extend(difference(case, &key, &value, on, rules));
        }
    }
    Ok(wrong)
}

/// Compares one result with PyTorch's. Returns a message if they differ.
fn difference(case: &Case, key: &str, found: &Array, on: Precision, rules: &Rules) -> Option<String> {
    let truth = case.array(key);
    if found.shape() != truth.shape() {
        return Some(format!("{case} {key}: the shape is {}, not {}", found.shape(), truth.shape()));
    }
    let bound = if truth.dtype().is_float() {
        let (own, moved) = case.off(key);
        let derived = match on {
            Precision::F64 => (64.0 * moved * 2f64.powi(-29)).max(1e-11),
            Precision::F32 | Precision::Gpu => (4.0 * own).max(16.0 * moved).max(64.0 * EPS),
        };
        rules.looser(case, key, on).map_or(derived, |looser| derived.max(looser))
    } else {
        0.0
    };
    let (found, truth) = (found.to_f64(), truth.to_f64());
    let apart = |(&a, &b): (&f64, &f64)| distance(a, b, on);
    let worst = found.iter().zip(&truth).map(apart).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    let (i, worst) = worst.filter(|(_, worst)| *worst > bound)?;
    Some(format!("{case} {key}[{i}] is {:e}, not {:e}: {worst:.1e} above {bound:.1e}", found[i], truth[i]))
}

#[allow(clippy::float_cmp, reason = "equal infinities have no distance")]
fn distance(found: f64, truth: f64, on: Precision) -> f64 {
    let beyond = |x: f64| !x.is_finite() || x.abs() > f64::from(f32::MAX);
    if found == truth || (found.is_nan() && truth.is_nan()) || (on == Precision::Gpu && beyond(truth)) {
        return 0.0;
    }
    // A value beyond the range of `f32` is infinite in `f32`, so it counts as equal.
    if on == Precision::F32 && beyond(truth) && beyond(found) && found.is_sign_negative() == truth.is_sign_negative() {
        return 0.0;
    }
    let off = (found - truth).abs() / truth.abs().max(1.0);
    if off.is_nan() { f64::INFINITY } else { off }
}

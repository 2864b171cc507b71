//! `wgrad train --audit`: compares gradients with finite differences after a few steps, in place of a full
//! training.

use std::process::ExitCode;

use serde_json::{Value, json};
use wgrad_core::{Audit, Result};

use crate::output::verdict;
use crate::train::lockstep::location;

/// Prints the result of the audit (the comparison of gradients with finite differences). Returns the exit code,
/// which is 1 if a gradient is wrong or a value is not finite.
///
/// # Errors
/// If standard output cannot be written.
pub fn show(audit: &Audit, json: bool) -> Result<ExitCode> {
    verdict(audit.passes(), &format!("{audit}\n"), json.then(|| line(audit)))
}

fn line(audit: &Audit) -> Value {
    let parameters = audit.parameters.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "spec": parameter.spec,
            "at": location(&parameter.site),
            "norm": parameter.norm,
            "gradient_norm": parameter.gradient_norm,
            "zeros": parameter.zeros,
            "update": parameter.update,
            "claimed": parameter.claimed,
            "measured": parameter.measured,
            "verdict": format!("{:?}", parameter.verdict).to_lowercase(),
            "notes": audit.notes(parameter),
        })
    });
    let ops = audit.ops.iter().map(|op| {
        json!({
            "name": op.name,
            "at": location(&op.site),
            "input": op.input,
            "missing": op.missing,
            "claimed": op.claimed,
            "measured": op.measured,
        })
    });
    let estimated = audit.estimated.iter().map(|op| json!({ "name": op.name, "at": location(&op.site) }));
    let silent = audit
        .silent
        .iter()
        .map(|op| json!({ "name": op.name, "at": location(&op.site), "units": op.units, "of": op.of }));
    json!({
        "passes": audit.passes(),
        "loss": audit.loss,
        "parameters": parameters.collect::<Vec<_>>(),
        "wrong_ops": ops.collect::<Vec<_>>(),
        "checked_ops": audit.checked,
        "ops_at_kinks": audit.kinks,
        "unknown_ops": audit.unknown,
        "estimated_ops": estimated.collect::<Vec<_>>(),
        "silent_units": silent.collect::<Vec<_>>(),
        "without_gradient": audit.without_gradient,
        "non_finite": audit.non_finite.as_ref().map(ToString::to_string),
    })
}

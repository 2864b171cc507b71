//! `wgrad train --lockstep`: runs the first training steps on a device and on the CPU reference, and compares
//! every node of the graph.

use std::process::ExitCode;

use serde_json::{Value, json};
use wgrad_core::{Deviation, FusedCheck, Lockstep, NodeCheck, Result, Site};
use wgrad_train::{Compared, Comparison};

use crate::output::verdict;

/// Results of comparing the first steps with the reference, and one step with a recording from PyTorch if
/// requested.
pub struct Comparisons {
    pub steps: Vec<Lockstep>,
    pub comparison: Option<Comparison>,
}

impl Comparisons {
    fn passes(&self) -> bool {
        self.steps.iter().all(Lockstep::passes) && self.comparison.as_ref().is_none_or(Comparison::passes)
    }

    /// Prints the result and returns the exit code, which is 1 if a comparison fails.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn show(&self, json: bool) -> Result<ExitCode> {
        let mut text = String::new();
        if let Some(comparison) = &self.comparison {
            text = format!("{comparison}\n\n");
        }
        for (i, step) in self.steps.iter().enumerate() {
            // The run stops at the first step that fails, so only the last step can have failed.
            if i + 1 == self.steps.len() {
                text = format!("{text}step {}: {step}\n", i + 1);
            }
        }
        let line = || {
            json!({
                "passes": self.passes(),
                "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
                "against": self.comparison.as_ref().map(comparison),
            })
        };
        verdict(self.passes(), &text, json.then(line))
    }
}

pub fn location(site: &Site) -> Value {
    json!({ "file": site.location.file(), "line": site.location.line(), "scope": site.scope })
}

fn worst(worst: Option<&Deviation>) -> Value {
    worst.map_or(Value::Null, |worst| {
        json!({
            "element": worst.at,
            "got": worst.got,
            "truth": worst.truth,
            "bound": worst.bound,
            "error": worst.error(),
            "ulp": worst.ulp(),
            "share": worst.bound_fraction(),
        })
    })
}

fn step(step: &Lockstep) -> Value {
    let node = |node: &NodeCheck| json!({ "name": node.name, "spec": node.spec, "at": location(&node.site), "worst": worst(node.worst.as_ref()), "fails": node.fails() });
    let result = |result: &FusedCheck| json!({ "name": result.name, "at": location(&result.site), "worst": worst(result.worst.as_ref()), "fails": result.fails() });
    json!({
        "device": step.device.to_string(),
        "passes": step.passes(),
        "only_fused": step.only_fused(),
        "first_failure": step.first_failure().map(node),
        "nodes": step.nodes.iter().map(node).collect::<Vec<_>>(),
        "fused": step.fused.iter().map(result).collect::<Vec<_>>(),
    })
}

fn comparison(of: &Comparison) -> Value {
    let one = |one: &Compared| {
        json!({
            "stage": format!("{:?}", one.stage).to_lowercase(),
            "name": one.name,
            "at": location(&one.site),
            "worst": worst(one.worst.as_ref()),
            "differs": one.differs(),
            "unseen": one.unseen,
        })
    };
    json!({
        "passes": of.passes(),
        "first_difference": of.first_difference().map(one),
        "compared": of.compared.iter().map(one).collect::<Vec<_>>(),
        "skipped": of.skipped,
        "lockstep": step(&of.lockstep),
    })
}

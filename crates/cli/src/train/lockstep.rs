//! `wgrad train --lockstep`: steps of a training held to the reference, instead of a training.

use std::process::ExitCode;

use serde_json::{Value, json};
use wgrad_core::{Deviation, FusedCheck, Lockstep, NodeCheck, Result, Site};
use wgrad_train::{Compared, Comparison};

use crate::output::verdict;

/// What was found: the steps, and the comparison with a recording.
pub struct Found {
    pub steps: Vec<Lockstep>,
    pub comparison: Option<Comparison>,
}

impl Found {
    fn passes(&self) -> bool {
        self.steps.iter().all(Lockstep::passes) && self.comparison.as_ref().is_none_or(Comparison::passes)
    }

    /// Prints the verdict, and gives the exit code: 1 if something fails.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn show(&self, json: bool) -> Result<ExitCode> {
        let mut text = String::new();
        if let Some(comparison) = &self.comparison {
            text = format!("{comparison}\n\n");
        }
        for (i, step) in self.steps.iter().enumerate() {
            // Of several steps, the last one says it all: it is the first that fails, if one does.
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

pub fn at(site: &Site) -> Value {
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
    let node = |node: &NodeCheck| json!({ "name": node.name, "spec": node.spec, "at": at(&node.site), "worst": worst(node.worst.as_ref()), "fails": node.fails() });
    let result = |result: &FusedCheck| json!({ "name": result.name, "at": at(&result.site), "worst": worst(result.worst.as_ref()), "fails": result.fails() });
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
            "at": at(&one.site),
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

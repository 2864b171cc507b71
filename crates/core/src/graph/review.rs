//! Lints of a graph: those recorded while the graph is traced, and those found in the complete graph.

use std::collections::HashSet;
use std::sync::Arc;

use crate::graph::lints::{EVALUATION_IN_TRAINING_MODE, Lint, PARAMETER_WITHOUT_GRADIENT, Warning};
use crate::graph::node::{GraphData, Node, NodeKind};
use crate::{Graph, InvalidArgument, Kind, Mode, Site, Tensor};

impl Graph {
    /// Records a lint about `op` applied to `inputs`, at the caller's line. A lint is recorded only once per line
    /// and scope.
    #[track_caller]
    pub fn lint(&self, lint: &'static Lint, op: &str, inputs: &[&Tensor], invalid: InvalidArgument) {
        let inputs = inputs.iter().map(|input| input.spec().to_string()).collect();
        let warning = Warning::new(lint, op, inputs, invalid, self.site());
        self.data().lints.add(warning);
    }

    /// Allows a lint in this graph: the lint is no longer reported, not even for ops traced before this call.
    pub fn allow(&self, lint: &'static Lint) {
        self.data().lints.allow(lint);
    }

    /// Returns the warnings recorded so far. `compile` adds those that can only be found in the complete graph.
    pub fn warnings(&self) -> Vec<Warning> {
        self.data().lints.warnings()
    }

    /// Checks the complete graph and returns all warnings.
    pub(crate) fn review(&self) -> Vec<Warning> {
        let mut data = self.data();
        if self.mode() == Mode::Train
            && let Some(warning) = whole(&data)
        {
            data.lints.replace(warning);
        }
        data.lints.warnings()
    }
}

/// Returns a warning if the training graph does not update all trained parameters, or if it trains nothing
/// although it applies dropout or updates running statistics.
fn whole(data: &GraphData) -> Option<Warning> {
    let updates = |kind| data.updates.iter().filter(move |update| update.variable.kind() == kind);
    if let Some(update) = updates(Kind::Parameter).next() {
        let left = without_gradient(data);
        let site = data.nodes[update.value.node].site.clone();
        return (!left.is_empty()).then(|| untrained(&left, site));
    }
    if data.differentiated || updates(Kind::State).next().is_some() {
        return None;
    }
    let moved = updates(Kind::Buffer).next().map(|update| &data.nodes[update.value.node].site);
    let draws = || {
        let drawn = |node: &&Arc<Node>| {
            node.inputs.iter().any(|input| matches!(data.nodes[input.node].kind, NodeKind::Scheduled(_)))
        };
        data.nodes.iter().find(drawn).filter(|_| !data.counters.is_empty()).map(|node| &node.site)
    };
    let invalid = InvalidArgument::new("the graph is in training mode but trains nothing: units are dropped, and statistics of the batch are used and moved")
        .fix("to evaluate, trace it with Graph::new(Mode::Evaluate)")
        .fix("to train, let an optimizer minimize the loss before the graph is compiled");
    let site = moved.cloned().or_else(|| draws().cloned())?;
    Some(Warning::new(&EVALUATION_IN_TRAINING_MODE, "compile", vec![], invalid, site))
}

/// Returns the names of the trained parameters that the graph does not update.
fn without_gradient(data: &GraphData) -> Vec<String> {
    let updated: HashSet<&str> = data.updates.iter().map(|update| update.variable.name()).collect();
    data.trained.names().iter().filter(|name| !updated.contains(name.as_str())).cloned().collect()
}

fn untrained(names: &[String], site: Site) -> Warning {
    const SHOWN: usize = 5;
    let mut list: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if names.len() > SHOWN {
        list.push(format!("{} more", names.len() - SHOWN));
    }
    let (are, them) = if names.len() == 1 { ("gets", "it") } else { ("get", "them") };
    let invalid =
        InvalidArgument::new(format!("{} {are} no gradient: the loss does not depend on {them}", list.join(", ")))
            .fix("use the layer in `forward`; nothing flows back through `detach`, comparisons and integers")
            .fix("or freeze what shall stay as it is: `params.at(\"encoder\").set_trainable(false)`");
    Warning::new(&PARAMETER_WITHOUT_GRADIENT, "minimize", vec![], invalid, site)
}

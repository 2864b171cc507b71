//! Lints of a graph: what is reported while it is traced, and a look at it as a whole.

use std::collections::HashSet;
use std::sync::Arc;

use crate::graph::advice::{Advice, EVALUATION_IN_TRAINING_MODE, PARAMETER_WITHOUT_GRADIENT, Warning};
use crate::graph::node::{GraphData, Node, NodeKind};
use crate::{Graph, Kind, Misfit, Mode, Site, Tensor};

impl Graph {
    /// Records advice about what `op` makes of `inputs`, at the caller's line. Once per line and scope.
    #[track_caller]
    pub fn advise(&self, advice: &'static Advice, op: &str, inputs: &[&Tensor], misfit: Misfit) {
        let inputs = inputs.iter().map(|input| input.spec().to_string()).collect();
        let warning = Warning::new(advice, op, inputs, misfit, self.site());
        self.data().advised.add(warning);
    }

    /// Permits what `advice` is about in this graph, wherever it stands, before or after this call.
    pub fn allow(&self, advice: &'static Advice) {
        self.data().advised.allow(advice);
    }

    /// The warnings about the graph as far as it is traced. `compile` adds what it sees of the graph as a whole.
    pub fn warnings(&self) -> Vec<Warning> {
        self.data().advised.warnings()
    }

    /// Looks at the graph as a whole, and returns all warnings.
    pub(crate) fn review(&self) -> Vec<Warning> {
        let mut data = self.data();
        if self.mode() == Mode::Train
            && let Some(warning) = whole(&data)
        {
            data.advised.replace(warning);
        }
        data.advised.warnings()
    }
}

/// What is wrong with a training graph as a whole.
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
    let misfit = Misfit::new("the graph is in training mode but trains nothing: units are dropped, and statistics of the batch are used and moved")
        .fix("to evaluate, trace it with Graph::new(Mode::Evaluate)")
        .fix("to train, let an optimizer minimize the loss before the graph is compiled");
    let site = moved.cloned().or_else(|| draws().cloned())?;
    Some(Warning::new(&EVALUATION_IN_TRAINING_MODE, "compile", vec![], misfit, site))
}

/// Returns the parameters that are to be moved and are not updated.
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
    let misfit = Misfit::new(format!("{} {are} no gradient: the loss does not depend on {them}", list.join(", ")))
        .fix("use the layer in `forward`; nothing flows back through `detach`, comparisons and integers")
        .fix("or freeze what shall stay as it is: `params.at(\"encoder\").set_trainable(false)`");
    Warning::new(&PARAMETER_WITHOUT_GRADIENT, "minimize", vec![], misfit, site)
}

//! Advice: what fits and still is hardly meant. A graph collects it while it is traced, `compile` tells it.

use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::graph::node::{GraphData, NodeKind};
use crate::{Graph, GraphError, Kind, Misfit, Mode, Params, Site, Tensor};

/// A mistake that a graph can be seen to make, although every shape fits.
///
/// What can only be a mistake is an error that `compile` returns; the rest are warnings. [`Graph::allow`] permits one
/// of them in one graph. An op or layer of one's own may declare its own:
///
/// ```
/// use wgrad_core::{Advice, DType, Graph, Misfit, Mode};
/// pub static NEGATED: Advice = Advice::warning("NEGATED");
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [3], DType::F32);
/// graph.advise(&NEGATED, "my_loss", &[&x], Misfit::new("a loss is not negated").fix("remove the minus"));
/// assert_eq!(graph.warnings().len(), 1);
/// graph.allow(&NEGATED);
/// assert!(graph.warnings().is_empty());
/// ```
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Advice {
    name: &'static str,
    error: bool,
}

impl Advice {
    /// Advice that is told and changes nothing, under the name of its constant.
    #[must_use]
    pub const fn warning(name: &'static str) -> Self {
        Self { name, error: false }
    }

    /// Advice without which `compile` refuses the graph, under the name of its constant.
    #[must_use]
    pub const fn error(name: &'static str) -> Self {
        Self { name, error: true }
    }

    /// The name of the constant.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// A parameter that is to be trained and that no update reaches.
pub static PARAMETER_WITHOUT_GRADIENT: Advice = Advice::warning("PARAMETER_WITHOUT_GRADIENT");

/// A graph in training mode that does not train, but moves running statistics or drops out.
pub static EVALUATION_IN_TRAINING_MODE: Advice = Advice::warning("EVALUATION_IN_TRAINING_MODE");

/// One piece of advice about one line of a program.
#[derive(Clone, Debug)]
pub struct Warning {
    /// Which mistake.
    pub advice: &'static Advice,
    /// What is wrong, where, and the fixes; the last one says how to allow it.
    pub what: GraphError,
}

impl Warning {
    fn new(advice: &'static Advice, op: &str, inputs: Vec<String>, misfit: Misfit, site: Site) -> Self {
        let misfit = misfit.fix(format!("or, if it is meant, `graph.allow(&advice::{})`", advice.name));
        Self { advice, what: GraphError { op: op.into(), inputs, misfit, site } }
    }

    fn place(&self) -> (&'static str, &'static Location<'static>, String) {
        (self.advice.name, self.what.site.location, self.what.site.scope.clone())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "warning: {}", self.what)
    }
}

/// Whom a session tells warnings. Called from the thread that compiles.
pub type OnWarning = Arc<dyn Fn(&Warning) + Send + Sync>;

/// What a graph was advised, and what was allowed.
#[derive(Default)]
pub(crate) struct Advised {
    warnings: Vec<Warning>,
    allowed: HashSet<&'static str>,
}

impl Advised {
    fn held(&self, error: bool) -> impl Iterator<Item = &Warning> {
        self.warnings.iter().filter(move |w| w.advice.error == error && !self.allowed.contains(w.advice.name))
    }

    pub fn error(&self) -> Option<&GraphError> {
        self.held(true).map(|warning| &warning.what).next()
    }
}

impl Graph {
    /// Records advice about what `op` makes of `inputs`, at the caller's line. Once per line and scope.
    #[track_caller]
    pub fn advise(&self, advice: &'static Advice, op: &str, inputs: &[&Tensor], misfit: Misfit) {
        let inputs = inputs.iter().map(|input| input.spec().to_string()).collect();
        let warning = Warning::new(advice, op, inputs, misfit, self.site());
        let known = &mut self.data().advised.warnings;
        if known.iter().all(|known| known.place() != warning.place()) {
            known.push(warning);
        }
    }

    /// Permits what `advice` is about in this graph, wherever it stands, before or after this call.
    pub fn allow(&self, advice: &'static Advice) {
        self.data().advised.allowed.insert(advice.name);
    }

    /// The warnings about the graph as far as it is traced. `compile` adds what it sees of the graph as a whole.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        self.data().advised.held(false).cloned().collect()
    }

    /// Looks at the graph as a whole, and returns all warnings.
    pub(crate) fn review(&self, params: &Params) -> Vec<Warning> {
        let seen = if self.mode() == Mode::Train { whole(&self.data(), params) } else { None };
        if let Some(warning) = seen {
            let known = &mut self.data().advised.warnings;
            known.retain(|known| known.advice != warning.advice);
            known.push(warning);
        }
        self.warnings()
    }
}

/// What is wrong with a training graph as a whole.
fn whole(data: &GraphData, params: &Params) -> Option<Warning> {
    let updates = |kind| data.updates.iter().filter(move |update| update.variable.kind() == kind);
    if let Some(update) = updates(Kind::Parameter).next() {
        let left = without_gradient(data, params);
        let site = data.nodes[update.value.node].site.clone();
        return (!left.is_empty()).then(|| untrained(&left, site));
    }
    if data.differentiated || updates(Kind::State).next().is_some() {
        return None;
    }
    let moved = updates(Kind::Buffer).next().map(|update| &data.nodes[update.value.node].site);
    let draws = || {
        let drawn = |node: &&Arc<crate::Node>| {
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

/// Trainable parameters that are not updated.
fn without_gradient(data: &GraphData, params: &Params) -> Vec<String> {
    let updated: HashSet<&str> = data.updates.iter().map(|update| update.variable.name()).collect();
    let all = params.variables();
    let trained = all.iter().filter(|v| v.kind() == Kind::Parameter && v.is_trainable());
    trained.map(|v| v.name().to_string()).filter(|name| !updated.contains(name.as_str())).collect()
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

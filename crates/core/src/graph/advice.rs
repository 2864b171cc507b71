//! Lints: likely mistakes that type-check. A graph collects them while it is traced, `compile` reports them.

use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::{GraphError, Misfit, Site};

/// A mistake that a graph can be seen to make, although every shape fits.
///
/// What can only be a mistake is an error that `compile` returns; the rest are warnings. [`Graph::allow`](crate::Graph::allow) permits one
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
    pub const fn warning(name: &'static str) -> Self {
        Self { name, error: false }
    }

    /// Advice without which `compile` refuses the graph, under the name of its constant.
    pub const fn error(name: &'static str) -> Self {
        Self { name, error: true }
    }

    /// The name of the constant.
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
    pub(crate) fn new(advice: &'static Advice, op: &str, inputs: Vec<String>, misfit: Misfit, site: Site) -> Self {
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

/// Callback that receives a session's warnings. Called from the thread that compiles.
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

    /// Returns the first mistake that `compile` refuses.
    pub fn error(&self) -> Option<&GraphError> {
        self.held(true).map(|warning| &warning.what).next()
    }

    /// Returns the warnings that are not allowed.
    pub fn warnings(&self) -> Vec<Warning> {
        self.held(false).cloned().collect()
    }

    /// Adds a warning, unless the same one is known for its line and scope.
    pub fn add(&mut self, warning: Warning) {
        if self.warnings.iter().all(|known| known.place() != warning.place()) {
            self.warnings.push(warning);
        }
    }

    /// Puts a warning in the place of those with the same advice.
    pub fn replace(&mut self, warning: Warning) {
        self.warnings.retain(|known| known.advice != warning.advice);
        self.warnings.push(warning);
    }

    /// Permits what `advice` is about.
    pub fn allow(&mut self, advice: &'static Advice) {
        self.allowed.insert(advice.name);
    }
}

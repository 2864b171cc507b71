//! Lints: likely mistakes that type-check. A graph collects them while it is traced, `compile` reports them.

use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::{GraphError, InvalidArgument, Site};

/// A mistake that a graph can be seen to make, although every shape fits.
///
/// What can only be a mistake is an error that `compile` returns; the rest are warnings. [`Graph::allow`](crate::Graph::allow) permits one
/// of them in one graph. An op or layer of one's own may declare its own:
///
/// ```
/// use wgrad_core::{Lint, DType, Graph, InvalidArgument, Mode};
/// pub static NEGATED: Lint = Lint::warning("NEGATED");
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [3], DType::F32);
/// graph.lint(&NEGATED, "my_loss", &[&x], InvalidArgument::new("a loss is not negated").fix("remove the minus"));
/// assert_eq!(graph.warnings().len(), 1);
/// graph.allow(&NEGATED);
/// assert!(graph.warnings().is_empty());
/// ```
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Lint {
    name: &'static str,
    error: bool,
}

impl Lint {
    /// Lint that is told and changes nothing, under the name of its constant.
    pub const fn warning(name: &'static str) -> Self {
        Self { name, error: false }
    }

    /// Lint without which `compile` refuses the graph, under the name of its constant.
    pub const fn error(name: &'static str) -> Self {
        Self { name, error: true }
    }

    /// The name of the constant.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// A parameter that is to be trained and that no update reaches.
pub static PARAMETER_WITHOUT_GRADIENT: Lint = Lint::warning("PARAMETER_WITHOUT_GRADIENT");

/// A graph in training mode that does not train, but moves running statistics or drops out.
pub static EVALUATION_IN_TRAINING_MODE: Lint = Lint::warning("EVALUATION_IN_TRAINING_MODE");

/// One piece of lint about one line of a program.
#[derive(Clone, Debug)]
pub struct Warning {
    /// Which mistake.
    pub lint: &'static Lint,
    /// What is wrong, where, and the fixes; the last one says how to allow it.
    pub what: GraphError,
}

impl Warning {
    pub(crate) fn new(
        lint: &'static Lint,
        op: &str,
        inputs: Vec<String>,
        invalid: InvalidArgument,
        site: Site,
    ) -> Self {
        let invalid = invalid.fix(format!("or, if it is meant, `graph.allow(&lints::{})`", lint.name));
        Self { lint, what: GraphError { op: op.into(), inputs, invalid, site } }
    }

    fn place(&self) -> (&'static str, &'static Location<'static>, String) {
        (self.lint.name, self.what.site.location, self.what.site.scope.clone())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "warning: {}", self.what)
    }
}

/// Callback that receives a session's warnings. Called from the thread that compiles.
pub type OnWarning = Arc<dyn Fn(&Warning) + Send + Sync>;

/// What a graph was warnings, and what was allowed.
#[derive(Default)]
pub(crate) struct Lints {
    warnings: Vec<Warning>,
    allowed: HashSet<&'static str>,
}

impl Lints {
    fn held(&self, error: bool) -> impl Iterator<Item = &Warning> {
        self.warnings.iter().filter(move |w| w.lint.error == error && !self.allowed.contains(w.lint.name))
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

    /// Puts a warning in the place of those with the same lint.
    pub fn replace(&mut self, warning: Warning) {
        self.warnings.retain(|known| known.lint != warning.lint);
        self.warnings.push(warning);
    }

    /// Permits what `lint` is about.
    pub fn allow(&mut self, lint: &'static Lint) {
        self.allowed.insert(lint.name);
    }
}

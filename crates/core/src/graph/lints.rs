//! Lints: likely mistakes that fit all shapes and types. A graph collects them while it is traced, `compile` reports
//! them.

use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::{GraphError, InvalidArgument, Site};

/// Kind of likely mistake in a graph whose shapes and types all fit.
///
/// A lint of level error can only be a mistake, and `compile` returns it; the others are warnings.
/// [`Graph::allow`](crate::Graph::allow) permits a lint in a graph. User-defined ops and layers may declare more:
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
    /// Declares a lint that is only reported, under the name of its constant.
    pub const fn warning(name: &'static str) -> Self {
        Self { name, error: false }
    }

    /// Declares a lint for which `compile` refuses the graph, under the name of its constant.
    pub const fn error(name: &'static str) -> Self {
        Self { name, error: true }
    }

    /// Returns the name of the constant.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// Parameter to be trained that has no update.
pub static PARAMETER_WITHOUT_GRADIENT: Lint = Lint::warning("PARAMETER_WITHOUT_GRADIENT");

/// Graph in training mode that trains nothing, but updates running statistics or applies dropout.
pub static EVALUATION_IN_TRAINING_MODE: Lint = Lint::warning("EVALUATION_IN_TRAINING_MODE");

/// Lint found at a line of a program.
#[derive(Clone, Debug)]
pub struct Warning {
    /// The kind of mistake.
    pub lint: &'static Lint,
    /// The problem, its place and its fixes; the last fix is to allow the lint.
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

/// Lints found in a graph, and those that are allowed.
#[derive(Default)]
pub(crate) struct Lints {
    warnings: Vec<Warning>,
    allowed: HashSet<&'static str>,
}

impl Lints {
    /// Returns the lints of a level that are not allowed.
    fn of_level(&self, error: bool) -> impl Iterator<Item = &Warning> {
        self.warnings.iter().filter(move |w| w.lint.error == error && !self.allowed.contains(w.lint.name))
    }

    /// Returns the first lint for which `compile` refuses the graph.
    pub fn error(&self) -> Option<&GraphError> {
        self.of_level(true).map(|warning| &warning.what).next()
    }

    /// Returns the warnings that are not allowed.
    pub fn warnings(&self) -> Vec<Warning> {
        self.of_level(false).cloned().collect()
    }

    /// Adds a warning, unless its line and scope have the same one.
    pub fn add(&mut self, warning: Warning) {
        if self.warnings.iter().all(|known| known.place() != warning.place()) {
            self.warnings.push(warning);
        }
    }

    /// Replaces the warnings with the same lint.
    pub fn replace(&mut self, warning: Warning) {
        self.warnings.retain(|known| known.lint != warning.lint);
        self.warnings.push(warning);
    }

    /// Allows a lint.
    pub fn allow(&mut self, lint: &'static Lint) {
        self.allowed.insert(lint.name);
    }
}

//! Lints: likely mistakes that shape and type checks do not find. A graph collects them while it is traced, and
//! `compile` reports them.

use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::{GraphError, InvalidArgument, Site};

/// Kind of likely mistake that shape and type checks do not find.
///
/// A lint has one of two levels. For a lint of level error, `compile` returns an error; other lints are only
/// warnings. [`Graph::allow`](crate::Graph::allow) switches a lint off for a graph. User-defined ops and layers
/// may declare further lints:
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
    /// Declares a lint that is reported as a warning. `name` must be the name of the constant that stores the
    /// lint.
    pub const fn warning(name: &'static str) -> Self {
        Self { name, error: false }
    }

    /// Declares a lint for which `compile` returns an error. `name` must be the name of the constant that stores
    /// the lint.
    pub const fn error(name: &'static str) -> Self {
        Self { name, error: true }
    }

    /// Returns the name of the constant that stores the lint.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// Lint: a trainable parameter is not updated by the graph.
pub static PARAMETER_WITHOUT_GRADIENT: Lint = Lint::warning("PARAMETER_WITHOUT_GRADIENT");

/// Lint: a graph in training mode updates running statistics or applies dropout, but trains nothing.
pub static EVALUATION_IN_TRAINING_MODE: Lint = Lint::warning("EVALUATION_IN_TRAINING_MODE");

/// Lint found in a graph, with its place in the user's program.
#[derive(Clone, Debug)]
pub struct Warning {
    /// The kind of mistake.
    pub lint: &'static Lint,
    /// The problem, the place and the suggested fixes. The last fix is to allow the lint.
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

/// Callback that receives a session's warnings. It is called on the thread that calls `compile`.
pub type OnWarning = Arc<dyn Fn(&Warning) + Send + Sync>;

/// Lints found in a graph, and the names of the lints that are allowed.
#[derive(Default)]
pub(crate) struct Lints {
    warnings: Vec<Warning>,
    allowed: HashSet<&'static str>,
}

impl Lints {
    /// Returns the lints found at one level (error or warning), without allowed lints.
    fn of_level(&self, error: bool) -> impl Iterator<Item = &Warning> {
        self.warnings.iter().filter(move |w| w.lint.error == error && !self.allowed.contains(w.lint.name))
    }

    /// Returns the first lint of level error that is not allowed.
    pub fn error(&self) -> Option<&GraphError> {
        self.of_level(true).map(|warning| &warning.what).next()
    }

    /// Returns all lints of level warning that are not allowed.
    pub fn warnings(&self) -> Vec<Warning> {
        self.of_level(false).cloned().collect()
    }

    /// Adds a warning, unless the same lint was already found at the same line and scope.
    pub fn add(&mut self, warning: Warning) {
        if self.warnings.iter().all(|known| known.place() != warning.place()) {
            self.warnings.push(warning);
        }
    }

    /// Adds a warning and removes earlier warnings with the same lint.
    pub fn replace(&mut self, warning: Warning) {
        self.warnings.retain(|known| known.lint != warning.lint);
        self.warnings.push(warning);
    }

    /// Allows a lint, so that it is no longer reported.
    pub fn allow(&mut self, lint: &'static Lint) {
        self.allowed.insert(lint.name);
    }
}

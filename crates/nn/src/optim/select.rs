//! Which parameters belong to a group.

use std::fmt;
use std::sync::Arc;

use wgrad_core::{Params, Variable};

/// Which parameters belong to a group: a scope by its dotted name, a list of variables, or any rule.
///
/// ```
/// use wgrad_nn::optim::{AdamW, Select};
/// let optimizer = AdamW::new(1e-3)
///     .group("encoder", 1e-4, 1e-2)
///     .group(Select::by(|parameter| parameter.shape().rank() == 1), 1e-3, 0.0);
/// ```
#[derive(Clone)]
pub struct Select {
    pub(super) name: String,
    pub(super) rule: Arc<dyn Fn(&Variable) -> bool + Send + Sync>,
}

impl Select {
    /// The parameters that `rule` is true for.
    pub fn by(rule: impl Fn(&Variable) -> bool + Send + Sync + 'static) -> Self {
        Self { name: "by a rule".into(), rule: Arc::new(rule) }
    }
}

impl fmt::Debug for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Select({})", self.name)
    }
}

impl From<&str> for Select {
    /// The parameter of this name, and those in the scope of this name.
    fn from(scope: &str) -> Self {
        let inside = scope.to_string();
        let rule = move |variable: &Variable| {
            inside.is_empty()
                || variable.name().strip_prefix(&inside).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        Self { name: format!("`{scope}`"), rule: Arc::new(rule) }
    }
}

impl From<&Params> for Select {
    fn from(scope: &Params) -> Self {
        scope.path().into()
    }
}

impl From<Vec<Variable>> for Select {
    fn from(variables: Vec<Variable>) -> Self {
        let names: Vec<_> = variables.iter().map(|variable| variable.name().to_string()).collect();
        let name = format!("of {}", names.join(", "));
        Self { name, rule: Arc::new(move |variable| names.iter().any(|name| name == variable.name())) }
    }
}

impl From<&[&Variable]> for Select {
    fn from(variables: &[&Variable]) -> Self {
        variables.iter().map(|&variable| variable.clone()).collect::<Vec<_>>().into()
    }
}

//! Selection of the parameters of a parameter group or an optimizer.

use std::fmt;
use std::sync::Arc;

use wgrad_core::{Params, Variable};

/// Selection of parameters: the parameters in a scope, the parameters in a list, or the parameters for which a
/// predicate is true.
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
    pub(super) predicate: Arc<dyn Fn(&Variable) -> bool + Send + Sync>,
}

impl Select {
    /// Selects the parameters for which `predicate` is true.
    pub fn by(predicate: impl Fn(&Variable) -> bool + Send + Sync + 'static) -> Self {
        Self { name: "by a predicate".into(), predicate: Arc::new(predicate) }
    }
}

impl fmt::Debug for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Select({})", self.name)
    }
}

impl From<&str> for Select {
    /// Selects the parameter with the name `scope`, and all parameters inside the scope with that name.
    fn from(scope: &str) -> Self {
        let inside = scope.to_string();
        let predicate = move |variable: &Variable| {
            inside.is_empty()
                || variable.name().strip_prefix(&inside).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        Self { name: format!("`{scope}`"), predicate: Arc::new(predicate) }
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
        Self { name, predicate: Arc::new(move |variable| names.iter().any(|name| name == variable.name())) }
    }
}

impl From<&[&Variable]> for Select {
    fn from(variables: &[&Variable]) -> Self {
        variables.iter().map(|&variable| variable.clone()).collect::<Vec<_>>().into()
    }
}

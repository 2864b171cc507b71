//! Errors about named variables.

use std::panic::Location;

use crate::Spec;

/// Error: a named variable is missing, has another shape, is declared twice or is out of date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// No variable has this name.
    #[error("there is no variable `{name}`; {}{}", listed(known), meant(nearest.as_deref()))]
    Unknown {
        /// The name that was looked up.
        name: String,
        /// The names of all variables.
        known: Vec<String>,
        /// The most similar known name; `None` if no name is similar.
        nearest: Option<String>,
    },
    /// A variable is declared a second time.
    #[error(
        "{}\n  at {}:{}\n  fix: give each layer a scope of its own (`params.at(\"fc2\")`), or use one layer twice to share it",
        redeclared(name, spec, earlier), at.file(), at.line()
    )]
    Redeclared {
        /// The variable's name.
        name: String,
        /// The shape and type of the second declaration.
        spec: Spec,
        /// The shape and type of the first declaration.
        earlier: Spec,
        /// The second declaration's source line.
        at: &'static Location<'static>,
    },
    /// The value on the host is out of date.
    #[error("a device holds a newer value of `{name}`; call `session.sync()` before reading or saving it")]
    OutOfDate {
        /// The variable's name.
        name: String,
    },
    /// The new value of a variable has another shape or type.
    #[error("`{name}` is {spec}, the new value is {value}")]
    Spec {
        /// The variable's name.
        name: String,
        /// The variable's shape and type.
        spec: Spec,
        /// The new value's shape and type.
        value: Spec,
    },
    /// A variable belongs to a [`Params`](crate::Params) store other than the session's.
    #[error("`{name}` belongs to other Params than those of this session")]
    OtherParams {
        /// The variable's name.
        name: String,
    },
}

fn listed(known: &[String]) -> String {
    if known.is_empty() { "none is declared".into() } else { format!("there are: {}", known.join(", ")) }
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("\n  fix: did you mean `{name}`?"))
}

fn redeclared(name: &str, spec: &Spec, earlier: &Spec) -> String {
    if spec == earlier {
        format!("`{name}` is declared twice")
    } else {
        format!("`{name}` is declared as {spec} and was {earlier}")
    }
}

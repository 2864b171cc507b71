//! Names of the parameters that a graph trains, recorded when they are declared or first updated.

use std::collections::HashSet;

use crate::graph::params::{Kind, Variable};

/// Names of the parameters that a graph trains.
#[derive(Default)]
pub(crate) struct Trained {
    /// The parameters that optimizers declared, in order.
    declared: Vec<String>,
    known: HashSet<String>,
    /// The parameters that were trainable when a parameter was first updated. Used if no optimizer declares
    /// parameters.
    trainable: Option<Vec<String>>,
}

impl Trained {
    /// Returns the names, in the order of declaration.
    pub fn names(&self) -> &[String] {
        if self.declared.is_empty() { self.trainable.as_deref().unwrap_or_default() } else { &self.declared }
    }

    /// Adds a parameter that an optimizer trains.
    pub fn declare(&mut self, name: &str) {
        if self.known.insert(name.into()) {
            self.declared.push(name.into());
        }
    }

    /// Records that a variable is updated.
    pub fn note(&mut self, variable: &Variable) {
        if variable.kind() == Kind::Parameter && self.declared.is_empty() && self.trainable.is_none() {
            let parameters = variable.params().parameters();
            let trainable = parameters.iter().filter(|parameter| parameter.is_trainable());
            self.trainable = Some(trainable.map(|parameter| parameter.name().into()).collect());
        }
    }
}

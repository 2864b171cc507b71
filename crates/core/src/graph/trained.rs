//! Names of the parameters that a graph trains, as of their declaration.

use std::collections::HashSet;

use crate::graph::params::{Kind, Variable};

/// Names of the parameters that a graph trains.
#[derive(Default)]
pub(crate) struct Trained {
    /// The parameters that optimizers declare.
    declared: Vec<String>,
    known: HashSet<String>,
    /// The trainable parameters at the first update of one; used if no optimizer declares any.
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

    /// Records an update of a variable.
    pub fn note(&mut self, variable: &Variable) {
        if variable.kind() == Kind::Parameter && self.declared.is_empty() && self.trainable.is_none() {
            let parameters = variable.params().parameters();
            let trainable = parameters.iter().filter(|parameter| parameter.is_trainable());
            self.trainable = Some(trainable.map(|parameter| parameter.name().into()).collect());
        }
    }
}

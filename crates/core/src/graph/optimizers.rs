//! Optimizers of a graph: the parameters that they train, and the scopes of their state.

use crate::{Graph, Owner, Params, Variable};

impl Graph {
    /// Declares the parameters that an optimizer trains in this graph, before it updates them.
    ///
    /// `compile` reports those without an update:
    /// [`lints::PARAMETER_WITHOUT_GRADIENT`](crate::lints::PARAMETER_WITHOUT_GRADIENT). Parameters that were
    /// trainable when the optimizer was traced count, even if they are frozen later. Without a declaration, those
    /// count that were trainable at the first update of a parameter.
    pub fn declare_trained<'v>(&self, parameters: impl IntoIterator<Item = &'v Variable>) {
        let mut data = self.data();
        parameters.into_iter().for_each(|parameter| data.trained.declare(parameter.name()));
    }

    /// Claims a scope for the state of `owner`, as long as the owner or this graph exists. Returns false if an owner
    /// with other `settings`, compared as text, has claimed it. Owners with the same settings share a scope.
    ///
    /// ```
    /// use wgrad_core::{Graph, Mode, Owner, Params};
    /// let (params, graph) = (Params::seeded(0), Graph::new(Mode::Train));
    /// let (one, two) = (Owner::default(), Owner::default());
    /// assert!(graph.claim(&params.at("optim"), &one, "Adam over the generator"));
    /// assert!(!graph.claim(&params.at("optim"), &two, "Adam over the discriminator"));
    /// assert!(graph.claim(&params.at("optim_d"), &two, "Adam over the discriminator"));
    /// ```
    pub fn claim(&self, scope: &Params, owner: &Owner, settings: &str) -> bool {
        let held = scope.claim(owner, settings);
        let claimed = held.is_some();
        self.data().owners.extend(held);
        claimed
    }
}

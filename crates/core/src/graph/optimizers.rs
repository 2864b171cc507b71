//! Optimizers seen from a graph: the parameters that they are to move, and where they keep their state.

use crate::{Graph, Owner, Params, Variable};

impl Graph {
    /// Declares the parameters that an optimizer is to move in this graph, before it updates them.
    ///
    /// `compile` reports one that has no update ([`lints::PARAMETER_WITHOUT_GRADIENT`](crate::lints::PARAMETER_WITHOUT_GRADIENT)).
    /// So it judges by what was trainable when the optimizer was traced, whatever is frozen or not when the graph is
    /// compiled. In a graph without a declaration, these are the parameters that were trainable at the first update of one.
    pub fn declare_trained<'v>(&self, parameters: impl IntoIterator<Item = &'v Variable>) {
        let mut data = self.data();
        parameters.into_iter().for_each(|parameter| data.trained.declare(parameter.name()));
    }

    /// Claims the scope that `scope` is at for the state of `owner`, as long as the owner or this graph exists. Returns
    /// false if another owner has it: one whose `settings`, a text, differ; with the same ones both are one.
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

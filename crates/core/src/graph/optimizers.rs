//! Records of the optimizers in a graph: the parameters that they train, and the variable scopes that hold their
//! state.

use crate::{Graph, Owner, Params, Variable};

impl Graph {
    /// Declares the parameters that an optimizer trains in this graph. An optimizer calls this before it updates
    /// them.
    ///
    /// `compile` warns about declared parameters that are never updated
    /// ([`lints::PARAMETER_WITHOUT_GRADIENT`](crate::lints::PARAMETER_WITHOUT_GRADIENT)), even if they are frozen
    /// after this call. In a graph without such a declaration, `compile` warns about the parameters that were
    /// trainable when a parameter was first updated.
    pub fn declare_trained<'v>(&self, parameters: impl IntoIterator<Item = &'v Variable>) {
        let mut data = self.data();
        parameters.into_iter().for_each(|parameter| data.trained.declare(parameter.name()));
    }

    /// Claims a scope of variables, in which `owner` (such as an optimizer) keeps its state. The claim lasts as
    /// long as the owner or this graph exists. Returns false if an owner with different `settings` has already
    /// claimed the scope. Owners with equal settings, compared as text, share a scope.
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

//! Owners of the scopes in which optimizers keep their state.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Identity of an owner of state in [`Params`](crate::Params), such as an optimizer. A clone is the same owner as
/// the original.
#[derive(Clone, Debug, Default)]
pub struct Owner(Arc<()>);

/// Map from the paths of scopes to the claims on them.
#[derive(Default)]
pub(crate) struct Claims(HashMap<String, Claim>);

struct Claim {
    /// The owner. When neither the owner nor a graph that it was traced in exists any more, the scope is free.
    owner: Weak<()>,
    settings: String,
}

impl Claims {
    /// Claims `scope` for `owner` and returns the scope's owner, which can be an earlier owner with equal
    /// settings. `None` if an owner with different settings has already claimed the scope.
    pub fn claim(&mut self, scope: &str, owner: &Owner, settings: &str) -> Option<Owner> {
        if let Some(known) = self.0.get(scope)
            && let Some(holder) = known.owner.upgrade()
        {
            let same = Arc::ptr_eq(&holder, &owner.0) || known.settings == settings;
            return same.then_some(Owner(holder));
        }
        self.0.insert(scope.into(), Claim { owner: Arc::downgrade(&owner.0), settings: settings.into() });
        Some(owner.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_free_when_its_owner_is_gone() {
        let (mut claims, first, second) = (Claims::default(), Owner::default(), Owner::default());
        let kept = claims.claim("optim", &first, "Adam");
        assert!(kept.is_some() && claims.claim("optim", &first.clone(), "AdamW").is_some());
        assert!(claims.claim("optim", &second, "Sgd").is_none() && claims.claim("other", &second, "Sgd").is_some());
        drop(first);
        assert!(claims.claim("optim", &second, "Sgd").is_none(), "a graph keeps the claim");
        drop(kept);
        assert!(claims.claim("optim", &second, "Sgd").is_some());
    }

    #[test]
    fn owners_with_the_same_settings_share_a_scope() {
        let (mut claims, first, second) = (Claims::default(), Owner::default(), Owner::default());
        let _kept = claims.claim("optim", &first, "Adam");
        let kept = claims.claim("optim", &second, "Adam");
        drop(first);
        assert!(kept.is_some() && claims.claim("optim", &second, "Sgd").is_none());
    }
}

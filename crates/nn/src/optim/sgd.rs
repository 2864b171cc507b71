//! Stochastic gradient descent.

use wgrad_core::{Misfit, Tensor};

use super::groups::{Groups, Slot, not_negative, scheduled};
use super::{LearningRate, Optimizer, Select};

/// Stochastic gradient descent, with momentum if asked for; PyTorch's `SGD`.
///
/// With `g = ∇ + weight_decay · p`: without momentum `p −= lr · g`; with it, `buf = g` in the first step and
/// `buf = momentum · buf + (1 − dampening) · g` afterwards, then `p −= lr · buf`, or with Nesterov's
/// `p −= lr · (g + momentum · buf)`.
///
/// State: `optim.<parameter>.momentum_buffer`. Steps are counted per optimizer, not per parameter: with dampening, a
/// parameter that joins later is dampened in its first step, too.
#[derive(Clone, Debug)]
pub struct Sgd {
    groups: Groups,
    momentum: f64,
    dampening: f64,
    nesterov: bool,
}

impl Sgd {
    /// Plain gradient descent.
    #[must_use]
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self { groups: Groups::new(lr.into(), 0.0), momentum: 0.0, dampening: 0.0, nesterov: false }
    }

    /// How much of the past direction is kept; 0.9 is usual.
    #[must_use]
    pub fn momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
    }

    /// How much less of the gradient enters the momentum.
    #[must_use]
    pub fn dampening(self, dampening: f64) -> Self {
        Self { dampening, ..self }
    }

    /// Nesterov's momentum; needs momentum, and no dampening.
    #[must_use]
    pub fn nesterov(self, nesterov: bool) -> Self {
        Self { nesterov, ..self }
    }

    /// The factor of the parameter that is added to its gradient.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.groups.rest_mut().weight_decay = weight_decay;
        self
    }

    /// Scales all gradients by `min(1, max_norm / (norm + 1e-6))`, with the norm taken over all of them as one: what
    /// `torch.nn.utils.clip_grad_norm_` does, in two dispatches.
    #[must_use]
    pub fn clip_grad_norm(mut self, max_norm: f64) -> Self {
        self.groups.clip_norm(max_norm);
        self
    }

    /// Clamps every gradient to `[-max, max]`, as `torch.nn.utils.clip_grad_value_`.
    #[must_use]
    pub fn clip_grad_value(mut self, max: f64) -> Self {
        self.groups.clip_value(max);
        self
    }

    /// Other settings for some parameters.
    #[must_use]
    pub fn group(mut self, select: impl Into<Select>, lr: impl Into<LearningRate>, weight_decay: f64) -> Self {
        self.groups.add(select.into(), lr.into(), weight_decay);
        self
    }

    /// The scope of the state, `optim` if not set: two optimizers of one [`Params`](wgrad_core::Params) need two.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.groups.scope = scope.into();
        self
    }

    /// The learning rate of the parameters that are in no group, to be changed between runs.
    #[must_use]
    pub fn lr_handle(&self) -> LearningRate {
        self.groups.rest().lr.clone()
    }

    fn misfit(&self) -> Option<Misfit> {
        let wrong = not_negative("the momentum", self.momentum);
        wrong.or_else(|| (!self.dampening.is_finite()).then(|| Misfit::new("the dampening must be a number"))).or_else(
            || {
                (self.nesterov && (self.momentum <= 0.0 || self.dampening != 0.0)).then(|| {
                    Misfit::new("Nesterov's momentum needs a momentum above 0 and no dampening")
                        .fix("add `.momentum(0.9)`, or leave `.nesterov(true)` out")
                })
            },
        )
    }
}

impl Optimizer for Sgd {
    fn minimize(&self, loss: &Tensor) {
        for share in self.groups.shares("Sgd", loss, self.misfit()) {
            let group = share.group;
            let counter = self.groups.counter(loss, &share.slots[0]);
            let lr = group.lr.clone();
            let lr = scheduled(loss, "lr", &counter, move |_| lr.get());
            let dampening = self.dampening;
            // The buffer begins at 0, so the first step needs no rule of its own but for the dampening.
            let share_of_gradient = (dampening != 0.0 && self.momentum != 0.0).then(|| {
                scheduled(loss, "1 - dampening", &counter, move |t| if t <= 1.0 { 1.0 } else { 1.0 - dampening })
            });
            for slot in &share.slots {
                let Slot { variable, value, gradient } = slot;
                let _scope = loss.graph().scope(format!("SGD of {}", variable.name()));
                let mut g = gradient.clone();
                if group.weight_decay != 0.0 {
                    g = g + value * group.weight_decay;
                }
                if self.momentum != 0.0 {
                    let buffer = self.groups.state(slot, "momentum_buffer");
                    let part = share_of_gradient.as_ref().map_or_else(|| g.clone(), |share| &g * share);
                    let moved = loss.graph().variable(&buffer) * self.momentum + part;
                    loss.graph().update(&buffer, &moved);
                    g = if self.nesterov { g + moved * self.momentum } else { moved };
                }
                loss.graph().update(variable, &(value - g * &lr));
            }
        }
    }
}

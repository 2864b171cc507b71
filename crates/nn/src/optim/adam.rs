//! Adam and AdamW.

use wgrad_core::{Misfit, Tensor};
use wgrad_kernels::ops::PointwiseOps;

use super::groups::{Groups, Slot, not_negative, scheduled};
use super::{LearningRate, Optimizer, Select};

/// What Adam and AdamW share.
#[derive(Clone, Debug)]
struct Rule {
    groups: Groups,
    betas: (f64, f64),
    eps: f64,
    amsgrad: bool,
    decoupled: bool,
}

impl Rule {
    fn new(lr: LearningRate, weight_decay: f64, decoupled: bool) -> Self {
        let groups = Groups::new(lr, weight_decay);
        Self { groups, betas: (0.9, 0.999), eps: 1e-8, amsgrad: false, decoupled }
    }

    fn misfit(&self) -> Option<Misfit> {
        let (first, second) = self.betas;
        let beta = |name: &str, beta: f64| {
            (!(0.0..1.0).contains(&beta))
                .then(|| Misfit::new(format!("{name} must be at least 0 and below 1, not {beta}")))
        };
        beta("the first beta", first)
            .or_else(|| beta("the second beta", second))
            .or_else(|| not_negative("eps", self.eps))
    }

    #[track_caller]
    fn minimize(&self, op: &str, loss: &Tensor) {
        let graph = loss.graph();
        let (b1, b2) = self.betas;
        for share in self.groups.shares(op, loss, self.misfit()) {
            let counter = self.groups.counter(loss, &share.slots[0]);
            let (lr, decay) = (share.group.lr.clone(), share.group.weight_decay);
            let step = scheduled(loss, "lr / (1 - b1^t)", &counter, {
                let lr = lr.clone();
                move |t| lr.get() / (1.0 - b1.powf(t))
            });
            let correction = scheduled(loss, "1 / sqrt(1 - b2^t)", &counter, move |t| 1.0 / (1.0 - b2.powf(t)).sqrt());
            let shrink = (self.decoupled && decay != 0.0)
                .then(|| scheduled(loss, "lr * weight_decay", &counter, move |_| lr.get() * decay));
            for slot in &share.slots {
                let Slot { variable, value, gradient } = slot;
                let _scope = loss.graph().scope(format!("{op} of {}", variable.name()));
                let mut g = gradient.clone();
                if !self.decoupled && decay != 0.0 {
                    g = g + value * decay;
                }
                let (m, v) = (self.groups.state(slot, "exp_avg"), self.groups.state(slot, "exp_avg_sq"));
                let old = graph.variable(&m);
                let mean = &old + (&g - &old) * (1.0 - b1);
                let mut square = graph.variable(&v) * b2 + &g * &g * (1.0 - b2);
                graph.update(&m, &mean);
                graph.update(&v, &square);
                if self.amsgrad {
                    let largest = self.groups.state(slot, "max_exp_avg_sq");
                    square = graph.variable(&largest).maximum(&square);
                    graph.update(&largest, &square);
                }
                let mut change = mean * &step / (square.sqrt() * &correction + self.eps);
                if let Some(shrink) = &shrink {
                    change = change + value * shrink;
                }
                graph.update(variable, &(value - change));
            }
        }
    }
}

macro_rules! adam {
    ($(#[$doc:meta])* $Name:ident, $decay:expr, $decoupled:expr, $decay_doc:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $Name(Rule);

        impl $Name {
            /// With PyTorch's defaults for everything but the learning rate.
            #[must_use]
            pub fn new(lr: impl Into<LearningRate>) -> Self {
                Self(Rule::new(lr.into(), $decay, $decoupled))
            }

            /// How much of the past averages of the gradient and of its square is kept; 0.9 and 0.999 if not set.
            #[must_use]
            pub fn betas(mut self, first: f64, second: f64) -> Self {
                self.0.betas = (first, second);
                self
            }

            /// Added to the root of the squared gradient's average; 1e-8 if not set.
            #[must_use]
            pub fn eps(mut self, eps: f64) -> Self {
                self.0.eps = eps;
                self
            }

            #[doc = $decay_doc]
            #[must_use]
            pub fn weight_decay(mut self, weight_decay: f64) -> Self {
                self.0.groups.rest_mut().weight_decay = weight_decay;
                self
            }

            /// Whether to divide by the largest average so far instead of the present one.
            #[must_use]
            pub fn amsgrad(mut self, amsgrad: bool) -> Self {
                self.0.amsgrad = amsgrad;
                self
            }

            /// Scales all gradients by `min(1, max_norm / (norm + 1e-6))`, with the norm taken over all of them as one: what
            /// `torch.nn.utils.clip_grad_norm_` does, in two dispatches.
            #[must_use]
            pub fn clip_grad_norm(mut self, max_norm: f64) -> Self {
                self.0.groups.clip_norm(max_norm);
                self
            }

            /// Clamps every gradient to `[-max, max]`, as `torch.nn.utils.clip_grad_value_`.
            #[must_use]
            pub fn clip_grad_value(mut self, max: f64) -> Self {
                self.0.groups.clip_value(max);
                self
            }

            /// Other settings for some parameters.
            #[must_use]
            pub fn group(mut self, select: impl Into<Select>, lr: impl Into<LearningRate>, weight_decay: f64) -> Self {
                self.0.groups.add(select.into(), lr.into(), weight_decay);
                self
            }

            /// The scope of the state, `optim` if not set: two optimizers of one [`Params`](wgrad_core::Params) need
            /// two.
            #[must_use]
            pub fn scope(mut self, scope: impl Into<String>) -> Self {
                self.0.groups.scope = scope.into();
                self
            }

            /// The learning rate of the parameters that are in no group, to be changed between runs.
            #[must_use]
            pub fn lr_handle(&self) -> LearningRate {
                self.0.groups.rest().lr.clone()
            }
        }

        impl Optimizer for $Name {
            fn minimize(&self, loss: &Tensor) {
                self.0.minimize(stringify!($Name), loss);
            }
        }
    };
}

adam! {
    /// Adam: gradients scaled by a running estimate of their size; PyTorch's `Adam`.
    ///
    /// With `g = ∇ + weight_decay · p`, `m += (1−β₁)·(g − m)` and `v = β₂·v + (1−β₂)·g²` in step `t`, from 1:
    /// `p −= lr / (1−β₁ᵗ) · m / (√v / √(1−β₂ᵗ) + eps)`. Kingma, Ba: "Adam: a method for stochastic optimization", 2015.
    ///
    /// State: `optim.<parameter>.exp_avg`, `exp_avg_sq` and, for amsgrad, `max_exp_avg_sq`. Steps are counted per
    /// optimizer, not per parameter: a parameter that joins later starts without bias correction.
    Adam, 0.0, false, "The factor of the parameter that is added to its gradient; 0 if not set. [`AdamW`] decays better."
}

adam! {
    /// Adam with decoupled weight decay; PyTorch's `AdamW`.
    ///
    /// As [`Adam`], but the decay is no part of the gradient: `p −= lr · weight_decay · p` with the old `p`.
    /// Loshchilov, Hutter: "Decoupled weight decay regularization", 2019.
    AdamW, 1e-2, true, "The share of the parameter, times the learning rate, that each step takes away; 0.01 if not set."
}

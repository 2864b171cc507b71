//! Dropout: random zeros while training.

use wgrad_core::{Counter, DType, Mode, Params, Tensor};
use wgrad_kernels::ops::DropoutOps;

use crate::Module;

/// Sets each element to 0 with probability `p` and multiplies the others by `1 / (1 − p)`; evaluates to the identity.
///
/// The random numbers follow from the seed of the [`Params`], the layer's scope, which call of the layer in the graph
/// it is, the number of training runs so far, and the element: the same run draws the same numbers on every device.
/// So layers need scopes of their own to draw different numbers.
#[derive(Clone, Debug)]
pub struct Dropout {
    scope: String,
    p: f64,
    key: [u32; 2],
    step: Counter,
}

impl Dropout {
    /// A dropout of probability `p`, in the scope of `params`.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the seed is split into halves")]
    pub fn new(params: &Params, p: f64) -> Self {
        let seed = params.seed();
        // Not part of the state dict: its last segment starts with `@`.
        let step = params.counter("@step");
        Self { scope: params.path().into(), p, key: [seed as u32, (seed >> 32) as u32], step }
    }

    /// What tells this call's random numbers from those of other dropouts in the graph.
    fn site(&self, x: &Tensor) -> u32 {
        let data = x.graph().data();
        let earlier = data.nodes.iter().filter(|node| node.name() == "dropout" && node.site.scope == self.scope);
        let name = format!("{}#{}", self.scope, earlier.count());
        // 32-bit FNV-1a.
        name.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }
}

impl Module for Dropout {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let graph = x.graph();
        let _scope = graph.scope(&self.scope);
        if graph.mode() == Mode::Evaluate && (0.0..=1.0).contains(&self.p) {
            return x.clone();
        }
        let site = self.site(x);
        let counter = self.step.clone();
        #[allow(clippy::cast_precision_loss, reason = "no run has 2^53 steps")]
        let step = graph.scheduled(format!("{}.@step", self.scope), DType::U32, move || counter.get() as f64);
        if graph.mode() == Mode::Train {
            graph.advance(&self.step);
        }
        x.dropout(self.p, self.key, site, &step)
    }
}

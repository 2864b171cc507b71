//! Optimizers: they add the gradients and the updates of the parameters to the graph.
//!
//! The rules are PyTorch's, to the last option. A parameter that the loss does not depend on is skipped entirely.
//! Numbers that change from step to step, such as the learning rate and Adam's bias corrections, are computed on the
//! host in `f64` before each run, so they change without compiling anything again.
//!
//! ```
//! use wgrad_core::{CpuBackend, DType, Graph, Init, Kind, Mode, Params, Session};
//! use wgrad_nn::optim::{Optimizer, Sgd};
//! let params = Params::seeded(0);
//! let w = params.variable("w", [], Kind::Parameter, Init::Constant(1.0));
//! let graph = Graph::new(Mode::Train);
//! let loss = graph.variable(&w) * 2.0;
//! let sgd = Sgd::new(0.1);
//! let lr = sgd.lr_handle();
//! sgd.minimize(&loss);
//! let mut session = Session::new(CpuBackend::<f64>::new(), &params)?;
//! let step = session.compile(&graph, &[&loss])?;
//! session.submit(&step, &[])?; // w = 1 − 0.1 · 2
//! lr.set(0.05);
//! session.submit(&step, &[])?; // w = 0.8 − 0.05 · 2
//! session.sync()?;
//! assert!((w.value()?.item()? - 0.7).abs() < 1e-15);
//! # Ok::<(), wgrad_core::Error>(())
//! ```

mod adam;
mod groups;
mod learning_rate;
mod sgd;
#[cfg(test)]
mod tests;

pub use adam::{Adam, AdamW};
pub use groups::Select;
pub use learning_rate::LearningRate;
pub use sgd::Sgd;

use wgrad_core::Tensor;

/// Makes a loss smaller.
pub trait Optimizer {
    /// Adds to the loss's graph the gradients of its trainable parameters, and their updates.
    ///
    /// `loss` has one element. Options that make no sense, a loss that depends on no parameter and graphs that do not
    /// train are errors of the graph, which `compile` reports.
    #[track_caller]
    fn minimize(&self, loss: &Tensor);
}

impl<T: Optimizer + ?Sized> Optimizer for Box<T> {
    fn minimize(&self, loss: &Tensor) {
        (**self).minimize(loss);
    }
}

impl<T: Optimizer + ?Sized> Optimizer for &T {
    fn minimize(&self, loss: &Tensor) {
        (**self).minimize(loss);
    }
}

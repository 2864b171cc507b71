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

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod clip;
mod descent;
mod ema;
mod lion;
mod nadam;
mod radam;
mod rms_prop;
mod rule;
pub mod schedule;
#[cfg(test)]
mod scope_tests;
mod select;
mod setting;
mod sgd;
#[cfg(test)]
mod tests;

pub use adadelta::{Adadelta, AdadeltaRule};
pub use adagrad::{Adagrad, AdagradRule};
pub use adam::{Adam, AdamRule, AdamW};
pub use adamax::{Adamax, AdamaxRule};
pub use clip::{clip_grad_norm, clip_grad_value};
pub use descent::Descent;
pub use ema::{Ema, NoAverage};
pub use lion::{Lion, LionRule};
pub use nadam::{NAdam, NAdamRule};
pub use radam::{RAdam, RAdamRule};
pub use rms_prop::{RmsProp, RmsPropRule};
pub use rule::{Now, Rule, Slot};
pub use select::Select;
pub use setting::{LearningRate, Setting};
pub use sgd::{Sgd, SgdRule};

use wgrad_core::{InvalidArgument, Tensor};

/// What schedules turn in one group of parameters.
#[derive(Clone, Debug)]
pub struct Handles {
    /// The learning rate.
    pub lr: LearningRate,
    /// The momentum or the first beta, if the optimizer has such a thing.
    pub momentum: Option<Setting>,
}

/// Makes a loss smaller.
pub trait Optimizer {
    /// Adds to the loss's graph the gradients of its trainable parameters, and their updates.
    ///
    /// `loss` has one element. Options that make no sense, a loss that depends on no parameter and graphs that do not
    /// train are errors of the graph, which `compile` reports.
    #[track_caller]
    fn minimize(&self, loss: &Tensor);

    /// Adds to the loss's graph the gradients of its trainable parameters, and their sums with what earlier runs have
    /// accumulated; PyTorch's `backward` without a step. Parameters stay as they are.
    ///
    /// The sums are state, `optim.<parameter>.grad`. `n` batches of one size give the gradient of all their rows' mean loss
    /// when each one's loss is divided by `n`:
    ///
    /// ```
    /// use wgrad_core::{Array, CpuBackend, DType, Graph, Init, Kind, Mode, Params, Session};
    /// use wgrad_nn::optim::{Optimizer, Sgd};
    /// let params = Params::seeded(0);
    /// let w = params.variable("w", [], Kind::Parameter, Init::Constant(1.0));
    /// let sgd = Sgd::new(0.1);
    /// let trace = |last: bool| {
    ///     let graph = Graph::new(Mode::Train);
    ///     let x = graph.input("x", [], DType::F32);
    ///     let loss = graph.variable(&w) * &x;
    ///     if last { sgd.minimize_accumulated(&(loss / 2.0)) } else { sgd.accumulate(&(loss / 2.0)) }
    ///     (graph, x)
    /// };
    /// let mut session = Session::new(CpuBackend::<f64>::new(), &params)?;
    /// for (last, value) in [(false, 3.0), (true, 5.0)] {
    ///     let (graph, x) = trace(last);
    ///     let step = session.compile(&graph, &[])?;
    ///     session.submit(&step, &[(&x, &Array::scalar(value))])?;
    /// }
    /// session.sync()?;
    /// assert!((w.value()?.item()? - (1.0 - 0.1 * 4.0)).abs() < 1e-15);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[track_caller]
    fn accumulate(&self, loss: &Tensor) {
        let _ = loss.invalid("accumulate", &[], does_not("accumulate gradients"));
    }

    /// [`Self::minimize`] with the sum of this loss's gradient and of what was [accumulated](Self::accumulate), which is
    /// used up. Clipping sees the sum.
    #[track_caller]
    fn minimize_accumulated(&self, loss: &Tensor) {
        let _ = loss.invalid("minimize_accumulated", &[], does_not("accumulate gradients"));
    }

    /// What schedules turn: an entry for the parameters that are in no group, then one per group. None if there is nothing
    /// to turn.
    fn handles(&self) -> Vec<Handles> {
        vec![]
    }
}

fn does_not(what: &str) -> InvalidArgument {
    InvalidArgument::new(format!("this optimizer does not {what}"))
        .fix("implement `accumulate` and `minimize_accumulated` for it, or write it as a `Rule`")
}

macro_rules! forwards {
    ($($Pointer:ty),*) => {$(
        impl<T: Optimizer + ?Sized> Optimizer for $Pointer {
            fn minimize(&self, loss: &Tensor) {
                (**self).minimize(loss);
            }

            fn accumulate(&self, loss: &Tensor) {
                (**self).accumulate(loss);
            }

            fn minimize_accumulated(&self, loss: &Tensor) {
                (**self).minimize_accumulated(loss);
            }

            fn handles(&self) -> Vec<Handles> {
                (**self).handles()
            }
        }
    )*};
}

forwards!(Box<T>, &T);

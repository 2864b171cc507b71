//! Optimizers, which add gradients and parameter updates to the graph of a loss; PyTorch's `torch.optim`.
//!
//! The update rules and their options are PyTorch's. An optimizer skips parameters that the loss does not depend
//! on: not even weight decay changes them. Numbers that change from step to step, such as the learning rate and
//! Adam's bias corrections, are computed on the host in `f64` before each run, so nothing is compiled again when
//! they change.
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
#[cfg(test)]
mod ema_tests;
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
pub use rule::{ParamUpdate, StepInfo, UpdateRule};
pub use select::Select;
pub use setting::{Hyperparameter, LearningRate};
pub use sgd::{Sgd, SgdRule};

use wgrad_core::{InvalidArgument, Tensor};

/// Handles with which schedules change the learning rate and momentum of one parameter group.
#[derive(Clone, Debug)]
pub struct Handles {
    /// The learning rate.
    pub lr: LearningRate,
    /// The momentum or the first beta, if the optimizer has one.
    pub momentum: Option<Hyperparameter>,
}

/// An optimizer, which adds the updates that minimize a loss to the graph of the loss.
pub trait Optimizer {
    /// Adds the gradients and the updates of all trainable parameters that `loss` depends on to the graph of
    /// `loss`.
    ///
    /// `loss` must have exactly one element. The function records an error in the graph, which `compile` reports,
    /// if `loss` has more elements, depends on no trainable parameter, or belongs to a graph that is not in
    /// training mode, or if an option is invalid.
    #[track_caller]
    fn minimize(&self, loss: &Tensor);

    /// Adds the gradients of all trainable parameters that `loss` depends on to the graph of `loss`. Each run adds
    /// the gradients to the sums from earlier runs and does not change the parameters, as PyTorch's `backward`
    /// without `optimizer.step`.
    ///
    /// The sums are state variables named `optim.<parameter>.grad`. To get the gradient of the mean loss over `n`
    /// batches of equal size, divide the loss of each batch by `n`:
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
        let _ = loss.invalid("accumulate", &[], unsupported("accumulate gradients"));
    }

    /// Performs [`Self::minimize`] with the sum of the gradients of `loss` and the [accumulated](Self::accumulate)
    /// gradients, then resets the accumulated gradients to 0. Clipping applies to the sum.
    #[track_caller]
    fn minimize_accumulated(&self, loss: &Tensor) {
        let _ = loss.invalid("minimize_accumulated", &[], unsupported("accumulate gradients"));
    }

    /// Returns the handles of the parameters in no group, followed by the handles of each parameter group. The
    /// list is empty (the default) if schedules cannot change anything.
    fn handles(&self) -> Vec<Handles> {
        vec![]
    }
}

fn unsupported(what: &str) -> InvalidArgument {
    InvalidArgument::new(format!("this optimizer does not {what}"))
        .fix("implement `accumulate` and `minimize_accumulated` for it, or write it as an `UpdateRule`")
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

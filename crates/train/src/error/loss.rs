//! Error of a loss that is infinite or NaN.

use wgrad_core::{Error, NonFinite};

use super::fix::TrainFix;
use super::text::{Say, Text};

/// Error: the loss of a training step is infinite or NaN.
#[derive(Debug)]
pub struct NonFiniteLoss {
    /// The loss.
    pub loss: f64,
    /// Epoch of the fit, from 1.
    pub epoch: usize,
    /// Step of the epoch, from 1.
    pub step: usize,
    /// Step and graph node that caused the infinity or NaN, if they were found.
    pub origin: NonFiniteOrigin,
}

/// Origin of an infinite or NaN loss. The trainer searches for it by repeating the last steps.
#[derive(Debug)]
#[non_exhaustive]
pub enum NonFiniteOrigin {
    /// This step caused the infinite or NaN loss. The model is restored to its state before this step.
    Step {
        /// Epoch of the fit, from 1.
        epoch: usize,
        /// Step of the epoch, from 1.
        step: usize,
        /// First graph node of the step whose result is not finite. `None` if each node has a finite result when
        /// it runs separately.
        node: Option<NonFinite>,
    },
    /// The steps were repeated, but their results were finite this time.
    NotReproduced,
    /// The steps could not be repeated, because the host has no values from before the failed step.
    NoValues,
    /// Repeating the steps failed with this error.
    Failed(Box<Error>),
}

impl Text for NonFiniteLoss {
    fn text(&self) -> String {
        let Self { loss, epoch, step, origin } = self;
        let origin = match origin {
            NonFiniteOrigin::Step { epoch, step, node } => {
                let node = node.as_ref().map_or_else(
                    || "no single node causes this: the step overflows only where its ops are fused".into(),
                    |node| format!("the first that is not finite there: {node}"),
                );
                format!("before step {step} of epoch {epoch}\n  {node}")
            }
            NonFiniteOrigin::NotReproduced => {
                "then\n  repeated, the steps were finite: the device does not compute the same twice".into()
            }
            NonFiniteOrigin::NoValues => {
                "then\n  the cause could not be found: the host did not know the values at the beginning".into()
            }
            NonFiniteOrigin::Failed(error) => format!("then\n  the cause could not be found: {error}"),
        };
        format!("the loss is {loss} in step {step} of epoch {epoch}; the model is as it was {origin}")
    }

    fn fixes(&self, say: Say<'_>) -> Vec<String> {
        vec![
            say(&TrainFix::LowerLearningRate),
            say(&TrainFix::Standardize),
            say(&TrainFix::SafeLoss),
            format!("clipped gradients: {}", say(&TrainFix::ClipGradNorm(1.0))),
        ]
    }
}

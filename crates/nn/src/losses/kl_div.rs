//! The Kullback-Leibler divergence.

use wgrad_core::Tensor;

use super::shapes::invalid;
use super::{Loss, Reduction};

/// How the terms of a [`KlDivLoss`] become the result; a [`Reduction`] converts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KlDivReduction {
    /// As for every loss. The mean divides by the number of *elements*, which is not the divergence.
    Of(Reduction),
    /// The sum over the size of the first axis: the mean divergence of the rows.
    BatchMean,
}

impl From<Reduction> for KlDivReduction {
    fn from(reduction: Reduction) -> Self {
        Self::Of(reduction)
    }
}

options! {
    /// Kullback-Leibler divergence: `y·(log y − x)`, 0 where `y = 0`, for log-probabilities `x` and probabilities `y`
    /// of the same shape; PyTorch's `KLDivLoss`. With `log_target`, `y` are log-probabilities, too: `eʸ·(y − x)`.
    ///
    /// The sum over a row is the divergence of the prediction from the target. The default reduction is PyTorch's, the
    /// mean over all *elements*; what is usually wanted is [`KlDivReduction::BatchMean`].
    ///
    /// Shapes that differ and targets of `u32` leave an invalid tensor and an error.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{KlDivLoss, KlDivReduction, Loss};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let logits = graph.input("logits", [1, 2], DType::F32);
    /// let y = graph.input("y", [1, 2], DType::F32);
    /// let loss = KlDivLoss::new().reduction(KlDivReduction::BatchMean).forward(&logits.log_softmax(1), &y);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&logits, &Array::full([1, 2], 3f32)), (&y, &Array::new([1, 2], vec![0.0f32, 1.0])?)];
    /// assert!((session.run(&step, &feeds)?[0].item()? - 2f64.ln()).abs() < 1e-15);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct KlDivLoss {
        /// Whether the targets are logarithms of probabilities; by default they are probabilities.
        log_target: bool = false,
        /// What becomes of the terms: a [`Reduction`] or [`KlDivReduction::BatchMean`]. By default their mean.
        reduction: KlDivReduction as KlDivReduction = Reduction::Mean.into(),
    }
}

impl Loss for KlDivLoss {
    #[track_caller]
    fn forward(&self, x: &Tensor, targets: &Tensor) -> Tensor {
        if let Some(invalid) = invalid(x, targets, "log-probabilities") {
            return x.invalid("KlDivLoss", &[targets], invalid);
        }
        let losses = if self.log_target {
            targets.exp() * (targets - x)
        } else {
            // Where the target is 0, its logarithm must be a number for the product to be 0.
            let nothing = targets.eq(0.0);
            targets * (nothing.where_cond(1.0, targets).log() - x)
        };
        match self.reduction {
            KlDivReduction::Of(reduction) => reduction.apply(losses),
            // A single number is its own divergence; without rows there is no mean, and the message is that of the mean.
            KlDivReduction::BatchMean => match x.shape().dims().first() {
                None => losses,
                Some(0) => losses.mean_all(),
                Some(&rows) => losses.sum_all() * (1.0 / rows as f64),
            },
        }
    }
}

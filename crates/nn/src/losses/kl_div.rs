//! The Kullback-Leibler divergence.

use wgrad_core::Tensor;

use super::shapes::invalid;
use super::{Loss, Reduction};

/// Reduction of the terms of a [`KlDivLoss`]. A [`Reduction`] can be converted into this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KlDivReduction {
    /// Reduction over the elements, as in other losses. With [`Reduction::Mean`], the sum is divided by the number
    /// of *elements*, so the result is not the divergence.
    Of(Reduction),
    /// The sum divided by the size of the first axis, which is the mean divergence of the rows.
    BatchMean,
}

impl From<Reduction> for KlDivReduction {
    fn from(reduction: Reduction) -> Self {
        Self::Of(reduction)
    }
}

options! {
    /// Kullback-Leibler divergence: `y·(log y − x)`, or 0 where `y = 0`, for predicted log-probabilities `x` and
    /// target probabilities `y` of the same shape; PyTorch's `KLDivLoss`. With `log_target`, the targets `y` are
    /// log-probabilities, and the formula is `eʸ·(y − x)`.
    ///
    /// The sum of these terms over a row is the divergence of the predicted distribution from the target
    /// distribution.
    ///
    /// Defaults: mean reduction over all *elements*, as in PyTorch, and `log_target` `false`. The usual choice of
    /// reduction is [`KlDivReduction::BatchMean`].
    ///
    /// The loss records an error in the graph, which `compile` reports, if the shapes differ or the targets are
    /// `u32`.
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
        /// If `true`, targets are log-probabilities. Default: `false`.
        log_target: bool = false,
        /// Reduction of the terms: a [`Reduction`] or [`KlDivReduction::BatchMean`]. Default: their mean.
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
            // Where the target is 0, log 1 is computed instead of log 0, so that the product is 0 instead of NaN.
            let nothing = targets.eq(0.0);
            targets * (nothing.where_cond(1.0, targets).log() - x)
        };
        match self.reduction {
            KlDivReduction::Of(reduction) => reduction.apply(losses),
            // A scalar needs no reduction. For 0 rows, `mean_all` records the error about a mean of no elements.
            KlDivReduction::BatchMean => match x.shape().dims().first() {
                None => losses,
                Some(0) => losses.mean_all(),
                Some(&rows) => losses.sum_all() * (1.0 / rows as f64),
            },
        }
    }
}

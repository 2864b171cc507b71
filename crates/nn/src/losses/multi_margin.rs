//! Margin loss for exclusive classes.

use wgrad_core::{Array, InvalidArgument, Tensor};

use super::Loss;
use super::nll::invalid_classes;
use super::shapes::invalid_option;

options! {
    /// Margin loss of exclusive classes: `Σ_{c≠y} w_y · max(0, margin − x_y + x_c)ᵖ / C` for scores `x` `[N, C]` (or
    /// `[C]`) and class indices `y` `u32[N]`; PyTorch's `MultiMarginLoss`.
    ///
    /// Defaults: mean reduction, `p` 1, `margin` 1, no weight. The mean is the sum divided by the number of rows,
    /// not by the sum of the weights. A class index out of range makes the loss NaN.
    ///
    /// The loss records an error in the graph, which `compile` reports, if a shape, a type or an option is
    /// invalid.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{Loss, MultiMarginLoss};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [1, 4], DType::F32);
    /// let y = graph.input("y", [1], DType::U32);
    /// let loss = MultiMarginLoss::new().forward(&x, &y);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&x, &Array::new([1, 4], vec![0.25f32, 0.5, 0.25, 1.5])?), (&y, &Array::vector(vec![3u32]))];
    /// assert_eq!(session.run(&step, &feeds)?[0].item()?, 0.0);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub struct MultiMarginLoss: common[reduction, class_weight] {
        /// Exponent of each term, 1 or 2. Default: 1.
        p: u32 = 1,
        /// Margin: another class adds no loss if its score is at least this much below the score of the right
        /// class. Default: 1.
        margin: f64 = 1.0,
    }
}

impl Loss for MultiMarginLoss {
    #[track_caller]
    fn forward(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let shape = x.shape();
        let classes = shape.dims().last().copied().unwrap_or(1);
        let invalid = invalid_classes(&x.spec(), &target.spec(), "scores")
            .or_else(|| {
                (shape.rank() > 2).then(|| InvalidArgument::new(format!("scores are [N, C] or [C], not {shape}")))
            })
            .or_else(|| invalid_option("p", self.p.into(), matches!(self.p, 1 | 2), "1 or 2"))
            .or_else(|| invalid_option("the margin", self.margin, true, "a number"))
            .or_else(|| self.class_weight.as_ref().and_then(|weight| weight.per_class(classes)));
        if let Some(invalid) = invalid {
            return x.invalid("MultiMarginLoss", &[target], invalid);
        }
        let index = target.unsqueeze(-1);
        let own = index.eq(x.graph().array(Array::vector((0..classes as u32).collect())));
        let terms = (x - x.gather(-1, &index) + self.margin).relu();
        let terms = if self.p == 2 { terms.square() } else { terms };
        // The term of the right class is 0. If the class index is out of range, every term is NaN.
        let terms = own.where_cond(0.0, &terms);
        self.reduction.row_means(&match &self.class_weight {
            Some(weight) => terms * weight.tensor(x.graph()).embedding(&index),
            None => terms,
        })
    }
}

//! The CORAL loss, for ordered classes.

use wgrad_core::{InvalidArgument, Tensor};

use super::nll::invalid_classes;
use super::{Loss, Weights};
use crate::lints;

options! {
    /// CORAL loss of ordered classes: `Σ_k w_k · BCE(x_k, y > k)` for `K − 1` logits `x` and the class index `y`
    /// of one of `K` ordered classes. Logit `k` decides whether the class is above `k`.
    ///
    /// Logits are `[N, K−1]`, the output of a [`Coral`](crate::layers::Coral) layer; classes are `u32[N]` from 0
    /// to `K − 1`. `w` is `importance`, a weight per decision. This loss is for classes that have an order, such
    /// as grades, ages or star ratings: it penalizes large errors more than small ones.
    ///
    /// Defaults: mean reduction over the rows, all `importance` 1. A class index out of range makes the loss NaN.
    ///
    /// The loss records an error in the graph, which `compile` reports, if a shape or a type is invalid.
    ///
    /// Cao, Mirjalili, Raschka: "Rank consistent ordinal regression for neural networks", 2020.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{CoralLoss, Loss};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let logits = graph.input("logits", [2, 3], DType::F32); // four classes
    /// let classes = graph.input("classes", [2], DType::U32);
    /// let loss = CoralLoss::new().forward(&logits, &classes);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&logits, &Array::full([2, 3], 0f32)), (&classes, &Array::vector(vec![0u32, 3]))];
    /// assert!((session.run(&step, &feeds)?[0].item()? - 3.0 * 2f64.ln()).abs() < 1e-15);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub struct CoralLoss: common[reduction] {
        /// Weight of each decision, `[K − 1]`. Default: 1 for each.
        importance: Option<Weights> as Weights = None,
    }
}

impl Loss for CoralLoss {
    #[track_caller]
    fn forward(&self, logits: &Tensor, target: &Tensor) -> Tensor {
        if let Some(invalid) = self.invalid(logits, target) {
            return logits.invalid("CoralLoss", &[target], invalid);
        }
        lints::logits(logits, "CoralLoss");
        let decisions = logits.shape().dims()[1];
        let losses = logits.bce_with_logits(&target.ordinal_levels(decisions + 1));
        let losses = match &self.importance {
            Some(weight) => losses * weight.tensor(logits.graph()),
            None => losses,
        };
        self.reduction.rows(&losses)
    }
}

impl CoralLoss {
    fn invalid(&self, logits: &Tensor, target: &Tensor) -> Option<InvalidArgument> {
        let shape = logits.shape();
        let &[_, decisions] = shape.dims() else {
            return Some(
                InvalidArgument::new(format!("logits of K ordered classes are [N, K−1], not {shape}"))
                    .fix("pass the output of a `Coral` layer"),
            );
        };
        invalid_classes(&logits.spec(), &target.spec(), "logits").or_else(|| match &self.importance {
            Some(Weights::Array(array)) if array.shape().dims() != [decisions] => {
                let has = array.shape();
                let invalid =
                    InvalidArgument::new(format!("there is one importance per decision, [{decisions}], not {has}"));
                Some(if has.dims() == [decisions + 1] {
                    invalid.fix(format!("between {} ordered classes there are {decisions} decisions", decisions + 1))
                } else {
                    invalid
                })
            }
            _ => None,
        })
    }
}

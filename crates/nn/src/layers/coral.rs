//! The CORAL output layer for ordered classes, and functions that convert its logits to classes and probabilities.

use wgrad_core::ops::cat;
use wgrad_core::{Array, Init, InvalidArgument, Kind, Params, Tensor, Variable};

use super::{Linear, LinearOptions};

/// Output layer for `K` ordered classes (CORAL). It computes `K − 1` logits `x·wᵀ + b_k`, which share the weight
/// `w` and have one bias each.
///
/// Shapes: the input is `[…, in]`, the logits are `[…, K−1]`. Logit `k` decides whether the class is above `k`.
/// Because the logits share one weight, the decisions of a trained layer are consistent: if the class is above
/// `k`, it is also above `k − 1`. The loss is [`CoralLoss`](crate::losses::CoralLoss).
///
/// Variables, named as in the `coral_pytorch` package: `coral_weights.weight` `[1, in]`, with the initial values
/// of a [`Linear`] layer, and `coral_bias` `[K−1]`, initially `(K−1)/(K−1)`, `(K−2)/(K−1)` … `1/(K−1)`.
///
/// Cao, Mirjalili, Raschka: "Rank consistent ordinal regression for neural networks", 2020.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::{Module, layers::Coral};
/// let p = Params::seeded(7);
/// let output = Coral::new(&p.at("output"), 16, 5);
/// let graph = Graph::new(Mode::Evaluate);
/// let logits = output.forward(&graph.input("x", [64, 16], DType::F32));
/// assert_eq!(logits.shape().dims(), [64, 4]);
/// assert_eq!(Coral::rank(&logits).shape().dims(), [64]);
/// assert_eq!(Coral::probabilities(&logits).shape().dims(), [64, 5]);
/// ```
#[derive(Clone, Debug)]
pub struct Coral {
    scope: String,
    weights: Linear,
    bias: Variable,
}

impl Coral {
    /// Creates a layer with `inputs` input features, for `classes` ordered classes. Its variables are declared in
    /// `params`.
    ///
    /// With fewer than two classes there are no logits, and the loss records an error in the graph, which
    /// `compile` reports.
    #[track_caller]
    pub fn new(params: &Params, inputs: usize, classes: usize) -> Self {
        let decisions = classes.saturating_sub(1);
        let weights = Linear::with(&params.at("coral_weights"), inputs, 1, LinearOptions::new().bias(false));
        let bias = params.variable("coral_bias", [decisions], Kind::Parameter, Init::Constant(0.0));
        let values = (0..decisions).map(|k| ((decisions - k) as f64 / decisions as f64) as f32).collect();
        bias.set(Array::vector::<f32>(values)).expect("as many numbers as decisions");
        Self { scope: params.path().into(), weights, bias }
    }

    /// Returns the weight `[1, in]`.
    pub fn weight(&self) -> &Variable {
        self.weights.weight()
    }

    /// Returns the biases `[K−1]`.
    pub fn bias(&self) -> &Variable {
        &self.bias
    }

    /// Returns the class of each row of logits `[…, K−1]` as `u32[…]`. The class is the number of logits above 0.
    /// Logit `k` is above 0 if the probability that the class is above `k` is more than ½.
    #[track_caller]
    pub fn rank(logits: &Tensor) -> Tensor {
        match invalid(logits) {
            Some(invalid) => logits.invalid("Coral::rank", &[], invalid),
            None => logits.gt(0.0).to_f32().sum([-1]).to_u32(),
        }
    }

    /// Returns the class probabilities `[…, K]` for logits `x` `[…, K−1]`. `σ(x_k)` is the probability that the
    /// class is above `k`, so the probability of class `k` is `σ(x_(k−1)) − σ(x_k)`. For the first class, the
    /// first of these two numbers is 1; for the last class, the second is 0.
    ///
    /// The class probabilities of a row sum to 1. Early in training, the biases may not be in decreasing order,
    /// and some class probabilities may be negative.
    #[track_caller]
    pub fn probabilities(logits: &Tensor) -> Tensor {
        if let Some(invalid) = invalid(logits) {
            return logits.invalid("Coral::probabilities", &[], invalid);
        }
        let _line = logits.graph().line_of_caller();
        let above = logits.sigmoid();
        let shape = above.shape();
        let end = |value: f64| above.number(value).expand(shape.with(shape.rank() - 1, 1));
        cat(&[&end(1.0), &above], -1) - cat(&[&above, &end(0.0)], -1)
    }
}

fn invalid(logits: &Tensor) -> Option<InvalidArgument> {
    let shape = logits.shape();
    let fits = logits.dtype().is_float() && shape.dims().last().is_some_and(|&decisions| decisions > 0);
    (!fits).then(|| {
        InvalidArgument::new(format!("logits of K ordered classes are f32[…, K−1], not {}", logits.spec()))
            .fix("pass the output of a `Coral` layer")
    })
}

module!(Coral, |coral, x| {
    let graph = x.graph();
    let _scope = graph.scope(&coral.scope);
    let weight = graph.variable(coral.weights.weight());
    x.linear(&weight, None) + graph.variable(&coral.bias)
});

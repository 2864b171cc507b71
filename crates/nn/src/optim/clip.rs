//! Gradient clipping, for optimizers and for code that calls `gradients` directly.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::not_negative;

/// Scales all gradients by the same factor, so that their norm as one vector is at most `max_norm`; PyTorch's
/// `clip_grad_norm_`. Returns the scaled gradients and the norm before scaling.
///
/// The norm is `(Σ |g|^p)^(1/p)`, or the largest `|g|` for `p = ∞`. Each gradient is multiplied by
/// `min(1, max_norm / (norm + 1e-6))`. If the norm is NaN, all gradients become NaN; if it is infinite, finite
/// gradients become 0. For an empty list of gradients, the norm is `None`.
///
/// If `max_norm` is negative or `p` is not positive, the function records an error in the graph, which `compile`
/// reports.
///
/// ```
/// use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::optim::clip_grad_norm;
/// let graph = Graph::new(Mode::Train);
/// let g = graph.input("g", [2], DType::F32);
/// let (clipped, norm) = clip_grad_norm(&[g.clone()], 1.0, 2.0);
/// let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
/// let step = session.compile(&graph, &[&clipped[0], &norm.unwrap()])?;
/// let found = session.run(&step, &[(&g, &Array::vector(vec![3.0, 4.0]))])?;
/// assert!((found[0].to_f64()[0] - 3.0 / 5.000001).abs() < 1e-15);
/// assert_eq!(found[1].item()?, 5.0);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[track_caller]
pub fn clip_grad_norm(gradients: &[Tensor], max_norm: f64, p: f64) -> (Vec<Tensor>, Option<Tensor>) {
    let Some(first) = gradients.first() else { return (vec![], None) };
    if let Some(invalid) = invalid_norm(max_norm, p) {
        let invalid = first.invalid("clip_grad_norm", &[], invalid);
        return (vec![invalid.clone(); gradients.len()], Some(invalid));
    }
    let _scope = first.graph().scope("clip");
    let norm = total_norm(gradients, p);
    let factor = (norm.number(max_norm) / (&norm + 1e-6)).minimum(1.0);
    (gradients.iter().map(|gradient| gradient * &factor).collect(), Some(norm))
}

/// Clamps each element of the gradients to `[-max, max]`; PyTorch's `clip_grad_value_`.
///
/// If `max` is negative, the function records an error in the graph, which `compile` reports.
///
/// ```
/// use wgrad_core::{CpuBackend, Graph, Mode, Params, Session};
/// use wgrad_nn::optim::clip_grad_value;
/// let graph = Graph::new(Mode::Train);
/// let clipped = clip_grad_value(&[graph.constant(-7.0), graph.constant(0.5)], 2.0);
/// let mut session = Session::new(CpuBackend::<f32>::new(), &Params::seeded(0))?;
/// let step = session.compile(&graph, &[&clipped[0], &clipped[1]])?;
/// let found = session.run(&step, &[])?;
/// assert_eq!([found[0].item()?, found[1].item()?], [-2.0, 0.5]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[track_caller]
pub fn clip_grad_value(gradients: &[Tensor], max: f64) -> Vec<Tensor> {
    let Some(first) = gradients.first() else { return vec![] };
    if let Some(invalid) = not_negative("the largest gradient", max) {
        return vec![first.invalid("clip_grad_value", &[], invalid); gradients.len()];
    }
    let _scope = first.graph().scope("clip");
    gradients.iter().map(|gradient| gradient.clamp(-max, max)).collect()
}

/// Returns an error if `max_norm` or `p` is invalid.
pub(super) fn invalid_norm(max_norm: f64, p: f64) -> Option<InvalidArgument> {
    not_negative("the largest norm of the gradients", max_norm).or_else(|| {
        let fits = p > 0.0;
        (!fits).then(|| {
            InvalidArgument::new(format!("a norm's p must be above 0, not {p}"))
                .fix("2 is the usual norm, f64::INFINITY the largest absolute value")
        })
    })
}

/// Returns the norm `(Σ |g|^p)^(1/p)` of all elements `g` of all tensors.
#[allow(clippy::float_cmp, reason = "exactly these values of `p` have their own kernels")]
fn total_norm(gradients: &[Tensor], p: f64) -> Tensor {
    if p == 2.0 {
        return wgrad_core::ops::total_norm(gradients);
    }
    let used = gradients.iter().filter(|gradient| gradient.shape().numel() > 0);
    if p.is_infinite() {
        let largest = used.map(|gradient| gradient.abs().max_all()).reduce(|a, b| a.maximum(&b));
        return largest.unwrap_or_else(|| gradients[0].number(0.0));
    }
    let power = |gradient: &Tensor| if p == 1.0 { gradient.abs() } else { gradient.abs().pow(p) };
    let sum = used.map(|gradient| power(gradient).sum_all()).reduce(|a, b| a + b);
    let sum = sum.unwrap_or_else(|| gradients[0].number(0.0));
    if p == 1.0 { sum } else { sum.pow(1.0 / p) }
}

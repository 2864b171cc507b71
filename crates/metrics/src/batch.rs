//! Metrics of a batch as tensors. They are computed on the device together with the loss, and read back with the
//! loss, for many steps at once.
//!
//! ```
//! use wgrad_core::{Array, Graph, Mode};
//! use wgrad_metrics::batch;
//! let graph = Graph::new(Mode::Evaluate);
//! let logits = graph.array(Array::from([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [5.0, 1.0]]));
//! let labels = graph.array(Array::from([0u32, 1, 1, 0]));
//! assert_eq!(batch::accuracy(&logits, &labels).eval()?.to_f64(), [0.75]);
//! # Ok::<(), wgrad_core::Error>(())
//! ```
//!
//! In the loss function of a trainer, `graph.track("accuracy", &batch::accuracy(&logits, y))` adds the metric to
//! the line printed for each epoch.
//!
//! The metrics have no gradient. The predicted class is the one with the largest logit (the first one in a tie);
//! with a single logit, it is class 1 if the logit is above 0. Targets have the same form as for the losses:
//! `f32[N, 1]` or `f32[N]`, positive if above 1/2, for logits of the same shape, and `u32[N]` for logits `[N, C]`.
//! Other shapes record an error in the graph, which `compile` reports.

use wgrad_core::{DType, InvalidArgument, Tensor};

/// Returns the predicted and the true classes of a batch, `u32[N]`, and the number of classes.
#[track_caller]
fn classes(logits: &Tensor, y: &Tensor, what: &str) -> Result<(Tensor, Tensor, usize), Tensor> {
    let (shape, labels) = (logits.shape(), y.shape());
    if !logits.is_valid() || !y.is_valid() {
        return Err(logits.invalid(what, &[y], InvalidArgument::default()));
    }
    match (shape.dims(), labels.dims(), y.dtype()) {
        (&[n, 1] | &[n], other, DType::F32) if shape.dims() == other => {
            Ok((logits.gt(0.0).reshape([n]), y.gt(0.5).reshape([n]), 2))
        }
        (&[n, c], &[m], DType::U32) if n == m && c > 1 => Ok((logits.argmax(1), y.clone(), c)),
        _ => Err(logits.invalid(
            what,
            &[y],
            InvalidArgument::new(format!("logits {shape} and {} targets {labels} are none of a batch", y.dtype()))
                .fix("one logit per row: logits [N, 1] and f32 targets [N, 1]")
                .fix("one logit per class: logits [N, C] and u32 targets [N]"),
        )),
    }
}

/// Computes the fraction of rows whose predicted class is correct.
#[track_caller]
pub fn accuracy(logits: &Tensor, y: &Tensor) -> Tensor {
    match classes(logits, y, "accuracy") {
        Ok((predicted, actual, _)) => predicted.eq(&actual).to_f32().mean_all(),
        Err(invalid) => invalid,
    }
}

/// Computes the fraction of rows whose true class is among the `k` largest logits, for logits `[N, C]`.
///
/// A row counts as correct if fewer than `k` logits are strictly larger than the logit of its true class, so that
/// ties count in favour of the true class.
#[track_caller]
pub fn top_k_accuracy(logits: &Tensor, y: &Tensor, k: usize) -> Tensor {
    match classes(logits, y, "top_k_accuracy") {
        Ok(_) if y.dtype() != DType::U32 || k == 0 => logits.invalid(
            "top_k_accuracy",
            &[y],
            InvalidArgument::new(format!("the best {k} of one logit per row"))
                .fix("give logits [N, C] and a k of at least 1"),
        ),
        Ok(_) => {
            let own = logits.gather(1, &y.unsqueeze(1));
            let larger = logits.gt(&own).to_f32().sum([1]);
            larger.lt(larger.number(k as f64)).to_f32().mean_all()
        }
        Err(invalid) => invalid,
    }
}

/// Computes the confusion matrix divided by the number of rows, `f32[C, C]`. It has one row per true class and one
/// column per predicted class.
///
/// Precision, recall, F-beta, balanced accuracy, Matthews' correlation coefficient and Cohen's kappa can be
/// computed from it, as in [`ConfusionMatrix`](super::ConfusionMatrix).
#[track_caller]
pub fn confusion(logits: &Tensor, y: &Tensor) -> Tensor {
    match classes(logits, y, "confusion") {
        Ok((predicted, actual, classes)) => {
            let rows = actual.shape().numel() as f64;
            actual.one_hot(classes).matmul_t(&predicted.one_hot(classes), true, false) / rows
        }
        Err(invalid) => invalid,
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "small numbers")]
mod tests {
    use super::*;
    use crate::ConfusionMatrix;
    use wgrad_core::{Array, CpuBackend, Graph, Mode, Params, Session};

    fn run(logits: Array, y: Array, f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Result<Vec<f64>, String> {
        let graph = Graph::new(Mode::Evaluate);
        let x = graph.input("x", logits.shape(), DType::F32);
        let t = graph.input("y", y.shape(), y.dtype());
        let value = f(&x, &t);
        let mut session = Session::new(CpuBackend::<f32>::new(), &Params::seeded(0)).unwrap();
        let step = session.compile(&graph, &[&value]).map_err(|error| error.to_string())?;
        Ok(session.run(&step, &[(&x, &logits), (&t, &y)]).unwrap()[0].to_f64())
    }

    #[test]
    fn batch_metrics_equal_host_metrics() {
        let random = |i: usize, k: usize| (i * k % 101) as f32 / 50.0 - 1.0;
        let logits: Vec<f32> = (0..70 * 4).map(|i| random(i, 37)).collect();
        let labels: Vec<u32> = (0..70).map(|i| i * 7 % 4).collect();
        let predicted: Vec<u32> = (logits.chunks(4))
            .map(|row| (0..4).rev().max_by(|&a, &b| row[a as usize].total_cmp(&row[b as usize])).unwrap())
            .collect();
        let host = ConfusionMatrix::new(&predicted, &labels, &["a", "b", "c", "d"]).unwrap();
        let (x, y) = (Array::new([70, 4], logits.clone()).unwrap(), Array::vector(labels.clone()));
        let fractions = run(x.clone(), y.clone(), confusion).unwrap();
        let counts: Vec<u64> = fractions.iter().map(|fraction| (fraction * 70.0).round() as u64).collect();
        assert_eq!(counts, host.counts().concat());
        let near = |a: &[f64], b: f64| (a[0] - b).abs() < 1e-6;
        assert!(near(&run(x.clone(), y.clone(), accuracy).unwrap(), host.accuracy()));
        let two = crate::top_k_accuracy(&logits, &labels, 4, 2).unwrap();
        assert!(near(&run(x, y, |x, y| top_k_accuracy(x, y, 2)).unwrap(), two));
    }

    #[test]
    fn one_logit_is_positive_above_zero() {
        let x = Array::new([4, 1], vec![0.5f32, -0.5, 0.0, 2.0]).unwrap();
        let y = Array::new([4, 1], vec![1f32, 1.0, 0.0, 0.0]).unwrap();
        assert_eq!(run(x.clone(), y.clone(), accuracy).unwrap(), [0.5]);
        assert_eq!(run(x.clone(), y.clone(), confusion).unwrap(), [0.25; 4]);
        let error = run(x.clone(), y, |x, y| top_k_accuracy(x, y, 2)).unwrap_err();
        assert!(error.contains("the best 2 of one logit per row"), "{error}");
        let error = run(x, Array::vector(vec![0u32, 1, 0, 1]), accuracy).unwrap_err();
        assert!(error.contains("none of a batch") && error.contains("f32 targets [N, 1]"), "{error}");
    }
}

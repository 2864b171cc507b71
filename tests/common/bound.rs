//! How far a result in `f32` may be from the truth: one bound, derived from the truth alone.
//!
//! Rounding acts like small relative changes of the inputs and of the result, once per operation. So the bound of an
//! element is
//!
//! ```text
//! c · √n · (eps·|y| + Δ) + ulp · eps · |y| + eps · cancelling + tiny
//! ```
//!
//! with `eps = 2⁻²⁴`; `Δ` how much the reference in `f64` moves, at most over several draws, when every input element
//! changes by a random relative `±eps`; `n` the longest sum behind the element (rounding errors of a sum grow like
//! `√n` of those of its terms); `c` a small constant of the case, for operations in sequence; and `ulp` what WGSL's
//! accuracy table allows the functions on the way (`exp` 3 + 2·|x|, division 2.5, `log` 3). `cancelling` is the size of
//! intermediate results whose difference is the element: a softmax's gradient where p is near 1, a batch norm's over
//! two rows. `tiny` is the smallest normal number: subnormals may be flushed.

use wgrad::core::{Array, CpuBackend, DType};

use super::cases::Case;
use super::run::{Feed, run};

const EPS: f64 = 5.960_464_477_539_063e-8;
const DRAWS: usize = 6;

/// The truth of a case and the bound of every element.
pub struct Truth {
    pub values: Vec<Vec<f64>>,
    pub bounds: Vec<Vec<f64>>,
    pub outputs: usize,
    pub dtypes: Vec<DType>,
}

/// Runs the reference in `f64` and derives the bounds.
pub fn truth(case: &Case, feed: &Feed) -> Truth {
    let (results, outputs) = run(case, CpuBackend::<f64>::new(), feed);
    let values: Vec<_> = results.iter().map(Array::to_f64).collect();
    let dtypes = results.iter().map(Array::dtype).collect();
    let mut moved: Vec<Vec<f64>> = values.iter().map(|v| vec![0.0; v.len()]).collect();
    if !case.exact {
        let mut stream = wgrad::core::Stream::named(11, &case.name);
        for _ in 0..DRAWS {
            let mut shake = |array: &Array| {
                if array.dtype() == DType::U32 {
                    array.clone()
                } else {
                    let values = array.to_f64();
                    let shaken = values.into_iter().map(|x| x * (1.0 + EPS * (2.0 * stream.uniform() - 1.0))).collect();
                    Array::new::<f64>(array.shape(), shaken).expect("as many as before")
                }
            };
            let shaken = Feed {
                inputs: feed.inputs.iter().map(&mut shake).collect(),
                cotangents: feed.cotangents.iter().map(|c| c.as_ref().map(&mut shake)).collect(),
            };
            let (results, _) = run(case, CpuBackend::<f64>::new(), &shaken);
            for ((moved, value), result) in moved.iter_mut().zip(&values).zip(results) {
                for ((moved, value), result) in moved.iter_mut().zip(value).zip(result.to_f64()) {
                    *moved = moved.max((result - value).abs());
                }
            }
        }
    }
    let root = (case.terms as f64).sqrt();
    let bounds = values.iter().zip(moved).map(|(values, moved)| {
        let bound = |(y, delta): (&f64, f64)| {
            if case.exact {
                return 0.0;
            }
            case.c * root * (EPS * y.abs() + delta)
                + EPS * (case.ulp * y.abs() + case.cancelling)
                + f64::from(f32::MIN_POSITIVE)
        };
        values.iter().zip(moved).map(bound).collect()
    });
    Truth { bounds: bounds.collect(), values, outputs, dtypes }
}

/// The largest error as a share of its bound, over all outputs and gradients.
///
/// # Errors
/// The element that broke its bound, in words.
pub fn check(case: &Case, truth: &Truth, got: &[Array]) -> Result<f64, String> {
    let mut worst: f64 = 0.0;
    for (i, got) in got.iter().enumerate() {
        let what = if i < truth.outputs { format!("output {i}") } else { format!("gradient {}", i - truth.outputs) };
        for (k, ((&y, &bound), got)) in truth.values[i].iter().zip(&truth.bounds[i]).zip(got.to_f64()).enumerate() {
            if y.abs() > f64::from(f32::MAX) || (y.is_nan() && got.is_nan()) {
                continue;
            }
            let error = (got - y).abs();
            if error.is_nan() || error > bound {
                return Err(format!(
                    "{}: {what}[{k}] is {got:e}, the truth {y:e}: off by {error:e} > {bound:e}",
                    case.name
                ));
            }
            worst = worst.max(if bound > 0.0 { error / bound } else { 0.0 });
        }
    }
    Ok(worst)
}

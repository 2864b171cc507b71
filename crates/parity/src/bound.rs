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

use wgrad_core::{Array, CpuBackend, DType, Params, Result, Session, Stream};

use crate::case::Case;
use crate::run::{Feed, Trace};

const EPS: f64 = 5.960_464_477_539_063e-8;
const DRAWS: usize = 6;

/// The truth of a case and the bound of every element: outputs, then gradients.
#[derive(Clone, Debug)]
pub(crate) struct Truth {
    pub values: Vec<Vec<f64>>,
    pub bounds: Vec<Vec<f64>>,
}

/// Runs the reference in `f64` and derives the bounds.
pub(crate) fn truth(case: &Case, trace: &Trace, feed: &Feed) -> Result<Truth> {
    let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    let step = session.compile(&trace.graph, &trace.fetches())?;
    let mut run = |feed: &Feed| -> Result<Vec<Vec<f64>>> {
        Ok(session.run(&step, &trace.feeds(feed))?.iter().map(Array::to_f64).collect())
    };
    let values = run(feed)?;
    if case.exact {
        let bounds = values.iter().map(|v| vec![0.0; v.len()]).collect();
        return Ok(Truth { values, bounds });
    }
    let mut moved: Vec<Vec<f64>> = values.iter().map(|v| vec![0.0; v.len()]).collect();
    let mut stream = Stream::named(11, &case.name);
    for _ in 0..DRAWS {
        let shaken = feed.shaken(&mut stream)?;
        for ((moved, value), result) in moved.iter_mut().zip(&values).zip(run(&shaken)?) {
            for ((moved, value), result) in moved.iter_mut().zip(value).zip(result) {
                *moved = moved.max((result - value).abs());
            }
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "lengths of sums are far below 2^53")]
    let root = (case.terms as f64).sqrt();
    let bound = |(y, delta): (&f64, f64)| {
        case.c * root * (EPS * y.abs() + delta)
            + EPS * (case.ulp * y.abs() + case.cancelling)
            + f64::from(f32::MIN_POSITIVE)
    };
    let bounds = values.iter().zip(moved).map(|(values, moved)| values.iter().zip(moved).map(bound).collect());
    Ok(Truth { bounds: bounds.collect(), values })
}

impl Feed {
    /// Every float changed by a random relative `±eps`.
    fn shaken(&self, stream: &mut Stream) -> Result<Self> {
        let mut shake = |array: &Array| {
            if array.dtype() == DType::U32 {
                return Ok(array.clone());
            }
            let values = array.to_f64().into_iter().map(|x| x * (1.0 + EPS * (2.0 * stream.uniform() - 1.0)));
            Array::new::<f64>(array.shape(), values.collect())
        };
        Ok(Self {
            inputs: self.inputs.iter().map(&mut shake).collect::<Result<_>>()?,
            cotangents: self
                .cotangents
                .iter()
                .map(|c| c.as_ref().map(&mut shake).transpose())
                .collect::<Result<_>>()?,
        })
    }
}

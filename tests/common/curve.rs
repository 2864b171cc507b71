//! Bounds for the values of an `f32` training run, derived from the same run in `f64` and from other runs in
//! `f32`.

use libtest_mimic::Failed;
use wgrad::core::Stream;
use wgrad::prelude::*;

/// Values of a training run in `f64`, in the order in which they are computed, and for each value the largest
/// difference allowed in a run in `f32`.
pub struct Truth {
    pub curve: Vec<f64>,
    pub bounds: Vec<f64>,
}

/// Factor between the bound of a value and the largest difference from the `f64` run that any reference run has
/// had up to this value. Reference runs compute on the CPU in `f32`. All but one of them start from parameters
/// changed by [`shake`], so that their rounding errors are different but of similar size. A GPU adds numbers in
/// another order. For a sum of n terms, its rounding error can be larger by a factor of √n, and here n is at most
/// 64.
const FACTOR: f64 = 8.0;
/// Number of reference runs with changed parameters. With few runs, all differences may be small by chance, on
/// some processors and not on others. If a rounding error moves a value across the kink of a ReLU, all later
/// values can change so much that no useful bound exists; then `Truth::new` panics.
const DRAWS: u64 = 8;

/// Changes every parameter by a random relative amount of up to half of `f32`'s epsilon, which is the largest
/// relative error of rounding to `f32`.
fn shake(params: &Params, draw: u64) {
    let mut stream = Stream::new(11, draw);
    for variable in params.variables() {
        let value = variable.value().expect("on the host").to_f64();
        let eps = f64::from(f32::EPSILON) / 2.0;
        let value = value.into_iter().map(|x| x * (1.0 + eps * (2.0 * stream.uniform() - 1.0))).collect();
        variable.set(Array::new::<f64>(variable.shape(), value).expect("as many")).expect("the same shape");
    }
}

impl Truth {
    /// Computes the values and their bounds. `train` is a training function that runs on the given device and
    /// passes its parameters to the given function before the first step.
    pub fn new(train: impl Fn(&Device, &dyn Fn(&Params)) -> Vec<f64>) -> Self {
        let curve = train(&Device::cpu_f64(), &|_| {});
        let shaken = (0..DRAWS).map(|draw| train(&Device::cpu(), &|params| shake(params, draw)));
        let others: Vec<_> = shaken.chain([train(&Device::cpu(), &|_| {})]).collect();
        let mut farthest: f64 = 0.0;
        let bounds = (0..curve.len()).map(|t| {
            let off = others.iter().map(|other| (other[t] - curve[t]).abs()).fold(0.0, f64::max);
            farthest = farthest.max(off).max(f64::from(f32::EPSILON) * curve[t].abs());
            FACTOR * farthest
        });
        let bounds: Vec<f64> = bounds.collect();
        let largest = curve.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        assert!(
            farthest < 1e-4 * largest,
            "other roundings lead {farthest:e} away: begin with values that are no kink's"
        );
        Self { curve, bounds }
    }

    /// Compares the values of another run with the bounds. Returns the largest difference as a fraction of its
    /// bound.
    pub fn agrees(&self, curve: &[f64]) -> Result<f64, Failed> {
        assert_eq!(curve.len(), self.curve.len());
        let mut worst: f64 = 0.0;
        for (t, ((&found, &truth), &bound)) in curve.iter().zip(&self.curve).zip(&self.bounds).enumerate() {
            let off = (found - truth).abs();
            if off.is_nan() || off > bound {
                return Err(format!("number {t}: {found}, in f64 {truth}: off by {off:e} > {bound:e}").into());
            }
            worst = worst.max(off / bound);
        }
        Ok(worst)
    }
}

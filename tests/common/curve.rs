//! How far a curve in `f32` may be from the one in `f64`, step by step.

use libtest_mimic::Failed;

/// A curve in `f64`, and how far each step of a curve in `f32` may be from it.
pub struct Truth {
    pub curve: Vec<f64>,
    pub bounds: Vec<f64>,
}

/// How far other roundings of the same size lead away from the curve in `f64`, step by step: rounding to `f32` in
/// every op (the CPU backend in `f32`), and the curve in `f64` from parameters changed by random relative `±eps`. The
/// bound is `FACTOR` times the farthest so far: a GPU sums in `f32` and in another order, which rounds `√n` times as
/// much for the `n ≤ 64` terms of these sums.
const FACTOR: f64 = 8.0;
/// How many curves from changed parameters there are.
pub const DRAWS: u64 = 4;

impl Truth {
    /// The bounds that follow from curves with other roundings.
    pub fn new(curve: Vec<f64>, others: &[Vec<f64>]) -> Self {
        let mut farthest: f64 = 0.0;
        let bounds = (0..curve.len()).map(|t| {
            let off = others.iter().map(|other| (other[t] - curve[t]).abs()).fold(0.0, f64::max);
            farthest = farthest.max(off).max(f64::from(f32::EPSILON) * curve[t].abs());
            FACTOR * farthest
        });
        let bounds = bounds.collect();
        Self { curve, bounds }
    }

    /// The largest share of the bound that a curve takes.
    pub fn agrees(&self, curve: &[f64]) -> Result<f64, Failed> {
        assert_eq!(curve.len(), self.curve.len());
        let mut worst: f64 = 0.0;
        for (t, ((&found, &truth), &bound)) in curve.iter().zip(&self.curve).zip(&self.bounds).enumerate() {
            let off = (found - truth).abs();
            if off.is_nan() || off > bound {
                return Err(format!("step {t}: {found}, in f64 {truth}: off by {off:e} > {bound:e}").into());
            }
            worst = worst.max(off / bound);
        }
        Ok(worst)
    }
}

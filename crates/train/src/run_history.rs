//! The fits that a trainer has made before the one under way.

use crate::checkpoint::manifest::{FitRecord, Manifest};
use crate::history::History;
use crate::snapshot::rates;
use wgrad_nn::optim::Optimizer;

/// Fits that a trainer has made, and how the first one began.
#[derive(Default)]
pub(crate) struct RunHistory {
    fits: Vec<FitRecord>,
    /// Steps of the fits up to the checkpoint that the training went on from.
    steps: u64,
    /// Rates with which the first fit began.
    rates: Option<Vec<[u64; 2]>>,
}

impl RunHistory {
    /// Notes the rates of the first fit.
    pub fn begin(&mut self, optimizer: &dyn Optimizer) {
        self.rates.get_or_insert_with(|| rates(optimizer));
    }

    pub fn finish(&mut self, history: &History, epochs: usize) {
        self.fits.push(FitRecord::of(history, epochs));
    }

    /// Takes over the fits of a checkpoint that is within fit number `fit`.
    pub fn go_on(&mut self, manifest: &Manifest, fit: usize) {
        self.fits = manifest.fits[..fit].to_vec();
        self.steps = manifest.position.total;
    }

    pub fn fits(&self) -> &[FitRecord] {
        &self.fits
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Describes the rates with which the first fit began, group by group.
    pub fn describe_rates(&self) -> String {
        let rates = self.rates.iter().flatten().map(|rate| {
            let [lr, momentum] = rate.map(f64::from_bits);
            if momentum.is_nan() { lr.to_string() } else { format!("{lr} and {momentum}") }
        });
        rates.collect::<Vec<_>>().join(", ")
    }
}

//! Earlier fits of a trainer.

use crate::checkpoint::manifest::{FitRecord, Manifest};
use crate::history::History;
use crate::snapshot::rates;
use wgrad_nn::optim::Optimizer;

/// Completed fits of a trainer, and the settings with which the first one began.
#[derive(Default)]
pub(crate) struct RunHistory {
    fits: Vec<FitRecord>,
    /// Steps of all fits up to the checkpoint that the training has resumed from.
    steps: u64,
    /// Learning rates and momenta with which the first fit began.
    rates: Option<Vec<[u64; 2]>>,
}

impl RunHistory {
    /// Records the learning rates of the first fit.
    pub fn begin(&mut self, optimizer: &dyn Optimizer) {
        self.rates.get_or_insert_with(|| rates(optimizer));
    }

    pub fn finish(&mut self, history: &History, epochs: usize) {
        self.fits.push(FitRecord::of(history, epochs));
    }

    /// Takes over the earlier fits of a checkpoint of fit number `fit`.
    pub fn resume(&mut self, manifest: &Manifest, fit: usize) {
        self.fits = manifest.fits[..fit].to_vec();
        self.steps = manifest.position.total;
    }

    pub fn fits(&self) -> &[FitRecord] {
        &self.fits
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Describes the learning rates and momenta with which the first fit began, group by group.
    pub fn describe_rates(&self) -> String {
        let rates = self.rates.iter().flatten().map(|rate| {
            let [lr, momentum] = rate.map(f64::from_bits);
            if momentum.is_nan() { lr.to_string() } else { format!("{lr} and {momentum}") }
        });
        rates.collect::<Vec<_>>().join(", ")
    }
}

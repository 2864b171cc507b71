//! Records of a trainer's earlier fits.

use crate::checkpoint::manifest::{FitRecord, Manifest};
use crate::history::History;
use crate::snapshot::rates;
use wgrad_nn::optim::Optimizer;

/// Completed fits of a trainer, and the learning rates at the start of the first fit.
#[derive(Default)]
pub(crate) struct RunHistory {
    fits: Vec<FitRecord>,
    /// Number of steps, over all fits, before the checkpoint that the training resumed from. 0 if it did not
    /// resume.
    steps: u64,
    /// Learning rate and momentum of each parameter group at the start of the first fit, each stored as the bits
    /// of an `f64`.
    rates: Option<Vec<[u64; 2]>>,
}

impl RunHistory {
    /// Records the learning rates and momenta at the start of the first fit. Later calls do nothing.
    pub fn begin(&mut self, optimizer: &dyn Optimizer) {
        self.rates.get_or_insert_with(|| rates(optimizer));
    }

    pub fn finish(&mut self, history: &History, epochs: usize) {
        self.fits.push(FitRecord::of(history, epochs));
    }

    /// Copies the records of earlier fits from a checkpoint, which was written during the fit with index `fit`.
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

    /// Describes the learning rate and momentum of each parameter group at the start of the first fit.
    pub fn describe_rates(&self) -> String {
        let rates = self.rates.iter().flatten().map(|rate| {
            let [lr, momentum] = rate.map(f64::from_bits);
            if momentum.is_nan() { lr.to_string() } else { format!("{lr} and {momentum}") }
        });
        rates.collect::<Vec<_>>().join(", ")
    }
}

//! Progress observers.

use std::sync::Arc;

use wgrad_core::{OnCompile, OnWarning};

use crate::history::{EpochStats, History};

/// Size and starting position of a fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FitInfo {
    /// Number of epochs.
    pub epochs: usize,
    /// Steps per epoch.
    pub steps: usize,
    /// Rows of the training set.
    pub rows: usize,
    /// Number of steps of this fit that ran before the checkpoint from which it resumes. 0 if it does not resume.
    pub done: usize,
}

/// Observer that shows the progress of a fit. Every method has a default.
pub trait Progress {
    /// Called at the beginning of a fit.
    fn begin(&mut self, _fit: &FitInfo) {}

    /// Returns a callback that is called while kernels are compiled, before the first steps of a fit. It receives
    /// the number of compiled kernels and the number of all kernels. Default: `None`.
    fn compiling(&self) -> Option<OnCompile> {
        None
    }

    /// Returns the callback that receives warnings about the model. The default callback writes them to standard
    /// error.
    fn warnings(&self) -> OnWarning {
        Arc::new(|warning| eprintln!("{warning}"))
    }

    /// Called after each training step with the number of the step in its epoch, from 1. Steps run on the device
    /// in chunks of several steps; after a chunk has run, this method is called once for each of its steps.
    fn step(&mut self, _step: usize) {}

    /// Receives the loss of the last reported step, and the current learning rate. The host submits steps ahead of
    /// the device, so the learning rate may belong to a later step.
    fn now(&mut self, _loss: f64, _lr: Option<f64>) {}

    /// Receives a message for the user, such as a warning that a checkpoint could not be written. By default, it
    /// is written to standard error.
    fn note(&mut self, text: &str) {
        eprintln!("{text}");
    }

    /// Called after each epoch.
    fn epoch(&mut self, _stats: &EpochStats) {}

    /// Called at the end of a fit, even if the fit failed.
    fn end(&mut self, _history: &History) {}
}

impl<P: Progress + ?Sized> Progress for Box<P> {
    fn begin(&mut self, fit: &FitInfo) {
        (**self).begin(fit);
    }
    fn compiling(&self) -> Option<OnCompile> {
        (**self).compiling()
    }
    fn warnings(&self) -> OnWarning {
        (**self).warnings()
    }
    fn step(&mut self, step: usize) {
        (**self).step(step);
    }
    fn now(&mut self, loss: f64, lr: Option<f64>) {
        (**self).now(loss, lr);
    }
    fn note(&mut self, text: &str) {
        (**self).note(text);
    }
    fn epoch(&mut self, stats: &EpochStats) {
        (**self).epoch(stats);
    }
    fn end(&mut self, history: &History) {
        (**self).end(history);
    }
}

/// Progress observer that shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn warnings(&self) -> OnWarning {
        Arc::new(|_| ())
    }

    fn note(&mut self, _text: &str) {}
}

/// Progress observer that writes a line per epoch to standard error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines;

impl Progress for Lines {
    fn epoch(&mut self, stats: &EpochStats) {
        eprintln!("{stats}");
    }
}

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
    /// Steps of the checkpoint that the fit resumes from, over all epochs of the fit; 0 if it does not.
    pub done: usize,
}

/// Observer of a fit. Every method has a default.
pub trait Progress {
    /// Called at the beginning of a fit.
    fn begin(&mut self, _fit: &FitInfo) {}

    /// Returns a callback that receives the numbers of compiled kernels and of all kernels, before the first steps of a
    /// fit. Default: none.
    fn compiling(&self) -> Option<OnCompile> {
        None
    }

    /// Returns the callback that receives warnings about the model. Default: standard error.
    fn warnings(&self) -> OnWarning {
        Arc::new(|warning| eprintln!("{warning}"))
    }

    /// Called after step number `step` of the epoch, from 1. Steps are submitted in chunks, so the calls of a chunk
    /// come together, after it has run.
    fn step(&mut self, _step: usize) {}

    /// Receives the loss of the last reported step and the current learning rate. As steps are submitted ahead, the
    /// rate may be that of a later step.
    fn now(&mut self, _loss: f64, _lr: Option<f64>) {}

    /// Receives a message for the user, such as a checkpoint that could not be written. Default: standard error.
    fn note(&mut self, text: &str) {
        eprintln!("{text}");
    }

    /// Called after an epoch.
    fn epoch(&mut self, _stats: &EpochStats) {}

    /// Called at the end of the fit, also if it failed.
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

//! The observer of a training, and the simplest ones.

use std::sync::Arc;

use wgrad_core::{OnCompile, OnWarning};

use crate::history::{EpochStats, History};

/// A fit, as announced to its observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many epochs.
    pub epochs: usize,
    /// How many steps an epoch has.
    pub steps: usize,
    /// How many rows the training set has.
    pub rows: usize,
    /// How many steps of all are made already, where a fit goes on from a checkpoint.
    pub done: usize,
}

/// Watches a training. Every method may be left out.
pub trait Progress {
    /// A fit begins.
    fn begin(&mut self, _run: &Run) {}

    /// Whom to tell how many of how many kernels are compiled, before the first steps of a fit.
    fn compiling(&self) -> Option<OnCompile> {
        None
    }

    /// Whom to tell warnings about the model; standard error if not said otherwise.
    fn warnings(&self) -> OnWarning {
        Arc::new(|warning| eprintln!("{warning}"))
    }

    /// Step number `step` of the epoch, from 1, has run. Steps go to the device many at a time and are told likewise.
    fn step(&mut self, _step: usize) {}

    /// The loss of the step that was told last, and the learning rate of about now.
    fn now(&mut self, _loss: f64, _lr: Option<f64>) {}

    /// Something that whoever waits for the result should know, such as a checkpoint that could not be written.
    fn note(&mut self, text: &str) {
        eprintln!("{text}");
    }

    /// An epoch is over.
    fn epoch(&mut self, _stats: &EpochStats) {}

    /// The fit is over, also when it failed.
    fn end(&mut self, _history: &History) {}
}

impl<P: Progress + ?Sized> Progress for Box<P> {
    fn begin(&mut self, run: &Run) {
        (**self).begin(run);
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

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn warnings(&self) -> OnWarning {
        Arc::new(|_| ())
    }

    fn note(&mut self, _text: &str) {}
}

/// Writes a line per epoch to stderr.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines;

impl Progress for Lines {
    fn epoch(&mut self, stats: &EpochStats) {
        eprintln!("{stats}");
    }
}

//! What a training shows while it runs.

#[cfg(feature = "progress")]
use std::io::{IsTerminal, stderr};
use std::sync::Arc;
#[cfg(feature = "progress")]
use std::sync::{Mutex, MutexGuard, PoisonError};

use wgrad_core::{OnCompile, OnWarning};

use super::{EpochStats, History};

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

    /// The loss of the step that was told last.
    fn loss(&mut self, _loss: f64) {}

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
    fn loss(&mut self, loss: f64) {
        (**self).loss(loss);
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

/// A progress bar on stderr, if that is a terminal and the feature `progress` is on; lines otherwise.
#[must_use]
pub fn automatic() -> Box<dyn Progress> {
    #[cfg(feature = "progress")]
    if stderr().is_terminal() {
        return Box::new(Bar::default());
    }
    Box::new(Lines)
}

/// A progress bar over all steps, on stderr, with the last epoch's loss.
#[cfg(feature = "progress")]
#[derive(Debug, Default)]
pub struct Bar {
    /// Shared with those who compile.
    bar: Arc<Mutex<Option<indicatif::ProgressBar>>>,
    epochs: usize,
}

#[cfg(feature = "progress")]
fn lock(bar: &Mutex<Option<indicatif::ProgressBar>>) -> MutexGuard<'_, Option<indicatif::ProgressBar>> {
    bar.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(feature = "progress")]
impl Progress for Bar {
    fn begin(&mut self, run: &Run) {
        let style = indicatif::ProgressStyle::with_template("{wide_bar} {percent:>3} %  {msg}  {eta} left");
        let style = style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar());
        let bar = indicatif::ProgressBar::new((run.epochs * run.steps) as u64).with_style(style);
        bar.set_message(format!("epoch 1/{}", run.epochs));
        *lock(&self.bar) = Some(bar);
        self.epochs = run.epochs;
    }

    fn compiling(&self) -> Option<OnCompile> {
        let (bar, epochs) = (self.bar.clone(), self.epochs);
        Some(Arc::new(move |done, of| {
            if let Some(bar) = &*lock(&bar) {
                let first = format!("epoch 1/{epochs}");
                bar.set_message(if done < of { format!("compiling kernels {done}/{of}") } else { first });
            }
        }))
    }

    fn warnings(&self) -> OnWarning {
        let bar = self.bar.clone();
        Arc::new(move |warning| match &*lock(&bar) {
            Some(bar) => bar.suspend(|| eprintln!("{warning}")),
            None => eprintln!("{warning}"),
        })
    }

    fn step(&mut self, _step: usize) {
        if let Some(bar) = &*lock(&self.bar) {
            bar.inc(1);
        }
    }

    fn epoch(&mut self, stats: &EpochStats) {
        if let Some(bar) = &*lock(&self.bar) {
            bar.set_message(stats.to_string());
        }
    }

    fn end(&mut self, history: &History) {
        if let Some(bar) = lock(&self.bar).take() {
            bar.finish_and_clear();
        }
        if let Some(last) = history.epochs.last() {
            eprintln!("{last}");
        }
    }
}

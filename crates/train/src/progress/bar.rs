//! Progress bar in a terminal.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wgrad_core::{OnCompile, OnWarning};

use super::clock::Clock;
use super::observer::{FitInfo, Progress};
use crate::history::{EpochStats, History, Short};

/// Progress bar over all steps, on standard error, with loss, learning rate, steps per second and the time left.
#[derive(Debug, Default)]
pub struct Bar {
    /// Progress bar on the screen. It is shared with the callbacks for compilation and warnings.
    bar: Arc<Mutex<Option<indicatif::ProgressBar>>>,
    epochs: usize,
    epoch: usize,
    clock: Option<Clock>,
    /// Time of the last update of the message.
    drawn: Option<Instant>,
}

fn lock(bar: &Mutex<Option<indicatif::ProgressBar>>) -> MutexGuard<'_, Option<indicatif::ProgressBar>> {
    bar.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Progress for Bar {
    fn begin(&mut self, run: &FitInfo) {
        let style = indicatif::ProgressStyle::with_template("{wide_bar} {percent:>3} %  {msg}");
        let style = style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar());
        let bar = indicatif::ProgressBar::new((run.epochs * run.steps) as u64).with_style(style);
        bar.set_position(run.done as u64);
        self.epoch = run.done / run.steps.max(1) + 1;
        bar.set_message(format!("epoch {}/{}", self.epoch, run.epochs));
        *lock(&self.bar) = Some(bar);
        (self.epochs, self.clock) = (run.epochs, Some(Clock::new(run)));
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
        self.clock.iter_mut().for_each(Clock::step);
        if let Some(bar) = &*lock(&self.bar) {
            bar.inc(1);
        }
    }

    fn now(&mut self, loss: f64, lr: Option<f64>) {
        // Updates the message at most 20 times per second.
        if self.drawn.is_none_or(|drawn| drawn.elapsed() > Duration::from_millis(50))
            && let Some(bar) = &*lock(&self.bar)
        {
            let lr = lr.map_or(String::new(), |lr| format!("  lr {}", Short(lr)));
            let rate = self.clock.as_ref().map(Clock::rate).unwrap_or_default();
            bar.set_message(format!("epoch {}/{}  loss {loss:.4}{lr}{rate}", self.epoch, self.epochs));
            self.drawn = Some(Instant::now());
        }
    }

    fn note(&mut self, text: &str) {
        match &*lock(&self.bar) {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    fn epoch(&mut self, stats: &EpochStats) {
        self.epoch = stats.epoch + 1;
        self.clock.iter_mut().for_each(|clock| _ = clock.epoch(stats.seconds));
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

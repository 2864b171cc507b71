//! What a training shows while it runs.

#[cfg(feature = "progress")]
use std::io::{IsTerminal, stderr};
use std::sync::Arc;
#[cfg(feature = "progress")]
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wgrad_core::{OnCompile, OnWarning};

use super::{EpochStats, History, Short};

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

/// How many of all steps of a fit are made, and how fast.
#[derive(Debug)]
struct Clock {
    run: Run,
    done: usize,
    /// When the first step was told, and how many there were then: compiling does not count.
    since: Option<(Instant, usize)>,
}

impl Clock {
    fn new(run: &Run) -> Self {
        Self { run: *run, done: run.done, since: None }
    }

    fn step(&mut self) {
        self.done += 1;
        self.since.get_or_insert_with(|| (Instant::now(), self.done));
    }

    /// Steps per second and the time left, as far as they are known.
    fn rate(&self) -> String {
        let Some((since, then)) = self.since else { return String::new() };
        let (seconds, made) = (since.elapsed().as_secs_f64(), self.done - then);
        if made == 0 || seconds <= 0.0 {
            return String::new();
        }
        #[allow(clippy::cast_precision_loss, reason = "no run has 2^53 steps")]
        let (rate, left) = (made as f64 / seconds, (self.run.epochs * self.run.steps).saturating_sub(self.done) as f64);
        format!("  {} steps/s  {} left", Short(rate), span(left / rate))
    }
}

/// A time for people: two units at most.
fn span(seconds: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive time")]
    let whole = seconds.max(0.0).ceil() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Writes a line per epoch to stderr, with steps per second and the time left, and in a long epoch a line every
/// half a minute: what [`automatic`] takes where there is no terminal.
#[derive(Debug, Default)]
pub struct Log {
    clock: Option<Clock>,
    epoch: usize,
    step: usize,
    told: Option<Instant>,
}

/// Time between lines within an epoch.
const QUIET: Duration = Duration::from_secs(30);

impl Log {
    fn line(&mut self, text: &str) {
        self.told = Some(Instant::now());
        eprintln!("{text}{}", self.clock.as_ref().map(Clock::rate).unwrap_or_default());
    }
}

impl Progress for Log {
    fn begin(&mut self, run: &Run) {
        let epoch = run.done / run.steps.max(1) + 1;
        *self = Self { clock: Some(Clock::new(run)), epoch, step: 0, told: Some(Instant::now()) };
    }

    fn step(&mut self, step: usize) {
        self.step = step;
        self.clock.iter_mut().for_each(Clock::step);
    }

    fn now(&mut self, loss: f64, lr: Option<f64>) {
        if self.told.is_some_and(|told| told.elapsed() > QUIET)
            && let Some(Run { epochs, steps, .. }) = self.clock.as_ref().map(|clock| clock.run)
        {
            let lr = lr.map_or(String::new(), |lr| format!("  lr {}", Short(lr)));
            self.line(&format!("epoch {}/{epochs}  step {}/{steps}  loss {loss:.4}{lr}", self.epoch, self.step));
        }
    }

    fn epoch(&mut self, stats: &EpochStats) {
        self.epoch = stats.epoch + 1;
        self.line(&stats.to_string());
    }
}

/// A progress bar on stderr, if that is a terminal and the feature `progress` is on; lines otherwise.
#[must_use]
pub fn automatic() -> Box<dyn Progress> {
    #[cfg(feature = "progress")]
    if stderr().is_terminal() {
        return Box::new(Bar::default());
    }
    Box::new(Log::default())
}

/// A progress bar over all steps, on stderr, with loss and learning rate, steps per second and the time left.
#[cfg(feature = "progress")]
#[derive(Debug, Default)]
pub struct Bar {
    /// Shared with those who compile.
    bar: Arc<Mutex<Option<indicatif::ProgressBar>>>,
    epochs: usize,
    epoch: usize,
    clock: Option<Clock>,
    drawn: Option<Instant>,
}

#[cfg(feature = "progress")]
fn lock(bar: &Mutex<Option<indicatif::ProgressBar>>) -> MutexGuard<'_, Option<indicatif::ProgressBar>> {
    bar.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(feature = "progress")]
impl Progress for Bar {
    fn begin(&mut self, run: &Run) {
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
        // More often than the eye can see is a waste.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units_at_most() {
        let spans = [0.2, 59.0, 60.5, 3600.0, 9000.0].map(span);
        assert_eq!(spans, ["1 s", "59 s", "1 min 1 s", "1 h 0 min", "2 h 30 min"]);
    }

    #[test]
    fn a_clock_counts_what_is_left_of_all_epochs() {
        let mut clock = Clock::new(&Run { epochs: 2, steps: 10, rows: 100, done: 5 });
        assert_eq!(clock.rate(), "");
        for _ in 0..3 {
            clock.step();
        }
        // Two steps in two seconds, eight done, twelve left.
        clock.since = Instant::now().checked_sub(Duration::from_secs(2)).map(|since| (since, 6));
        assert!(clock.rate().ends_with(" left") && clock.rate().contains("  13 s left"), "{}", clock.rate());
    }
}

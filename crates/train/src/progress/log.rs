//! Progress observer that writes log lines.

use std::time::{Duration, Instant};

use super::clock::Clock;
use super::observer::{FitInfo, Progress};
use crate::history::{EpochStats, Short};

/// Progress observer that writes log lines to standard error: one line per epoch, with steps per second and the
/// time left, and one line every 30 seconds within long epochs. [`automatic`](super::automatic) returns this
/// observer if standard error is not a terminal.
#[derive(Debug, Default)]
pub struct Log {
    clock: Option<Clock>,
    epoch: usize,
    step: usize,
    /// Time of the last line.
    written: Option<Instant>,
}

/// Time between lines within an epoch.
const QUIET: Duration = Duration::from_secs(30);

impl Log {
    fn line(&mut self, text: &str, rate: Option<String>) {
        self.written = Some(Instant::now());
        eprintln!("{text}{}", rate.unwrap_or_default());
    }
}

impl Progress for Log {
    fn begin(&mut self, run: &FitInfo) {
        let epoch = run.done / run.steps.max(1) + 1;
        *self = Self { clock: Some(Clock::new(run)), epoch, step: 0, written: Some(Instant::now()) };
    }

    fn step(&mut self, step: usize) {
        self.step = step;
        self.clock.iter_mut().for_each(Clock::step);
    }

    fn now(&mut self, loss: f64, lr: Option<f64>) {
        if self.written.is_some_and(|written| written.elapsed() > QUIET)
            && let Some(FitInfo { epochs, steps, .. }) = self.clock.as_ref().map(Clock::fit)
        {
            let lr = lr.map_or(String::new(), |lr| format!("  lr {}", Short(lr)));
            let text = format!("epoch {}/{epochs}  step {}/{steps}  loss {loss:.4}{lr}", self.epoch, self.step);
            let rate = self.clock.as_ref().map(Clock::rate);
            self.line(&text, rate);
        }
    }

    fn epoch(&mut self, stats: &EpochStats) {
        self.epoch = stats.epoch + 1;
        let rate = self.clock.as_mut().map(|clock| clock.epoch(stats.seconds));
        self.line(&stats.to_string(), rate);
    }
}

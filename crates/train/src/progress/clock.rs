//! Speed of a fit and estimate of the time left.

use std::time::Instant;

use super::observer::FitInfo;
use crate::history::Short;

/// Counter of the steps of a fit, with the start time of the current epoch.
#[derive(Debug)]
pub(super) struct Clock {
    fit: FitInfo,
    /// Number of steps so far, over all epochs.
    done: usize,
    /// Start time of the current epoch.
    began: Instant,
    /// Number of steps of the current epoch so far.
    made: usize,
}

impl Clock {
    pub fn new(fit: &FitInfo) -> Self {
        Self { fit: *fit, done: fit.done, began: Instant::now(), made: 0 }
    }

    pub fn fit(&self) -> FitInfo {
        self.fit
    }

    pub fn step(&mut self) {
        self.done += 1;
        self.made += 1;
    }

    /// Returns the steps per second of the current epoch, and the time left, as text. The rate is an average since
    /// the beginning of the epoch, because steps are reported in groups.
    pub fn rate(&self) -> String {
        self.rate_within(self.began.elapsed().as_secs_f64())
    }

    /// Ends an epoch whose steps took `seconds`. Returns the epoch's steps per second, and the time left, as text.
    pub fn epoch(&mut self, seconds: f64) -> String {
        let rate = self.rate_within(seconds);
        (self.began, self.made) = (Instant::now(), 0);
        rate
    }

    /// Returns the steps per second and the time left as text, which is empty if no step has run yet.
    fn rate_within(&self, seconds: f64) -> String {
        if self.made == 0 || seconds <= 0.0 {
            return String::new();
        }
        let left = (self.fit.epochs * self.fit.steps).saturating_sub(self.done);
        let (rate, left) = (self.made as f64 / seconds, left as f64);
        format!("  {} steps/s  {} left", Short(rate), span(left / rate))
    }
}

/// Formats a duration with at most two units.
fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0).ceil() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_have_two_units_at_most() {
        let spans = [0.2, 59.0, 60.5, 3600.0, 9000.0].map(span);
        assert_eq!(spans, ["1 s", "59 s", "1 min 1 s", "1 h 0 min", "2 h 30 min"]);
    }

    #[test]
    fn the_time_left_counts_all_epochs() {
        let mut clock = Clock::new(&FitInfo { epochs: 2, steps: 10, rows: 100, done: 5 });
        assert_eq!(clock.rate(), "");
        for _ in 0..3 {
            clock.step();
        }
        // Three steps took slightly more than three seconds. Eight steps are done and twelve are left, which is
        // rounded up to 13 s.
        clock.began = Instant::now().checked_sub(Duration::from_secs(3)).expect("the clock runs for longer");
        assert!(clock.rate().ends_with(" left") && clock.rate().contains("  13 s left"), "{}", clock.rate());
    }

    #[test]
    fn the_rate_of_an_epoch_is_that_of_its_own_steps() {
        let mut clock = Clock::new(&FitInfo { epochs: 3, steps: 15, rows: 480, done: 0 });
        for (seconds, rate) in [(0.03, "  500 steps/s  1 s left"), (0.001, "  15000 steps/s  1 s left")] {
            // Reports all steps of the epoch at once, as after a chunk of steps.
            for _ in 0..15 {
                clock.step();
            }
            assert_eq!(clock.epoch(seconds), rate);
        }
        assert_eq!(clock.rate(), "", "the next epoch has no step yet");
        // A fit that resumes within an epoch runs only the remaining steps of that epoch.
        let mut resumed = Clock::new(&FitInfo { epochs: 1, steps: 15, rows: 480, done: 10 });
        for _ in 0..5 {
            resumed.step();
        }
        assert_eq!(resumed.epoch(0.5), "  10 steps/s  0 s left");
    }
}

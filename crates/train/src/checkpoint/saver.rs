//! Writer of a training run's checkpoints: their times, and the report of failures.

use std::path::{Path, PathBuf};

use wgrad_core::Result;

use super::capture::Capture;
use super::folder::Checkpoints;
use crate::number::BestEpoch;
use crate::progress::Progress;

/// Writer of a trainer's checkpoints.
#[derive(Default)]
pub(crate) struct Saver {
    checkpoints: Option<Checkpoints>,
    /// True once the folder has been checked.
    begun: bool,
    /// Files of another training run, to be removed.
    others: Vec<PathBuf>,
    /// Last file that was written.
    last: Option<PathBuf>,
    /// Steps of the last checkpoint, over all fits.
    saved: Option<u64>,
    /// Best epoch that was saved.
    best: Option<BestEpoch>,
}

/// Measure of a completed epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    pub epoch: usize,
    /// Value; NaN if the epoch must not be saved as the best one.
    pub value: f64,
    pub maximize: bool,
}

impl Saver {
    pub fn set(&mut self, checkpoints: Checkpoints) {
        self.checkpoints = Some(checkpoints);
    }

    pub fn is_on(&self) -> bool {
        self.checkpoints.is_some()
    }

    pub fn last(&self) -> Option<&Path> {
        self.last.as_deref()
    }

    /// Returns the number of steps until the next checkpoint within an epoch, after `total` steps of the training.
    pub fn steps_left(&self, total: u64) -> Option<usize> {
        self.checkpoints.as_ref().and_then(|checkpoints| checkpoints.steps_left(total))
    }

    /// Checks the folder before the first step of a training run. `resumes` allows checkpoints in it.
    pub fn begin(&mut self, resumes: bool) -> Result<()> {
        if let Some(checkpoints) = self.checkpoints.as_ref().filter(|_| !self.begun) {
            self.others = checkpoints.begin(resumes)?;
            self.begun = true;
        }
        Ok(())
    }

    /// Continues after a checkpoint of `total` steps.
    pub fn resume(&mut self, total: u64, best: Option<BestEpoch>) {
        (self.saved, self.best) = (Some(total), best);
    }

    /// Saves a position between two steps. Reports a checkpoint that cannot be written.
    pub fn save(&mut self, capture: &mut Capture<'_>, progress: &mut dyn Progress) -> Result<()> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        let (bytes, total) = (capture.bytes(self.best)?, capture.at.total);
        match checkpoints.save(&bytes, total, &mut self.others) {
            Ok(path) => (self.last, self.saved) = (Some(path), Some(total)),
            Err(error) => {
                let last = self.last.as_ref();
                let last =
                    last.map_or("there is none yet".into(), |path| format!("the last one is {}", path.display()));
                progress.note(&format!(
                    "warning: no checkpoint after step {total}: {error}\n  {last}; the training continues"
                ));
            }
        }
        Ok(())
    }

    /// Saves the best epoch, and the position after an epoch if a checkpoint is due.
    pub fn save_epoch(
        &mut self,
        capture: &mut Capture<'_>,
        measure: Measure,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        let Measure { epoch, value, maximize } = measure;
        let best = self.best.map(BestEpoch::value);
        let better = best.is_none_or(|best| if maximize { value > best } else { value < best });
        if checkpoints.keeps_best() && !value.is_nan() && better {
            self.best = Some(BestEpoch::new(epoch, value));
            if let Err(error) = checkpoints.save_best(&capture.bytes(self.best)?, &mut self.others) {
                progress.note(&format!("warning: the best epoch is not saved: {error}\n  the training continues"));
            }
        }
        if capture.at.over && checkpoints.keeps_end() {
            self.save_last(capture)
        } else if checkpoints.due(epoch, capture.at.total) {
            self.save(capture, progress)
        } else {
            Ok(())
        }
    }

    /// Saves the position at the end of a fit. A checkpoint that cannot be written is an error.
    pub fn save_last(&mut self, capture: &mut Capture<'_>) -> Result<()> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        let total = capture.at.total;
        if self.saved == Some(total) && !capture.at.over {
            return Ok(());
        }
        let path = checkpoints.save(&capture.bytes(self.best)?, total, &mut self.others)?;
        (self.last, self.saved) = (Some(path), Some(total));
        Ok(())
    }
}

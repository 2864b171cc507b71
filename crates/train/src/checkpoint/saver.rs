//! Writer of a training run's checkpoints: decides when they are written, and reports failures.

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
    /// Files of another training run, which are removed after the first checkpoint is written.
    others: Vec<PathBuf>,
    /// Last file that was written.
    last: Option<PathBuf>,
    /// Number of steps before the last checkpoint, over all fits.
    saved: Option<u64>,
    /// Best epoch that was saved so far.
    best: Option<BestEpoch>,
}

/// Loss or metric of a completed epoch, which decides whether this epoch is the best so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    pub epoch: usize,
    /// Loss or metric. NaN if the epoch must not be saved as the best epoch.
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

    /// Returns the number of steps from now to the next checkpoint, if checkpoints are written at an interval of
    /// steps, and `None` otherwise. `total` is the number of steps so far, over all fits.
    pub fn steps_left(&self, total: u64) -> Option<usize> {
        self.checkpoints.as_ref().and_then(|checkpoints| checkpoints.steps_left(total))
    }

    /// Checks the folder before the first step of a training run. The folder may contain checkpoints if `resumes`
    /// is true.
    pub fn begin(&mut self, resumes: bool) -> Result<()> {
        if let Some(checkpoints) = self.checkpoints.as_ref().filter(|_| !self.begun) {
            self.others = checkpoints.begin(resumes)?;
            self.begun = true;
        }
        Ok(())
    }

    /// Records that the training resumes from a checkpoint that was written after `total` steps. `best` is the
    /// best epoch that had been saved by then.
    pub fn resume(&mut self, total: u64, best: Option<BestEpoch>) {
        (self.saved, self.best) = (Some(total), best);
    }

    /// Writes a checkpoint between two steps or after an epoch. If this fails, reports it and returns no error.
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

    /// Writes the checkpoint of the best epoch, if this epoch is the best so far, and the checkpoint after the
    /// epoch, if it is due.
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

    /// Writes the final checkpoint of a fit. Returns an error if it cannot be written.
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

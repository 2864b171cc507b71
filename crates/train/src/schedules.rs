//! The trainer's schedule: planned until there is an optimizer, then bound to it.

use wgrad_core::{Error, Result};

use wgrad_nn::optim::Optimizer;
use wgrad_nn::optim::schedule::{Schedule, ScheduleState, Scheduler, StepScheduler};

#[derive(Default)]
pub(super) enum Schedules {
    #[default]
    None,
    Planned {
        schedule: Box<dyn Schedule>,
        per_step: bool,
    },
    PerEpoch(Scheduler),
    PerStep(StepScheduler),
}

impl Schedules {
    pub fn per_epoch(schedule: impl Schedule + 'static) -> Self {
        Self::Planned { schedule: Box::new(schedule), per_step: false }
    }

    pub fn per_step(schedule: impl Schedule + 'static) -> Self {
        Self::Planned { schedule: Box::new(schedule), per_step: true }
    }

    /// Binds the schedule, before any step is traced; once.
    pub fn begin(&mut self, optimizer: &dyn Optimizer) -> Result<()> {
        let Self::Planned { .. } = self else { return Ok(()) };
        let Self::Planned { schedule, per_step } = std::mem::take(self) else { return Ok(()) };
        let scheduler = Scheduler::new(optimizer, schedule)?;
        *self = if per_step { Self::PerStep(scheduler.per_step()?) } else { Self::PerEpoch(scheduler) };
        Ok(())
    }

    /// Whether it turns rates in every step already.
    pub fn is_per_step(&self) -> bool {
        matches!(self, Self::PerStep(_))
    }

    /// Whether there are rates for so many updates more.
    pub fn check(&self, updates: usize) -> Result<()> {
        match self {
            Self::PerStep(scheduler) => scheduler.check(updates),
            _ => Ok(()),
        }
    }

    pub fn after_epoch(&mut self, metric: f64) -> Result<()> {
        match self {
            Self::PerEpoch(scheduler) if scheduler.follows_metric() => scheduler.measure(metric),
            Self::PerEpoch(scheduler) => scheduler.step(),
            _ => Ok(()),
        }
    }

    pub fn state(&mut self) -> Option<ScheduleState> {
        match self {
            Self::PerEpoch(scheduler) => Some(scheduler.state()),
            Self::PerStep(scheduler) => Some(scheduler.state()),
            Self::None | Self::Planned { .. } => None,
        }
    }

    pub fn restore(&mut self, state: &ScheduleState) -> Result<()> {
        match self {
            Self::PerEpoch(scheduler) => scheduler.restore(state),
            Self::PerStep(scheduler) => scheduler.restore(state),
            Self::None | Self::Planned { .. } => {
                Err(Error::Config("there is no schedule to restore\n  fix: Trainer::new(…).schedule(…)".into()))
            }
        }
    }
}

//! The trainer's schedule: planned until there is an optimizer, then bound to it.

use wgrad_core::Result;

use crate::error::SettingError;
use crate::snapshot::{rates, set_rates};
use wgrad_nn::optim::Optimizer;
use wgrad_nn::optim::schedule::{Schedule, ScheduleState, Scheduler, StepScheduler};

/// Schedule of a trainer, with its description for checkpoints.
#[derive(Default)]
pub(crate) struct Schedules {
    description: Option<String>,
    stage: Stage,
}

#[derive(Default)]
enum Stage {
    #[default]
    None,
    Planned {
        schedule: Box<dyn Schedule>,
        per_step: bool,
    },
    PerEpoch(Scheduler),
    PerStep(StepScheduler),
}

/// Rates of an optimizer and state of its schedule: what the host sets between steps.
pub(crate) struct HostSettings {
    rates: Vec<[u64; 2]>,
    schedule: Option<ScheduleState>,
}

impl Schedules {
    pub fn per_epoch(schedule: impl Schedule + 'static) -> Self {
        let description = Some(format!("{schedule:?} per epoch"));
        Self { description, stage: Stage::Planned { schedule: Box::new(schedule), per_step: false } }
    }

    pub fn per_step(schedule: impl Schedule + 'static) -> Self {
        let description = Some(format!("{schedule:?} per step"));
        Self { description, stage: Stage::Planned { schedule: Box::new(schedule), per_step: true } }
    }

    /// Describes the schedule as it was given.
    pub fn describe(&self) -> String {
        self.description.clone().unwrap_or_else(|| "none".into())
    }

    /// Binds the schedule, before any step is traced; once.
    pub fn begin(&mut self, optimizer: &dyn Optimizer) -> Result<()> {
        let Stage::Planned { .. } = self.stage else { return Ok(()) };
        let Stage::Planned { schedule, per_step } = std::mem::take(&mut self.stage) else { return Ok(()) };
        let scheduler = Scheduler::new(optimizer, schedule)?;
        self.stage = if per_step { Stage::PerStep(scheduler.per_step()?) } else { Stage::PerEpoch(scheduler) };
        Ok(())
    }

    /// Returns whether it sets rates in every step already.
    pub fn is_per_step(&self) -> bool {
        matches!(self.stage, Stage::PerStep(_))
    }

    /// Checks that there are rates for so many updates more.
    pub fn check(&self, updates: usize) -> Result<()> {
        match &self.stage {
            Stage::PerStep(scheduler) => scheduler.check(updates),
            _ => Ok(()),
        }
    }

    pub fn after_epoch(&mut self, metric: f64) -> Result<()> {
        match &mut self.stage {
            Stage::PerEpoch(scheduler) if scheduler.follows_metric() => scheduler.measure(metric),
            Stage::PerEpoch(scheduler) => scheduler.step(),
            _ => Ok(()),
        }
    }

    pub fn state(&mut self) -> Option<ScheduleState> {
        match &mut self.stage {
            Stage::PerEpoch(scheduler) => Some(scheduler.state()),
            Stage::PerStep(scheduler) => Some(scheduler.state()),
            Stage::None | Stage::Planned { .. } => None,
        }
    }

    pub fn restore(&mut self, state: &ScheduleState) -> Result<()> {
        match &mut self.stage {
            Stage::PerEpoch(scheduler) => scheduler.restore(state),
            Stage::PerStep(scheduler) => scheduler.restore(state),
            Stage::None | Stage::Planned { .. } => Err(SettingError::NoSchedule.into()),
        }
    }

    /// Returns what the host has set, to be set again by [`Self::set_host`].
    pub fn host(&mut self, optimizer: &dyn Optimizer) -> HostSettings {
        HostSettings { rates: rates(optimizer), schedule: self.state() }
    }

    pub fn set_host(&mut self, optimizer: &dyn Optimizer, host: &HostSettings) -> Result<()> {
        set_rates(optimizer, &host.rates);
        host.schedule.as_ref().map_or(Ok(()), |state| self.restore(state))
    }
}

//! Learning-rate schedule of a trainer, which is connected to the optimizer at the first fit.

use wgrad_core::Result;

use crate::error::TrainSettingError;
use crate::snapshot::{rates, set_rates};
use wgrad_nn::optim::Optimizer;
use wgrad_nn::optim::schedule::{Schedule, ScheduleState, Scheduler, StepScheduler};

/// Schedule of a trainer, with the description that checkpoints record.
#[derive(Default)]
pub(crate) struct Schedules {
    description: Option<String>,
    binding: Binding,
}

#[derive(Default)]
enum Binding {
    #[default]
    None,
    Planned {
        schedule: Box<dyn Schedule>,
        per_step: bool,
    },
    PerEpoch(Scheduler),
    PerStep(StepScheduler),
}

/// Values that the host changes between steps: the learning rates and momenta of the optimizer, and the state of
/// the schedule.
pub(crate) struct HostSettings {
    rates: Vec<[u64; 2]>,
    schedule: Option<ScheduleState>,
}

impl Schedules {
    pub fn per_epoch(schedule: impl Schedule + 'static) -> Self {
        let description = Some(format!("{schedule:?} per epoch"));
        Self { description, binding: Binding::Planned { schedule: Box::new(schedule), per_step: false } }
    }

    pub fn per_step(schedule: impl Schedule + 'static) -> Self {
        let description = Some(format!("{schedule:?} per step"));
        Self { description, binding: Binding::Planned { schedule: Box::new(schedule), per_step: true } }
    }

    /// Returns the description of the schedule, or `none` without a schedule.
    pub fn describe(&self) -> String {
        self.description.clone().unwrap_or_else(|| "none".into())
    }

    /// Connects the schedule to the optimizer. This must happen before any step is traced. Later calls do nothing.
    pub fn begin(&mut self, optimizer: &dyn Optimizer) -> Result<()> {
        let Binding::Planned { .. } = self.binding else { return Ok(()) };
        let Binding::Planned { schedule, per_step } = std::mem::take(&mut self.binding) else { return Ok(()) };
        let scheduler = Scheduler::new(optimizer, schedule)?;
        self.binding = if per_step { Binding::PerStep(scheduler.per_step()?) } else { Binding::PerEpoch(scheduler) };
        Ok(())
    }

    /// Returns whether the schedule is connected to the optimizer and changes the learning rates in every step.
    pub fn is_per_step(&self) -> bool {
        matches!(self.binding, Binding::PerStep(_))
    }

    /// Returns an error if the schedule has fewer than `updates` updates left.
    pub fn check(&self, updates: usize) -> Result<()> {
        match &self.binding {
            Binding::PerStep(scheduler) => scheduler.check(updates),
            _ => Ok(()),
        }
    }

    pub fn after_epoch(&mut self, metric: f64) -> Result<()> {
        match &mut self.binding {
            Binding::PerEpoch(scheduler) if scheduler.follows_metric() => scheduler.measure(metric),
            Binding::PerEpoch(scheduler) => scheduler.step(),
            _ => Ok(()),
        }
    }

    pub fn state(&mut self) -> Option<ScheduleState> {
        match &mut self.binding {
            Binding::PerEpoch(scheduler) => Some(scheduler.state()),
            Binding::PerStep(scheduler) => Some(scheduler.state()),
            Binding::None | Binding::Planned { .. } => None,
        }
    }

    pub fn restore(&mut self, state: &ScheduleState) -> Result<()> {
        match &mut self.binding {
            Binding::PerEpoch(scheduler) => scheduler.restore(state),
            Binding::PerStep(scheduler) => scheduler.restore(state),
            Binding::None | Binding::Planned { .. } => Err(TrainSettingError::NoSchedule.into()),
        }
    }

    /// Returns the learning rates, momenta and schedule state, which [`Self::set_host`] can restore.
    pub fn host(&mut self, optimizer: &dyn Optimizer) -> HostSettings {
        HostSettings { rates: rates(optimizer), schedule: self.state() }
    }

    pub fn set_host(&mut self, optimizer: &dyn Optimizer, host: &HostSettings) -> Result<()> {
        set_rates(optimizer, &host.rates);
        host.schedule.as_ref().map_or(Ok(()), |state| self.restore(state))
    }
}

//! Errors of schedules.

use wgrad_core::{Error, SettingError};

/// Schedule that cannot be bound to an optimizer, or that is stepped in a way that does not fit it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// An option is outside its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A list of numbers is not as long as there are groups.
    #[error("{setting} has {numbers} numbers, but there are {groups} groups, with that of the parameters in no group")]
    Numbers {
        /// The option.
        setting: &'static str,
        /// The length of its list.
        numbers: usize,
        /// The number of groups of the optimizer.
        groups: usize,
    },
    /// There are not as many functions as groups.
    #[error("there are {functions} functions for {groups} groups")]
    Functions {
        /// The number of functions.
        functions: usize,
        /// The number of groups of the optimizer.
        groups: usize,
    },
    /// The optimizer has no learning rate.
    #[error("this optimizer has no learning rate that a schedule could set\n  fix: implement `handles` for it")]
    NoLearningRate,
    /// The optimizer has no momentum.
    #[error("the optimizer has no momentum to cycle\n  fix: add `.cycle_momentum(false)`")]
    NoMomentum,
    /// A combination of schedules has none.
    #[error("{combination} needs at least one schedule")]
    NoSchedules {
        /// The combination.
        combination: &'static str,
    },
    /// A combination of schedules has one that follows a metric.
    #[error(
        "{combination} cannot hold a schedule that follows a metric: {schedule}\n  fix: step that with a scheduler of its own"
    )]
    CombinedMetric {
        /// The combination.
        combination: &'static str,
        /// The schedule, as text.
        schedule: String,
    },
    /// The schedule follows a metric, and was stepped without one.
    #[error("this schedule follows a metric\n  fix: call `measure` with it")]
    FollowsMetric,
    /// The schedule follows no metric, and was given one.
    #[error("this schedule follows no metric\n  fix: call `step`")]
    FollowsNoMetric,
    /// The schedule follows a metric, which is not known within an epoch.
    #[error("a metric is measured after an epoch, not in a step\n  fix: step this schedule once per epoch")]
    MetricPerStep,
    /// The schedule is stepped past its end.
    #[error(
        "the schedule ends after {end} steps, and has made {made}: {more} more are too many\n  fix: give it as many steps as \
         there are: epochs times the steps of an epoch"
    )]
    Ended {
        /// The last step.
        end: f64,
        /// The steps made so far.
        made: f64,
        /// The steps that were asked for.
        more: f64,
    },
    /// A saved state is of another schedule.
    #[error(
        "the state of a schedule with {groups} groups and {numbers} numbers does not fit one with {expected_groups} and \
         {expected_numbers}"
    )]
    State {
        /// The number of groups of the state.
        groups: usize,
        /// The numbers of the state.
        numbers: usize,
        /// The number of groups of the optimizer.
        expected_groups: usize,
        /// The numbers of the schedule's state.
        expected_numbers: usize,
    },
    /// An error with the schedule that it is about.
    #[error("{error}\n  in: {schedule}")]
    In {
        /// The error.
        error: Box<Self>,
        /// The schedule, as text.
        schedule: String,
    },
}

impl From<ScheduleError> for Error {
    fn from(error: ScheduleError) -> Self {
        Self::Other(Box::new(error))
    }
}

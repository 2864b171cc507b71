//! Errors about learning rate schedules.

use wgrad_core::{Error, SettingError};

/// Error: a schedule cannot be used with an optimizer, or was stepped in an invalid way.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// An option is outside its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The length of an option's list is neither 1 nor the number of parameter groups.
    #[error("{setting} has {numbers} numbers, but there are {groups} groups, with that of the parameters in no group")]
    Numbers {
        /// Name of the option.
        setting: &'static str,
        /// Length of the option's list.
        numbers: usize,
        /// Number of the optimizer's parameter groups, including the parameters in no group.
        groups: usize,
    },
    /// The number of functions is neither 1 nor the number of parameter groups.
    #[error("there are {functions} functions for {groups} groups")]
    Functions {
        /// Number of functions.
        functions: usize,
        /// Number of the optimizer's parameter groups, including the parameters in no group.
        groups: usize,
    },
    /// The optimizer has no learning rate that a schedule can set.
    #[error("this optimizer has no learning rate that a schedule could set\n  fix: implement `handles` for it")]
    NoLearningRate,
    /// The schedule changes the momentum, but the optimizer has none.
    #[error("the optimizer has no momentum to cycle\n  fix: add `.cycle_momentum(false)`")]
    NoMomentum,
    /// A combination of schedules is empty.
    #[error("{combination} needs at least one schedule")]
    NoSchedules {
        /// Name of the combination's type.
        combination: &'static str,
    },
    /// A combination of schedules contains a schedule that depends on a metric.
    #[error(
        "{combination} cannot hold a schedule that follows a metric: {schedule}\n  fix: step that with a scheduler of its own"
    )]
    CombinedMetric {
        /// Name of the combination's type.
        combination: &'static str,
        /// Debug text of the schedule.
        schedule: String,
    },
    /// The schedule depends on a metric, but was stepped without one.
    #[error("this schedule follows a metric\n  fix: call `measure` with it")]
    FollowsMetric,
    /// The schedule does not depend on a metric, but was stepped with one.
    #[error("this schedule follows no metric\n  fix: call `step`")]
    FollowsNoMetric,
    /// A schedule that depends on a metric was to be stepped within an epoch, before the metric is known.
    #[error("a metric is measured after an epoch, not in a step\n  fix: step this schedule once per epoch")]
    MetricPerStep,
    /// The schedule was stepped past its end.
    #[error(
        "the schedule ends after {end} steps, and has made {made}: {more} more are too many\n  fix: give it as many steps as \
         there are: epochs times the steps of an epoch"
    )]
    Ended {
        /// Number of the last step.
        end: f64,
        /// Number of steps made so far.
        made: f64,
        /// Number of further steps that were requested.
        more: f64,
    },
    /// A saved state belongs to another schedule, or to an optimizer with another number of groups.
    #[error(
        "the state of a schedule with {groups} groups and {numbers} numbers does not fit one with {expected_groups} and \
         {expected_numbers}"
    )]
    State {
        /// Number of parameter groups in the saved state.
        groups: usize,
        /// Number of values in the saved state.
        numbers: usize,
        /// Number of the optimizer's parameter groups, including the parameters in no group.
        expected_groups: usize,
        /// Number of values in the schedule's state.
        expected_numbers: usize,
    },
    /// Another error, together with the schedule that caused it.
    #[error("{error}\n  in: {schedule}")]
    In {
        /// The error.
        error: Box<Self>,
        /// Debug text of the schedule.
        schedule: String,
    },
}

impl From<ScheduleError> for Error {
    fn from(error: ScheduleError) -> Self {
        Self::Other(Box::new(error))
    }
}

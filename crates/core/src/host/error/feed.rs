//! Errors of a run's inputs and results.

use crate::Spec;

/// Inputs or results of a run that do not fit its plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The step was compiled by another session.
    #[error("the step was compiled by another session")]
    OtherSession,
    /// A run of zero steps was asked for.
    #[error("there are no steps to run")]
    NoSteps,
    /// A fetched tensor belongs to another graph.
    #[error("{tensor} cannot be fetched: it belongs to another graph")]
    FetchOfOtherGraph {
        /// The tensor.
        tensor: String,
    },
    /// A fed tensor belongs to another graph.
    #[error("{tensor} belongs to another graph than this step")]
    OtherGraph {
        /// The tensor.
        tensor: String,
    },
    /// A fed tensor is not an input.
    #[error("{tensor} is not an input of this step")]
    NotAnInput {
        /// The tensor.
        tensor: String,
    },
    /// An input was fed twice.
    #[error("input `{input}` was fed twice")]
    Twice {
        /// The input's name.
        input: String,
    },
    /// An input was not fed.
    #[error("input `{input}` ({spec}) was not fed")]
    Missing {
        /// The input's name.
        input: String,
        /// The input's shape and type.
        spec: Spec,
    },
    /// An input was fed an array of another shape or type.
    #[error("input `{input}` is {spec}{}, but was fed {fed}", for_each_step(per_step.as_ref()))]
    Spec {
        /// The input's name.
        input: String,
        /// The input's shape and type.
        spec: Spec,
        /// The shape and type of values for each step, in a run of several steps.
        per_step: Option<Spec>,
        /// The shape and type of the array that was fed.
        fed: Spec,
    },
}

fn for_each_step(spec: Option<&Spec>) -> String {
    spec.map_or_else(String::new, |spec| format!(" (or {spec}, a row for each step)"))
}

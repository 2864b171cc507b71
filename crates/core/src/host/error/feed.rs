//! Errors in the inputs that a run is fed and the results that it returns.

use crate::Spec;

/// Error: the inputs or results of a run do not match the compiled step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The step was compiled by another session.
    #[error("the step was compiled by another session")]
    OtherSession,
    /// The caller asked for a run of zero steps.
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
        /// The shape and type with a leading axis for the steps, which a run of several steps accepts as well.
        per_step: Option<Spec>,
        /// The shape and type of the array that was fed.
        fed: Spec,
    },
}

fn for_each_step(spec: Option<&Spec>) -> String {
    spec.map_or_else(String::new, |spec| format!(" (or {spec}, a row for each step)"))
}

//! Trainings beside others: the CPU reference, finite differences, and a step that PyTorch made.

mod comparison;
mod lockstep;
mod recording;

pub use comparison::{Compared, Comparison, Stage};
pub use recording::Recording;

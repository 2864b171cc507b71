//! Comparisons of training steps with a reference on the CPU, with finite differences, and with recorded PyTorch
//! steps.

mod comparison;
mod lockstep;
mod recording;

pub use comparison::{Compared, ComparedStage, Comparison};
pub use recording::Recording;

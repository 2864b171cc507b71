//! Comparisons of training steps: with the CPU reference, with finite differences, and with a recorded step of PyTorch.

mod comparison;
mod lockstep;
mod recording;

pub use comparison::{Compared, ComparedStage, Comparison};
pub use recording::Recording;

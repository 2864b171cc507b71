//! Initial values of variables.

use crate::{Shape, Stream};

/// Initial values of a variable.
#[derive(Clone, Copy, Debug)]
pub enum Init {
    /// This number for all elements.
    Constant(f64),
    /// Uniform in `[low, high)`.
    Uniform(f64, f64),
    /// Normal with this mean and standard deviation.
    Normal(f64, f64),
}

impl Init {
    /// Returns the initial values of a variable of this shape, drawn from `stream`.
    pub(crate) fn fill(&self, shape: &Shape, mut stream: Stream) -> Vec<f32> {
        let mut draw = || match *self {
            Self::Constant(value) => value as f32,
            Self::Uniform(low, high) => (low + (high - low) * stream.uniform()) as f32,
            Self::Normal(mean, std) => (mean + std * stream.normal()) as f32,
        };
        (0..shape.numel()).map(|_| draw()).collect()
    }
}

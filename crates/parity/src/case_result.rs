//! Results of a case on a device: for each output and gradient, the worst element and its error bound.

use std::collections::BTreeSet;
use std::fmt;

use wgrad_core::{Deviation, DeviceInfo};

/// Identifier of one result of a case: an output, or the gradient of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResultId {
    /// Output `i`.
    Output(usize),
    /// Gradient of input `i`.
    Gradient(usize),
}

impl fmt::Display for ResultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(i) => write!(f, "output {i}"),
            Self::Gradient(i) => write!(f, "gradient of input {i}"),
        }
    }
}

/// Element of a result with the largest error relative to its bound, and the corresponding input elements.
#[derive(Clone, Debug, PartialEq)]
pub struct WorstElement {
    /// Computed value, reference value and bound.
    pub deviation: Deviation,
    /// Index of the element.
    pub index: Vec<usize>,
    /// Name of each input, with the value of the element that broadcasting pairs with `index`. If the result is a
    /// gradient, cotangents are included. Inputs whose shapes do not broadcast are omitted.
    pub fed: Vec<(String, f64)>,
}

/// Comparison of one result of a case (an output or a gradient) with the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultComparison {
    /// The output or gradient that was compared.
    pub part: ResultId,
    /// Names of the kernels that computed the result: those of the last task that writes it. A kernel is named
    /// after its shader; a generated kernel is `pointwise NAME` if it computes a single pointwise op, else
    /// `cluster`. On the CPU, the name of the op.
    pub kernels: BTreeSet<String>,
    /// Number of elements of the result.
    pub elements: usize,
    /// Largest error, in units in the last place of `f32` at the reference value. Errors below the smallest normal
    /// number count as 0, because a device may replace subnormals with 0.
    pub ulp: f64,
    /// Element whose error is the largest fraction of its bound; `None` if the result has no elements.
    pub worst: Option<WorstElement>,
}

impl ResultComparison {
    /// Returns the largest error as a fraction of its bound; see [`Deviation::bound_fraction`].
    pub fn share(&self) -> f64 {
        self.worst.as_ref().map_or(0.0, |worst| worst.deviation.bound_fraction())
    }

    /// Returns whether the error of every element is within its bound.
    pub fn passed(&self) -> bool {
        !self.worst.as_ref().is_some_and(|worst| worst.deviation.fails())
    }
}

/// Result of running a case on a device.
#[derive(Clone, Debug)]
pub struct CaseResult {
    /// Name of the case.
    pub case: String,
    /// Device on which the case ran.
    pub device: DeviceInfo,
    /// Comparisons of the outputs, then of the gradients.
    pub results: Vec<ResultComparison>,
}

impl CaseResult {
    /// Returns whether all errors are within their bounds.
    pub fn passed(&self) -> bool {
        self.results.iter().all(ResultComparison::passed)
    }

    /// Returns the results with an error beyond its bound.
    pub fn failures(&self) -> impl Iterator<Item = &ResultComparison> {
        self.results.iter().filter(|result| !result.passed())
    }

    /// Returns the largest error of all results, in units in the last place.
    pub fn ulp(&self) -> f64 {
        self.results.iter().map(|result| result.ulp).fold(0.0, f64::max)
    }

    /// Returns the largest error of all results, as a fraction of its bound.
    pub fn share(&self) -> f64 {
        self.results.iter().map(ResultComparison::share).fold(0.0, f64::max)
    }
}

/// Prints one line if the case passed, otherwise a paragraph for each failed result.
impl fmt::Display for CaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, device, .. } = self;
        if self.passed() {
            let (ulp, share) = (Number(self.ulp()), Number(100.0 * self.share()));
            return write!(f, "{case} on {device}: at most {ulp} ULP and {share} % of its bound");
        }
        for (i, result) in self.failures().enumerate() {
            write!(f, "{}{case} on {device}: {result}", if i > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for ResultComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(WorstElement { deviation, index, fed }) = &self.worst else {
            return write!(f, "{}: no elements", self.part);
        };
        let Deviation { got, truth, bound, .. } = deviation;
        write!(f, "{} at {index:?} is {got:?}, the truth is {truth:?}", self.part)?;
        write!(f, "\n  off by {:.3e}, {} ULP", deviation.error(), Number(deviation.ulp()))?;
        match bound {
            0.0 => f.write_str(", and must be equal")?,
            _ => write!(f, ", {} times its bound of {bound:.3e}", Number(deviation.bound_fraction()))?,
        }
        if !fed.is_empty() {
            let fed: Vec<_> = fed.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
            write!(f, "\n  fed there: {}", fed.join(", "))?;
        }
        Ok(())
    }
}

/// Number that is printed with a few significant digits, for messages.
pub(crate) struct Number(pub f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0.0 => f.write_str("0"),
            x if !x.is_finite() => f.write_str("∞"),
            x if x >= 1e5 => write!(f, "{x:.1e}"),
            x if x >= 100.0 => write!(f, "{x:.0}"),
            x if x >= 1.0 => write!(f, "{x:.1}"),
            x if x >= 0.01 => write!(f, "{x:.2}"),
            x => write!(f, "{x:.0e}"),
        }
    }
}

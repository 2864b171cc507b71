//! Verdict of the harness: for each output and gradient of a case the element that is worst, and whether it is within its
//! bound.

use std::collections::BTreeSet;
use std::fmt;

use wgrad_core::{Deviation, DeviceInfo};

/// Result of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Output `i`.
    Output(usize),
    /// The gradient of input `i`.
    Gradient(usize),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(i) => write!(f, "output {i}"),
            Self::Gradient(i) => write!(f, "gradient of input {i}"),
        }
    }
}

/// Element of a result that is worst, and what was fed there.
#[derive(Clone, Debug, PartialEq)]
pub struct Worst {
    /// What was computed, what is true, and how far apart they may be.
    pub deviation: Deviation,
    /// Where it is.
    pub index: Vec<usize>,
    /// The name of each input (for a gradient, of each cotangent, too) and its element that meets `index` by the rules of
    /// broadcasting; those of other shapes are left out.
    pub fed: Vec<(String, f64)>,
}

/// Measurement of one result of a case on a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Which result.
    pub part: Part,
    /// The kernels that made it: those of the last task of its plan, by the names of their shaders; `row NAME` for a
    /// pointwise op by itself, `cluster` for several in one generated kernel; on the CPU the name of the op.
    pub kernels: BTreeSet<String>,
    /// How many elements it has.
    pub elements: usize,
    /// The largest error in units in the last place of `f32` at the truth. An error below the smallest normal number is
    /// none, because a device may flush subnormals.
    pub ulp: f64,
    /// The element whose error is the largest share of its bound; none if there are no elements.
    pub worst: Option<Worst>,
}

impl Measured {
    /// Returns the largest error as a share of its bound; see [`Deviation::share`].
    pub fn share(&self) -> f64 {
        self.worst.as_ref().map_or(0.0, |worst| worst.deviation.bound_fraction())
    }

    /// Returns whether every element is within its bound.
    pub fn passed(&self) -> bool {
        !self.worst.as_ref().is_some_and(|worst| worst.deviation.fails())
    }
}

/// Verdict on a case on a device.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The case.
    pub case: String,
    /// The device.
    pub device: DeviceInfo,
    /// The outputs, then the gradients.
    pub results: Vec<Measured>,
}

impl Verdict {
    /// Returns whether all results are within their bounds.
    pub fn passed(&self) -> bool {
        self.results.iter().all(Measured::passed)
    }

    /// Returns the results that are not within their bounds.
    pub fn failures(&self) -> impl Iterator<Item = &Measured> {
        self.results.iter().filter(|result| !result.passed())
    }

    /// Returns the largest error of all results in units in the last place.
    pub fn ulp(&self) -> f64 {
        self.results.iter().map(|result| result.ulp).fold(0.0, f64::max)
    }

    /// Returns the largest error of all results as a share of its bound.
    pub fn share(&self) -> f64 {
        self.results.iter().map(Measured::share).fold(0.0, f64::max)
    }
}

/// A line of what passed, or a paragraph for each result that did not.
impl fmt::Display for Verdict {
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

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Worst { deviation, index, fed }) = &self.worst else { return write!(f, "{}: no elements", self.part) };
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

/// Number for people: three digits.
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

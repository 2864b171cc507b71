//! What the mill found: for each output and gradient of a case the element that is worst, and whether it is within its
//! bound.

use std::fmt;

use wgrad_core::DeviceInfo;

/// Which result of a case.
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

/// An element of a result beside the truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Deviation {
    /// Where it is.
    pub index: Vec<usize>,
    /// What the device computed.
    pub got: f64,
    /// What the reference in `f64` computed.
    pub truth: f64,
    /// How far `got` may be from `truth`.
    pub bound: f64,
    /// What was fed at this place: the name of an input or cotangent, and its element that meets `index` by the rules of
    /// broadcasting; inputs of other shapes are left out.
    pub fed: Vec<(String, f64)>,
}

impl Deviation {
    /// How far from the truth.
    #[must_use]
    pub fn error(&self) -> f64 {
        (self.got - self.truth).abs()
    }

    /// The error in units in the last place of `f32` at the truth; 0 where it is below the smallest normal number, because
    /// subnormals may be flushed; infinite for a NaN.
    #[must_use]
    pub fn ulp(&self) -> f64 {
        ulp(self.error(), self.truth)
    }

    /// The error as a share of its bound: more than 1 is a failure.
    #[must_use]
    pub fn share(&self) -> f64 {
        share(self.error(), self.bound)
    }
}

pub(crate) fn ulp(error: f64, truth: f64) -> f64 {
    let tiny = f64::from(f32::MIN_POSITIVE);
    if error <= tiny {
        return 0.0;
    }
    if !error.is_finite() {
        return f64::INFINITY;
    }
    error / (truth.abs().max(tiny).log2().floor() - 23.0).exp2()
}

pub(crate) fn share(error: f64, bound: f64) -> f64 {
    if error.is_nan() {
        f64::INFINITY
    } else if error == 0.0 {
        0.0
    } else {
        error / bound
    }
}

/// One result of a case on a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Which result.
    pub part: Part,
    /// How many elements it has.
    pub elements: usize,
    /// The largest error in units in the last place; see [`Deviation::ulp`].
    pub ulp: f64,
    /// The largest error as a share of its bound; see [`Deviation::share`].
    pub share: f64,
    /// The element of the largest share; none if all elements are exact.
    pub worst: Option<Deviation>,
}

impl Measured {
    /// Whether every element is within its bound.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.share <= 1.0
    }
}

/// What a case came to on a device.
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
    /// Whether all results are within their bounds.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.results.iter().all(Measured::passed)
    }

    /// The results that are not within their bounds.
    pub fn failures(&self) -> impl Iterator<Item = &Measured> {
        self.results.iter().filter(|result| !result.passed())
    }

    /// The largest error of all results in units in the last place.
    #[must_use]
    pub fn ulp(&self) -> f64 {
        self.results.iter().map(|result| result.ulp).fold(0.0, f64::max)
    }

    /// The largest error of all results as a share of its bound.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.results.iter().map(|result| result.share).fold(0.0, f64::max)
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
        let Some(worst) = &self.worst else { return write!(f, "{}: exact", self.part) };
        let Deviation { index, got, truth, bound, fed } = worst;
        write!(f, "{} at {index:?} is {got:?}, the truth is {truth:?}", self.part)?;
        write!(f, "\n  off by {:.3e}, {} ULP", worst.error(), Number(worst.ulp()))?;
        match bound {
            0.0 => f.write_str(", and must be exact")?,
            _ => write!(f, ", {} times its bound of {bound:.3e}", Number(worst.share()))?,
        }
        if !fed.is_empty() {
            let fed: Vec<_> = fed.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
            write!(f, "\n  fed there: {}", fed.join(", "))?;
        }
        Ok(())
    }
}

/// A number for people: three digits.
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

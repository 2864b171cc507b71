//! The harness: a case's data, reference values and error bounds, with which the results of any device are
//! compared.

use std::collections::BTreeSet;

use wgrad_core::{Array, Backend, Deviation, Expected, Params, Result, Session, Step};

use crate::case::Case;
use crate::case_result::{CaseResult, ResultComparison, ResultId, WorstElement};
use crate::kernels::producers;
use crate::trace::{Feed, Trace};

/// Seed from which [`Harness::new`] draws the data.
pub const SEED: u64 = 7;

/// Number of runs of the reference with random rounding errors, from which the error bounds are computed.
pub(crate) const DRAWS: u64 = 6;
/// Number of additional series of [`DRAWS`] runs of the reference, made if an error exceeds its bound. Among
/// millions of elements, a few hardly change in the first series, so that their bounds are too small.
const RETRIES: u64 = 11;

/// A case with its data, its reference values in `f64`, and error bounds, which are the same for all devices.
///
/// ```
/// use wgrad_core::CpuBackend;
/// use wgrad_parity::{Case, Harness, Fill};
///
/// let case = Case::new("mean", &[(&[3, 65], Fill::Normal)], |x| x[0].mean(&[1]));
/// let harness = Harness::new(&case)?;
/// let case_result = harness.check(CpuBackend::<f32>::new())?;
/// assert!(case_result.passed(), "{case_result}");
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Harness {
    case: Case,
    feed: Feed,
    /// Reference values and error bounds of each result: first outputs, then gradients.
    expected: Vec<Expected>,
}

impl Harness {
    /// Draws the data, runs the reference and computes the error bounds.
    ///
    /// # Errors
    /// Returns the first error in the case's graph, with its source line and suggested fixes.
    pub fn new(case: &Case) -> Result<Self> {
        Self::seeded(case, SEED)
    }

    /// Creates a harness as [`Self::new`] does, with data drawn from another seed.
    ///
    /// # Errors
    /// Returns the same errors as [`Self::new`].
    pub fn seeded(case: &Case, seed: u64) -> Result<Self> {
        let trace = Trace::new(case)?;
        let feed = trace.feed(case, seed)?;
        let expected = trace.expected(case, &trace.fetches(), &feed, 0..DRAWS)?;
        Ok(Self { case: case.clone(), feed, expected })
    }

    /// Returns the case that this harness runs.
    pub fn case(&self) -> &Case {
        &self.case
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Runs the case on a device and compares every output and gradient with the reference.
    ///
    /// # Errors
    /// Returns an error if the device cannot run the case because a kernel does not compile, memory is exhausted,
    /// or the device is lost.
    pub fn check(&self, backend: impl Into<Box<dyn Backend>>) -> Result<CaseResult> {
        self.check_in(&mut Session::new(backend, &Params::seeded(0))?)
    }

    /// Does the same as [`Self::check`] in an existing session, which may have run other cases before.
    ///
    /// # Errors
    /// Returns the same errors as [`Self::check`].
    pub fn check_in(&self, session: &mut Session) -> Result<CaseResult> {
        let trace = Trace::new(&self.case)?;
        let step = session.compile(&trace.graph, &trace.fetches())?;
        let got = trace.run(session, &step, &self.feed)?;
        self.compare_with_retries(session, &trace, &step, &got)
    }

    /// Compares results with the reference. If an error exceeds its bound, repeats the comparison with bounds from
    /// more runs of the reference.
    fn compare_with_retries(&self, session: &Session, trace: &Trace, step: &Step, got: &[Array]) -> Result<CaseResult> {
        let case_result = self.compare(session, trace, step, got);
        if case_result.passed() || self.case.exact {
            return Ok(case_result);
        }
        Ok(self.with_more_runs(trace)?.compare(session, trace, step, got))
    }

    /// Returns this harness with error bounds from many more runs of the reference.
    fn with_more_runs(&self, trace: &Trace) -> Result<Self> {
        let mut again = self.clone();
        for i in 1..=RETRIES {
            let runs = DRAWS * i..DRAWS * (i + 1);
            let further = trace.expected(&self.case, &trace.fetches(), &self.feed, runs)?;
            for (one, further) in again.expected.iter_mut().zip(further) {
                one.bounds.iter_mut().zip(further.bounds).for_each(|(bound, further)| *bound = bound.max(further));
            }
        }
        Ok(again)
    }

    /// Runs the case, then `other` in the same session, then the case again, whose results must have the same bits
    /// as before. `other` may be the same call with another batch size, for example.
    ///
    /// # Errors
    /// Returns the same errors as [`Self::check`].
    pub fn check_around(&self, other: &Self, backend: impl Into<Box<dyn Backend>>) -> Result<[CaseResult; 3]> {
        let mut session = Session::new(backend, &Params::seeded(0))?;
        let trace = Trace::new(&self.case)?;
        let step = session.compile(&trace.graph, &trace.fetches())?;
        let got = trace.run(&mut session, &step, &self.feed)?;
        let first = self.compare_with_retries(&session, &trace, &step, &got)?;
        let between = other.check_in(&mut session)?;
        let same = |array: &Array| Expected { values: array.to_f64(), bounds: vec![0.0; array.shape().numel()] };
        let expected = got.iter().map(same).collect();
        let again = trace.run(&mut session, &step, &self.feed)?;
        let case = self.case.clone().renamed(format!("{}, again after {}", self.case.name, other.case.name));
        let repeated = Self { case, feed: self.feed.clone(), expected };
        Ok([first, between, repeated.compare(&session, &trace, &step, &again)])
    }

    fn compare(&self, session: &Session, trace: &Trace, step: &Step, got: &[Array]) -> CaseResult {
        let outputs = (0..trace.outputs.len()).map(ResultId::Output);
        let parts = outputs.chain(trace.gradients.iter().map(|&(i, _)| ResultId::Gradient(i)));
        // The plan has run, so the names of its kernels can be determined.
        let mut kernels = producers(step.plan()).unwrap_or_default();
        kernels.resize_with(got.len(), Default::default);
        let results = parts.zip(kernels).zip(got).enumerate();
        let results = results.map(|(i, ((part, kernels), got))| self.measure(i, part, kernels, got));
        CaseResult { case: self.case.name.clone(), device: session.device(), results: results.collect() }
    }

    fn measure(&self, result: usize, part: ResultId, kernels: BTreeSet<String>, got: &Array) -> ResultComparison {
        let Expected { values, bounds } = &self.expected[result];
        let ulp = largest_ulp(got, values);
        let worst = Deviation::worst(got, values, bounds);
        let worst = worst.map(|deviation| {
            let index = got.shape().index(deviation.at);
            let fed = self.input_elements(part, &index, got.shape().dims());
            WorstElement { deviation, index, fed }
        });
        ResultComparison { part, kernels, elements: got.shape().numel(), ulp, worst }
    }

    /// Returns the elements of inputs (and, for a gradient, of cotangents) that broadcasting pairs with position
    /// `index` of a result.
    fn input_elements(&self, part: ResultId, index: &[usize], dims: &[usize]) -> Vec<(String, f64)> {
        let inputs = self.feed.inputs.iter().enumerate().map(|(i, array)| (format!("input {i}"), array));
        let cotangents = self.feed.cotangents.iter().enumerate();
        let cotangents = cotangents.filter_map(|(i, array)| Some((format!("cotangent {i}"), array.as_ref()?)));
        let cotangents = cotangents.filter(|_| matches!(part, ResultId::Gradient(_)));
        inputs.chain(cotangents).filter_map(|(name, array)| Some((name, element(array, index, dims)?))).collect()
    }
}

/// Returns the largest error in a result, measured in units in the last place (ULP).
fn largest_ulp(got: &Array, truth: &[f64]) -> f64 {
    let all = got.to_f64().into_iter().zip(truth).enumerate();
    all.fold(0.0, |ulp: f64, (at, (got, &truth))| {
        let one = Deviation { at, got, truth, bound: 0.0 };
        if one.error().is_nan() {
            f64::INFINITY
        } else if one.error() > f64::from(f32::MIN_POSITIVE) {
            ulp.max(one.ulp())
        } else {
            ulp
        }
    })
}

/// Returns the element of an array that broadcasting pairs with position `index` of a result with shape `dims`;
/// `None` if the shapes do not broadcast.
fn element(array: &Array, index: &[usize], dims: &[usize]) -> Option<f64> {
    let own = array.shape().dims();
    let skip = dims.len().checked_sub(own.len())?;
    if own.iter().zip(&dims[skip..]).any(|(&own, &size)| own != 1 && own != size) {
        return None;
    }
    let at = own.iter().zip(&index[skip..]).fold(0, |sum, (&size, &at)| sum * size + if size == 1 { 0 } else { at });
    array.to_f64().get(at).copied()
}

//! Harness: the data of a case and its truth, made once, with which any number of devices are compared.

use std::collections::BTreeSet;

use wgrad_core::{Array, Backend, Deviation, Expected, Params, Result, Session, Step};

use crate::case::Case;
use crate::kernels::makers;
use crate::trace::{Feed, Trace};
use crate::verdict::{Measured, Part, Verdict, Worst};

/// Seed from which [`Harness::new`] draws the data.
pub const SEED: u64 = 7;

/// Number of runs with rounding errors that make the bounds.
pub(crate) const DRAWS: u64 = 6;
/// How often that many further runs are made where something seems to fail: among millions of elements there are some
/// that few runs hardly move.
const AGAIN: u64 = 11;

/// Harness of a case: its data, the truth in `f64` and the bounds, which are the same for all devices.
///
/// ```
/// use wgrad_core::CpuBackend;
/// use wgrad_parity::{Case, Harness, Values};
///
/// let case = Case::new("mean", &[(&[3, 65], Values::Normal)], |x| x[0].mean(&[1]));
/// let harness = Harness::new(&case)?;
/// let verdict = harness.check(CpuBackend::<f32>::new())?;
/// assert!(verdict.passed(), "{verdict}");
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Harness {
    case: Case,
    feed: Feed,
    /// Of each result: outputs, then gradients.
    expected: Vec<Expected>,
}

impl Harness {
    /// Draws the data, runs the reference and derives the bounds.
    ///
    /// # Errors
    /// When the case does not fit together: the first error of its graph, with the line and the fix.
    pub fn new(case: &Case) -> Result<Self> {
        Self::seeded(case, SEED)
    }

    /// Does as [`Self::new`], with data from another seed.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn seeded(case: &Case, seed: u64) -> Result<Self> {
        let trace = Trace::new(case)?;
        let feed = trace.feed(case, seed)?;
        let expected = trace.expected(case, &trace.fetches(), &feed, 0..DRAWS)?;
        Ok(Self { case: case.clone(), feed, expected })
    }

    /// Returns the case.
    pub fn case(&self) -> &Case {
        &self.case
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Runs the case on a device, and compares every output and gradient with its truth.
    ///
    /// # Errors
    /// When the device cannot run it: a kernel does not compile, there is no room, the device is lost.
    pub fn check(&self, backend: impl Into<Box<dyn Backend>>) -> Result<Verdict> {
        self.check_in(&mut Session::new(backend, &Params::seeded(0))?)
    }

    /// Does as [`Self::check`] in a session that may have run other cases before.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_in(&self, session: &mut Session) -> Result<Verdict> {
        let trace = Trace::new(&self.case)?;
        let step = session.compile(&trace.graph, &trace.fetches())?;
        let got = trace.run(session, &step, &self.feed)?;
        self.verdict_after_a_second_look(session, &trace, &step, &got)
    }

    /// Returns the verdict, after a second look at what seems to fail.
    fn verdict_after_a_second_look(
        &self,
        session: &Session,
        trace: &Trace,
        step: &Step,
        got: &[Array],
    ) -> Result<Verdict> {
        let verdict = self.verdict(session, trace, step, got);
        if verdict.passed() || self.case.exact {
            return Ok(verdict);
        }
        Ok(self.with_further_runs(trace)?.verdict(session, trace, step, got))
    }

    /// Returns the same with bounds from many more runs.
    fn with_further_runs(&self, trace: &Trace) -> Result<Self> {
        let mut again = self.clone();
        for i in 1..=AGAIN {
            let runs = DRAWS * i..DRAWS * (i + 1);
            let further = trace.expected(&self.case, &trace.fetches(), &self.feed, runs)?;
            for (one, further) in again.expected.iter_mut().zip(further) {
                one.bounds.iter_mut().zip(further.bounds).for_each(|(bound, further)| *bound = bound.max(further));
            }
        }
        Ok(again)
    }

    /// Runs the case, then another one in the same session, such as the same at another batch size, and then the case
    /// again: the second time it must give the same bits.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_around(&self, other: &Self, backend: impl Into<Box<dyn Backend>>) -> Result<[Verdict; 3]> {
        let mut session = Session::new(backend, &Params::seeded(0))?;
        let trace = Trace::new(&self.case)?;
        let step = session.compile(&trace.graph, &trace.fetches())?;
        let got = trace.run(&mut session, &step, &self.feed)?;
        let first = self.verdict_after_a_second_look(&session, &trace, &step, &got)?;
        let between = other.check_in(&mut session)?;
        let same = |array: &Array| Expected { values: array.to_f64(), bounds: vec![0.0; array.shape().numel()] };
        let expected = got.iter().map(same).collect();
        let again = trace.run(&mut session, &step, &self.feed)?;
        let case = self.case.clone().renamed(format!("{}, again after {}", self.case.name, other.case.name));
        let repeated = Self { case, feed: self.feed.clone(), expected };
        Ok([first, between, repeated.verdict(&session, &trace, &step, &again)])
    }

    fn verdict(&self, session: &Session, trace: &Trace, step: &Step, got: &[Array]) -> Verdict {
        let outputs = (0..trace.outputs.len()).map(Part::Output);
        let parts = outputs.chain(trace.gradients.iter().map(|&(i, _)| Part::Gradient(i)));
        // A plan that runs has kernels whose names can be told.
        let mut kernels = makers(step.plan()).unwrap_or_default();
        kernels.resize_with(got.len(), Default::default);
        let results = parts.zip(kernels).zip(got).enumerate();
        let results = results.map(|(i, ((part, kernels), got))| self.measure(i, part, kernels, got));
        Verdict { case: self.case.name.clone(), device: session.device(), results: results.collect() }
    }

    fn measure(&self, result: usize, part: Part, kernels: BTreeSet<String>, got: &Array) -> Measured {
        let Expected { values, bounds } = &self.expected[result];
        let ulp = largest_ulp(got, values);
        let worst = Deviation::worst(got, values, bounds);
        let worst = worst.map(|deviation| {
            let index = got.shape().index(deviation.at);
            let fed = self.fed(part, &index, got.shape().dims());
            Worst { deviation, index, fed }
        });
        Measured { part, kernels, elements: got.shape().numel(), ulp, worst }
    }

    /// Returns what was fed at this element of a result.
    fn fed(&self, part: Part, index: &[usize], dims: &[usize]) -> Vec<(String, f64)> {
        let inputs = self.feed.inputs.iter().enumerate().map(|(i, array)| (format!("input {i}"), array));
        let cotangents = self.feed.cotangents.iter().enumerate();
        let cotangents = cotangents.filter_map(|(i, array)| Some((format!("cotangent {i}"), array.as_ref()?)));
        let cotangents = cotangents.filter(|_| matches!(part, Part::Gradient(_)));
        inputs.chain(cotangents).filter_map(|(name, array)| Some((name, element(array, index, dims)?))).collect()
    }
}

/// Returns the largest error of a result in units in the last place.
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

/// Returns the element of an array that meets a place of a result of shape `dims` by the rules of broadcasting.
fn element(array: &Array, index: &[usize], dims: &[usize]) -> Option<f64> {
    let own = array.shape().dims();
    let skip = dims.len().checked_sub(own.len())?;
    if own.iter().zip(&dims[skip..]).any(|(&own, &size)| own != 1 && own != size) {
        return None;
    }
    let at = own.iter().zip(&index[skip..]).fold(0, |sum, (&size, &at)| sum * size + if size == 1 { 0 } else { at });
    array.to_f64().get(at).copied()
}

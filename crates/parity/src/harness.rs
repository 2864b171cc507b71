//! The mill: a case's data and truth, made once, and any number of devices and checks held to them.

use std::collections::BTreeSet;

use wgrad_core::bound::{DRAWS, sensitivity};
use wgrad_core::{Array, Backend, CpuBackend, Deviation, Params, Result, Session, Step, Tensor};

use crate::case::Case;
use crate::kernels::makers;
use crate::run::{Feed, Trace};
use crate::verdict::{Measured, Part, Verdict, Worst};

/// What [`Mill::new`] draws the data from.
pub const SEED: u64 = 7;

/// How often what seems to fail is shaken anew: among millions of elements there are some that few draws hardly move.
const AGAIN: usize = 11 * DRAWS;

/// A case with its data, the truth in `f64` and the bounds; all devices are held to the same.
///
/// ```
/// use wgrad_core::CpuBackend;
/// use wgrad_parity::{Case, Mill, Values};
///
/// let case = Case::new("mean", &[(&[3, 65], Values::Normal)], |x| x[0].mean(&[1])).terms(65).ulp(3.0);
/// let mill = Mill::new(&case)?;
/// let verdict = mill.check(CpuBackend::<f32>::new())?;
/// assert!(verdict.passed(), "{verdict}");
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mill {
    case: Case,
    feed: Feed,
    /// Of each element of each result: outputs, then gradients.
    truth: Numbers,
    bounds: Numbers,
}

type Numbers = Vec<Vec<f64>>;

impl Mill {
    /// Draws the data, runs the reference and derives the bounds.
    ///
    /// # Errors
    /// When the case does not fit together: the first misfit of its graph, with the line and the fix.
    pub fn new(case: &Case) -> Result<Self> {
        Self::seeded(case, SEED)
    }

    /// [`Self::new`] with data from another seed.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn seeded(case: &Case, seed: u64) -> Result<Self> {
        let trace = Trace::new(case)?;
        let feed = trace.feed(case, seed)?;
        let (truth, bounds) = truth_of(case, &trace, &trace.fetches(), &feed)?;
        Ok(Self { case: case.clone(), feed, truth, bounds })
    }

    /// The case.
    #[must_use]
    pub fn case(&self) -> &Case {
        &self.case
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Runs the case on a device, and holds every output and gradient to its bound.
    ///
    /// # Errors
    /// When the device cannot run it: a kernel does not compile, there is no room, the device is lost.
    pub fn check(&self, backend: impl Into<Box<dyn Backend>>) -> Result<Verdict> {
        self.check_in(&mut Session::new(backend, &Params::seeded(0))?)
    }

    /// [`Self::check`] in a session that may have run other cases before.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_in(&self, session: &mut Session) -> Result<Verdict> {
        let trace = Trace::new(&self.case)?;
        let step = session.compile(&trace.graph, &trace.fetches())?;
        let got = trace.run(session, &step, &self.feed)?;
        self.judged(session, &trace, &step, &got)
    }

    /// The verdict, after a second look at what seems to fail.
    fn judged(&self, session: &Session, trace: &Trace, step: &Step, got: &[Array]) -> Result<Verdict> {
        let verdict = self.verdict(session, trace, step, got);
        if verdict.passed() || self.case.accuracy.exact {
            return Ok(verdict);
        }
        Ok(self.shaken_again(trace)?.verdict(session, trace, step, got))
    }

    /// The same with bounds from many more draws.
    fn shaken_again(&self, trace: &Trace) -> Result<Self> {
        let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
        let step = session.compile(&trace.graph, &trace.fetches())?;
        let name = format!("{}, again", self.case.name);
        let moved =
            sensitivity(&self.truth, &name, AGAIN, |stream| trace.run(&mut session, &step, &self.feed.shaken(stream)))?;
        let mut again = self.clone();
        let further = self.case.accuracy.bounds(&self.truth, &moved);
        for (bound, further) in again.bounds.iter_mut().flatten().zip(further.iter().flatten()) {
            *bound = bound.max(*further);
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
        let first = self.judged(&session, &trace, &step, &got)?;
        let between = other.check_in(&mut session)?;
        let got: Vec<_> = got.iter().map(Array::to_f64).collect();
        let bounds = got.iter().map(|values| vec![0.0; values.len()]).collect();
        let again = trace.run(&mut session, &step, &self.feed)?;
        let case = self.case.clone().renamed(format!("{}, again after {}", self.case.name, other.case.name));
        let repeated = Self { case, feed: self.feed.clone(), truth: got, bounds };
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
        let ulp = largest_ulp(got, &self.truth[result]);
        let worst = Deviation::worst(got, &self.truth[result], &self.bounds[result]);
        let worst = worst.map(|deviation| {
            let index = got.shape().index(deviation.at);
            let fed = self.fed(part, &index, got.shape().dims());
            Worst { deviation, index, fed }
        });
        Measured { part, kernels, elements: got.shape().numel(), ulp, worst }
    }

    /// What was fed at this element of a result.
    fn fed(&self, part: Part, index: &[usize], dims: &[usize]) -> Vec<(String, f64)> {
        let inputs = self.feed.inputs.iter().enumerate().map(|(i, array)| (format!("input {i}"), array));
        let cotangents = self.feed.cotangents.iter().enumerate();
        let cotangents = cotangents.filter_map(|(i, array)| Some((format!("cotangent {i}"), array.as_ref()?)));
        let cotangents = cotangents.filter(|_| matches!(part, Part::Gradient(_)));
        inputs.chain(cotangents).filter_map(|(name, array)| Some((name, element(array, index, dims)?))).collect()
    }
}

/// The truth of some values of a case's graph, and their bounds.
pub(crate) fn truth_of(case: &Case, trace: &Trace, fetches: &[&Tensor], feed: &Feed) -> Result<(Numbers, Numbers)> {
    let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    let step = session.compile(&trace.graph, fetches)?;
    let mut run = |feed: &Feed| trace.run(&mut session, &step, feed);
    let truth: Numbers = run(feed)?.iter().map(Array::to_f64).collect();
    let moved = if case.accuracy.exact {
        truth.clone()
    } else {
        sensitivity(&truth, &case.name, DRAWS, |stream| run(&feed.shaken(stream)))?
    };
    let bounds = case.accuracy.bounds(&truth, &moved);
    Ok((truth, bounds))
}

/// The largest error of a result in units in the last place.
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

/// The element of an array that meets a place of a result of shape `dims` by the rules of broadcasting.
fn element(array: &Array, index: &[usize], dims: &[usize]) -> Option<f64> {
    let own = array.shape().dims();
    let skip = dims.len().checked_sub(own.len())?;
    if own.iter().zip(&dims[skip..]).any(|(&own, &size)| own != 1 && own != size) {
        return None;
    }
    let at = own.iter().zip(&index[skip..]).fold(0, |sum, (&size, &at)| sum * size + if size == 1 { 0 } else { at });
    array.to_f64().get(at).copied()
}

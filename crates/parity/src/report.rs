//! Report: any number of checks on any number of devices, and what they come to, kernel by kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use wgrad_core::Site;

use crate::checks::Check;
use crate::harness::Harness;
use crate::setting::Setting;
use crate::verdict::{Measured, Verdict};

/// Tally of one kernel over all checks.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many results it made.
    pub results: usize,
    /// The names of the cases of these results.
    pub cases: BTreeSet<String>,
    /// The largest error in units in the last place; see [`Measured::ulp`].
    pub ulp: f64,
    /// The largest error as a share of its bound.
    pub share: f64,
    /// The case of the largest share, and the setting that it ran on.
    pub worst: Option<(String, String)>,
    /// How many results were beyond their bounds.
    pub failures: usize,
}

/// Failure of a check on a device.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The case.
    pub case: String,
    /// The setting.
    pub setting: String,
    /// The culprits: the kernels that made the first node that is wrong, or else those of the first result that is; none if
    /// the case did not run.
    pub kernels: BTreeSet<String>,
    /// The first node that is wrong, by its op, and where it comes from; none if no node by itself is wrong.
    pub node: Option<(String, Site)>,
    /// The shapes and values that the case was fed: its inputs in order.
    pub inputs: Vec<String>,
    /// The results beyond their bounds.
    pub results: Vec<Measured>,
    /// Why the case did not run.
    pub error: Option<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { case, setting, node, inputs, results, error, .. } = self;
        write!(f, "{case}\n  on {setting}")?;
        if let Some(error) = error {
            write!(f, "\n  {}", error.replace('\n', "\n  "))?;
        }
        for result in results.iter().take(3) {
            write!(f, "\n  {}", result.to_string().replace('\n', "\n  "))?;
        }
        if results.len() > 3 {
            write!(f, "\n  and {} more results", results.len() - 3)?;
        }
        if let Some((node, site)) = node {
            write!(f, "\n  first wrong: {node}, at {site}")?;
        }
        write!(f, "\n  inputs: {}", inputs.join(", "))
    }
}

/// Report of any number of checks.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Kernel → what it came to. On the CPU an op is its own kernel, named `CPU: OP`.
    pub kernels: BTreeMap<String, Tally>,
    /// What failed.
    pub failures: Vec<Failure>,
    /// How many cases there were.
    pub cases: usize,
    /// How many times a case ran on a device.
    pub runs: usize,
    /// How many results were compared with their bounds: outputs and gradients.
    pub results: usize,
    /// How many numbers these have.
    pub elements: usize,
    /// The cases that ran, per setting: name, whether they passed. For test reports.
    pub outcomes: Vec<Outcome>,
}

/// Outcome of a case on a device.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The setting.
    pub setting: String,
    /// The case.
    pub case: String,
    /// Seconds that it took, on a device that others used at the same time.
    pub seconds: f64,
    /// Index into [`Report::failures`]; none if it passed.
    pub failure: Option<usize>,
}

/// Results of one check on one setting.
struct Found {
    setting: String,
    cpu: bool,
    case: String,
    seconds: f64,
    verdicts: Vec<Verdict>,
    failure: Option<Failure>,
}

impl Report {
    /// Returns whether nothing failed.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Runs the checks that `next` hands out on every setting, several at a time, and calls `done` after each check with
    /// what all came to so far. It ends when `next` has no more, or `done` says `false`.
    pub fn run(
        settings: &[Setting],
        next: impl FnMut() -> Option<Check> + Send,
        mut done: impl FnMut(&Self, &str) -> bool,
    ) -> Self {
        let next = Mutex::new(next);
        let stopped = AtomicBool::new(false);
        let threads = thread::available_parallelism().map_or(1, |n| n.get().min(8));
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..threads {
                let (sender, next, stopped) = (sender.clone(), &next, &stopped);
                scope.spawn(move || {
                    let take = || next.lock().unwrap_or_else(std::sync::PoisonError::into_inner)();
                    while !stopped.load(Ordering::Relaxed)
                        && let Some(check) = take()
                    {
                        // The receiver is there until all senders are gone.
                        let _ = sender.send((check.case.name().to_string(), run_on_all(&check, settings)));
                    }
                });
            }
            drop(sender);
            let mut all = Self::default();
            for (case, found) in receiver {
                all.cases += 1;
                for found in found {
                    all.count(found);
                }
                if !done(&all, &case) {
                    stopped.store(true, Ordering::Relaxed);
                }
            }
            all
        })
    }

    fn count(&mut self, found: Found) {
        let Found { setting, cpu, case, seconds, verdicts, failure } = found;
        self.runs += 1;
        let label = |kernel: &String| if cpu { format!("CPU: {kernel}") } else { kernel.clone() };
        for (verdict, result) in verdicts.iter().flat_map(|v| v.results.iter().map(move |result| (v, result))) {
            self.results += 1;
            self.elements += result.elements;
            // What is wrong counts for the culprit.
            let kernels = match &failure {
                Some(failure) if !result.passed() => &failure.kernels,
                _ => &result.kernels,
            };
            for kernel in kernels {
                let tally = self.kernels.entry(label(kernel)).or_default();
                tally.results += 1;
                tally.failures += usize::from(!result.passed());
                tally.ulp = tally.ulp.max(result.ulp);
                tally.cases.insert(verdict.case.clone());
                if tally.worst.is_none() || result.share() > tally.share {
                    tally.share = result.share();
                    tally.worst = Some((verdict.case.clone(), setting.clone()));
                }
            }
        }
        let failed = failure.is_some();
        self.failures
            .extend(failure.map(|failure| Failure { kernels: failure.kernels.iter().map(label).collect(), ..failure }));
        let failure = failed.then(|| self.failures.len() - 1);
        self.outcomes.push(Outcome { setting, case, seconds, failure });
    }
}

/// Runs one check on every setting that it concerns.
fn run_on_all(check: &Check, settings: &[Setting]) -> Vec<Found> {
    let harnesses = Harness::new(&check.case)
        .and_then(|harness| Ok((harness, check.between.as_ref().map(Harness::new).transpose()?)));
    let mut all = vec![];
    for setting in settings {
        let Some(device) = check.device(setting) else { continue };
        let start = std::time::Instant::now();
        let found = harnesses.as_ref().map_err(ToString::to_string).and_then(|(harness, between)| {
            let verdicts = match between {
                Some(between) => harness.check_around(between, device.clone()).map(Vec::from),
                None => harness.check(device.clone()).map(|verdict| vec![verdict]),
            };
            verdicts.map_err(|error| error.to_string())
        });
        let mut failure = Failure {
            case: check.case.name().into(),
            setting: setting.name.clone(),
            kernels: BTreeSet::new(),
            node: None,
            inputs: check.case.inputs().iter().map(|(shape, values)| format!("{shape:?} of {values:?}")).collect(),
            results: vec![],
            error: None,
        };
        let (verdicts, failure) = match found {
            Ok(verdicts) if verdicts.iter().all(Verdict::passed) => (verdicts, None),
            Ok(verdicts) => {
                if let Some(at) = verdicts.iter().position(|verdict| !verdict.passed()) {
                    failure.case.clone_from(&verdicts[at].case);
                    failure.results = verdicts[at].failures().cloned().collect();
                    // What is only wrong the second time is no node's.
                    let harness =
                        harnesses.as_ref().ok().and_then(|(first, between)| [Some(first), between.as_ref(), None][at]);
                    if let Some(Ok(Some(culprit))) = harness.map(|harness| harness.localise(device)) {
                        failure.kernels = culprit.kernels;
                        failure.node = Some((culprit.node, culprit.site));
                    } else {
                        failure.kernels.clone_from(&failure.results[0].kernels);
                    }
                }
                (verdicts, Some(failure))
            }
            Err(error) => (vec![], Some(Failure { error: Some(error), ..failure })),
        };
        all.push(Found {
            setting: setting.name.clone(),
            cpu: setting.adapter.is_none(),
            case: check.case.name().into(),
            seconds: start.elapsed().as_secs_f64(),
            verdicts,
            failure,
        });
    }
    all
}

//! Reports: results of checks on several devices, summarised per kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use wgrad_core::Site;

use crate::case_result::{CaseResult, ResultComparison};
use crate::checks::Check;
use crate::harness::Harness;
use crate::setting::DeviceSetting;

/// Summary of all results that one kernel computed.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Number of results that the kernel computed.
    pub results: usize,
    /// Names of the cases to which these results belong.
    pub cases: BTreeSet<String>,
    /// Largest error, in units in the last place; see [`ResultComparison::ulp`].
    pub ulp: f64,
    /// Largest error, as a fraction of its bound.
    pub share: f64,
    /// Case and device configuration in which that fraction occurred.
    pub worst: Option<(String, String)>,
    /// Number of results with an error beyond its bound.
    pub failures: usize,
}

/// Failure of a case in one device configuration.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Name of the case.
    pub case: String,
    /// Name of the device configuration.
    pub setting: String,
    /// Names of the culprits: the kernels that computed the first wrong node or, if no node is wrong, the first
    /// wrong result. Empty if the case did not run.
    pub kernels: BTreeSet<String>,
    /// Op and source line of the first wrong node; `None` if every node is correct when nodes are not fused.
    pub node: Option<(String, Site)>,
    /// Shape and distribution of each input.
    pub inputs: Vec<String>,
    /// Results with an error beyond its bound.
    pub results: Vec<ResultComparison>,
    /// Reason why the case did not run.
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

/// Results of checks, summarised per kernel.
#[derive(Clone, Debug, Default)]
pub struct ParityReport {
    /// Summary of each kernel, by name. On the CPU, an op counts as a kernel and is named `CPU: OP`.
    pub kernels: BTreeMap<String, Tally>,
    /// Failed cases, each with the device configuration in which it failed.
    pub failures: Vec<Failure>,
    /// Number of cases that were run.
    pub cases: usize,
    /// Number of runs: each case counts once per device configuration in which it ran.
    pub runs: usize,
    /// Number of results (outputs and gradients) that were compared with their bounds.
    pub results: usize,
    /// Total number of elements in these results.
    pub elements: usize,
    /// Outcome of each case in each device configuration, for test reports.
    pub outcomes: Vec<Outcome>,
}

/// Outcome of one case in one device configuration.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Name of the device configuration.
    pub setting: String,
    /// Name of the case.
    pub case: String,
    /// Duration in seconds, measured while other checks used the same device.
    pub seconds: f64,
    /// Index into [`ParityReport::failures`]; `None` if the case passed.
    pub failure: Option<usize>,
}

/// Results of one check in one device configuration.
struct CheckRun {
    setting: String,
    cpu: bool,
    case: String,
    seconds: f64,
    case_results: Vec<CaseResult>,
    failure: Option<Failure>,
}

impl ParityReport {
    /// Returns whether no case failed.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Runs the checks that `next` returns, each in all device configurations. Several checks run in parallel.
    ///
    /// After each check, calls `done` with the report so far and the name of the case. Ends when `next` returns
    /// `None` or `done` returns `false`.
    pub fn run(
        settings: &[DeviceSetting],
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
                        // Sending fails only if there is no receiver, but the receiver outlives all senders.
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

    fn count(&mut self, found: CheckRun) {
        let CheckRun { setting, cpu, case, seconds, case_results, failure } = found;
        self.runs += 1;
        let label = |kernel: &String| if cpu { format!("CPU: {kernel}") } else { kernel.clone() };
        for (case_result, result) in case_results.iter().flat_map(|v| v.results.iter().map(move |result| (v, result))) {
            self.results += 1;
            self.elements += result.elements;
            // A failed result is counted for the kernels of the culprit, if it was found.
            let kernels = match &failure {
                Some(failure) if !result.passed() => &failure.kernels,
                _ => &result.kernels,
            };
            for kernel in kernels {
                let tally = self.kernels.entry(label(kernel)).or_default();
                tally.results += 1;
                tally.failures += usize::from(!result.passed());
                tally.ulp = tally.ulp.max(result.ulp);
                tally.cases.insert(case_result.case.clone());
                if tally.worst.is_none() || result.share() > tally.share {
                    tally.share = result.share();
                    tally.worst = Some((case_result.case.clone(), setting.clone()));
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

/// Runs one check in all device configurations to which the check applies.
fn run_on_all(check: &Check, settings: &[DeviceSetting]) -> Vec<CheckRun> {
    let harnesses = Harness::new(&check.case)
        .and_then(|harness| Ok((harness, check.between.as_ref().map(Harness::new).transpose()?)));
    let mut all = vec![];
    for setting in settings {
        let Some(device) = check.device(setting) else { continue };
        let start = std::time::Instant::now();
        let found = harnesses.as_ref().map_err(ToString::to_string).and_then(|(harness, between)| {
            let case_results = match between {
                Some(between) => harness.check_around(between, device.clone()).map(Vec::from),
                None => harness.check(device.clone()).map(|case_result| vec![case_result]),
            };
            case_results.map_err(|error| error.to_string())
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
        let (case_results, failure) = match found {
            Ok(case_results) if case_results.iter().all(CaseResult::passed) => (case_results, None),
            Ok(case_results) => {
                if let Some(at) = case_results.iter().position(|case_result| !case_result.passed()) {
                    failure.case.clone_from(&case_results[at].case);
                    failure.results = case_results[at].failures().cloned().collect();
                    // If only the repeated run differs, there is no wrong node to search for.
                    let harness =
                        harnesses.as_ref().ok().and_then(|(first, between)| [Some(first), between.as_ref(), None][at]);
                    if let Some(Ok(Some(culprit))) = harness.map(|harness| harness.localise(device)) {
                        failure.kernels = culprit.kernels;
                        failure.node = Some((culprit.node, culprit.site));
                    } else {
                        failure.kernels.clone_from(&failure.results[0].kernels);
                    }
                }
                (case_results, Some(failure))
            }
            Err(error) => (vec![], Some(Failure { error: Some(error), ..failure })),
        };
        all.push(CheckRun {
            setting: setting.name.clone(),
            cpu: setting.adapter.is_none(),
            case: check.case.name().into(),
            seconds: start.elapsed().as_secs_f64(),
            case_results,
            failure,
        });
    }
    all
}

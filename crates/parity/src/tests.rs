use std::sync::atomic::{AtomicU32, Ordering};

#[allow(clippy::wildcard_imports, reason = "as in a program")]
use wgrad_core::{
    Accuracy, Backward, Buffers, CpuBackend, InvalidArgument, Limits, Op, Real, Reference, Result, Spec, Tensor, both,
    gradients,
};
use wgrad_kernels::Device;

use crate::{Case, Check, DeviceSetting, Fill, Harness, ParityReport, ResultId, assert_parity, fuzz, kernels, quick};

/// Op that computes `y = x²`. It may have a fault in `f32` but not in `f64`, like a faulty kernel on a GPU.
#[derive(Debug)]
struct Square {
    /// Fault in the element of `y` whose `x` is largest.
    fault: Fault,
    /// Factor of `dy · x` in the gradient; 2 is correct.
    rule: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Off,
    Nan,
    /// The error grows with each run.
    Drifts,
}

static RUNS: AtomicU32 = AtomicU32::new(0);

impl Square {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let (x, y) = (at.float(0), at.out(0));
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * x);
        if size_of::<F>() == size_of::<f32>()
            && let Some(largest) = (0..x.len()).max_by(|&a, &b| x[a].wide().total_cmp(&x[b].wide()))
        {
            let value = match self.fault {
                Fault::None => return,
                Fault::Off => 1.0001 * y[largest].wide(),
                Fault::Nan => f64::NAN,
                Fault::Drifts => y[largest].wide() * (1.0 + 1e-7 * f64::from(RUNS.fetch_add(1, Ordering::Relaxed) % 4)),
            };
            y[largest] = F::lit(value);
        }
    }
}

impl Op for Square {
    fn name(&self) -> &'static str {
        "my_square"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![inputs[0].clone()])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| at.dy() * at.input(0) * self.rule);
    }

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::new()
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }
}

fn square(x: &Tensor, fault: Fault, rule: f64) -> Tensor {
    x.graph().apply(Square { fault, rule }, &[x]).get(0)
}

fn case(name: &str, fault: Fault, rule: f64) -> Case {
    Case::new(name, &[(&[7, 5], Fill::Normal), (&[5], Fill::Normal)], move |x| square(&x[0], fault, rule) + &x[1])
}

#[test]
fn a_wrong_element_is_reported_with_its_inputs() -> Result<()> {
    let harness = Harness::new(&case("off", Fault::Off, 2.0))?;
    let case_result = harness.check(CpuBackend::<f32>::new())?;
    let wrong: Vec<_> = case_result.failures().collect();
    assert_eq!(wrong.iter().map(|result| result.part).collect::<Vec<_>>(), [ResultId::Output(0)]);
    let worst = wrong[0].worst.as_ref().expect("an element");
    // The largest x is the input of the wrong element, whose value is too large by a factor of 1.0001.
    let [(first, x), (second, bias)] = &worst.fed[..] else { panic!("{:?}", worst.fed) };
    assert_eq!((first.as_str(), second.as_str(), worst.index.len()), ("input 0", "input 1", 2));
    assert!((worst.deviation.truth - (x * x + bias)).abs() < 1e-12 && *x > 1.0);
    assert!((worst.deviation.error() / (1e-4 * x * x) - 1.0).abs() < 0.01, "{worst:?}");
    assert!(wrong[0].ulp > 100.0 && wrong[0].share() > 10.0 && wrong[0].share().is_finite());
    let text = case_result.to_string();
    assert!(text.starts_with("off on CPU backend in f32") && text.contains("output 0 at ["), "{text}");
    assert!(text.contains(&format!("fed there: input 0 = {x:?}, input 1 = {bias:?}")), "{text}");
    Ok(())
}

#[test]
fn a_nan_is_found() -> Result<()> {
    let case_result = Harness::new(&case("nan", Fault::Nan, 2.0))?.check(CpuBackend::<f32>::new())?;
    assert!(!case_result.passed() && case_result.share() == f64::INFINITY && case_result.ulp() == f64::INFINITY);
    assert!(case_result.to_string().contains("is NaN, the truth is"), "{case_result}");
    Ok(())
}

#[test]
fn the_culprit_is_named() -> Result<()> {
    let deep = Case::new("deep", &[(&[4, 9], Fill::Uniform(0.5, 1.0))], |x| {
        (square(&x[0].exp(), Fault::Off, 2.0).sum([1]) * 0.1).tanh()
    });
    let harness = Harness::new(&deep)?;
    assert!(!harness.check(Device::cpu())?.passed());
    let culprit = harness.localise(Device::cpu())?.expect("a node is wrong by itself");
    assert_eq!(culprit.node, "my_square");
    assert!(culprit.kernels.contains("my_square") && culprit.site.location.file().ends_with("tests.rs"), "{culprit:?}");
    assert!(Harness::new(&case("fine", Fault::None, 2.0))?.localise(Device::cpu())?.is_none());
    Ok(())
}

#[test]
fn a_wrong_rule_is_found_by_finite_differences() -> Result<()> {
    let audit = case("rule", Fault::None, 1.0).check_gradients()?.expect("it has gradients");
    let verdicts: Vec<_> = audit.parameters.iter().map(|x| (x.name.as_str(), x.verdict)).collect();
    let [wrong, right] = [wgrad_core::GradientVerdict::Disagrees, wgrad_core::GradientVerdict::Agrees];
    assert_eq!(verdicts, [("x0", wrong), ("x1", right)], "{audit}");
    let found: Vec<_> = audit.ops.iter().map(|op| (op.name.as_str(), op.input)).collect();
    assert_eq!(found, [("my_square", 0)], "{audit}");
    assert!(audit.ops[0].site.location.file().ends_with("tests.rs"), "{audit}");
    assert!(gradients_pass(&case("rule", Fault::None, 2.0))?);
    assert!(case("rule", Fault::None, 1.0).without_gradients().check_gradients()?.is_none());
    Ok(())
}

/// Identity op with a gradient that is too large by a factor of 1.001.
#[derive(Debug)]
struct Skewed;

impl Op for Skewed {
    fn name(&self) -> &'static str {
        "skewed"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![inputs[0].clone()])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| at.dy() * 1.001);
    }

    fn reference(&self, at: Reference<'_>) {
        fn copy<F: Real>(mut at: Buffers<'_, F>) {
            at.out(0).copy_from_slice(at.float(0));
        }
        both!(at, buffers => copy(buffers));
    }
}

#[test]
fn a_rule_with_an_error_of_1e_3_is_found_at_every_op() -> Result<()> {
    let (mut cases, mut named, mut wrong) = (0, 0, 0);
    for case in crate::all().into_iter().filter(|case| case.elements() < 2000 && case.inputs[0].1.dtype().is_float()) {
        let Some(right) = case.check_gradients()? else { continue };
        if right.parameters.first().is_none_or(|x| x.name != "x0" || x.is_dead() || !x.gradient_norm.is_normal()) {
            continue;
        }
        let build = case.build.clone();
        let skewed = move |x: &[Tensor]| {
            let mut x = x.to_vec();
            x[0] = x[0].graph().apply(Skewed, &[&x[0]]).get(0);
            build(&x)
        };
        let audit = Case { build: std::sync::Arc::new(skewed), ..case }.check_gradients()?.expect("it has gradients");
        cases += 1;
        named += usize::from(audit.ops.iter().any(|op| op.name == "skewed"));
        wrong += usize::from(audit.wrong().any(|x| x.name == "x0"));
    }
    assert!(cases > 300, "{cases}");
    assert_eq!(named, cases, "the op is named");
    // In the remaining cases, inputs are at kinks of a function, or finite differences are too inaccurate.
    assert!(20 * wrong > 19 * cases, "the gradient of {wrong} of {cases} inputs is called wrong");
    Ok(())
}

/// Returns whether a case has gradients and all of them are correct.
fn gradients_pass(case: &Case) -> Result<bool> {
    Ok(case.check_gradients()?.is_some_and(|audit| audit.passes()))
}

#[test]
fn invalid_cases_are_errors() {
    let invalid = Case::new("invalid", &[(&[2, 3], Fill::Normal), (&[4, 5], Fill::Normal)], |x| x[0].matmul(&x[1]));
    let error = Harness::new(&invalid).expect_err("inner sizes differ").to_string();
    assert!(error.contains("matmul") && error.contains("tests.rs"), "{error}");
    let empty = Case::new("empty", &[(&[3], Fill::Of(&[]))], |x| x[0].exp());
    let error = Harness::new(&empty).expect_err("there is nothing to draw").to_string();
    assert_eq!(error, "empty: the list of values of input 0 must not be empty");
}

#[test]
fn a_difference_in_the_repeated_run_is_found() -> Result<()> {
    let other = Harness::new(&case("another", Fault::None, 2.0))?;
    let passed = |fault: Fault| -> Result<Vec<bool>> {
        let harness = Harness::new(&case("drifts", fault, 2.0))?;
        Ok(harness.check_around(&other, Device::cpu())?.iter().map(crate::CaseResult::passed).collect())
    };
    assert_eq!(passed(Fault::None)?, [true, true, true]);
    assert_eq!(passed(Fault::Drifts)?, [true, true, false]);
    Ok(())
}

#[test]
fn counters_are_reset_before_each_run() -> Result<()> {
    // Dropout draws numbers that depend on a counter of the session. The harness resets it, because otherwise each
    // run would draw other numbers.
    let mut cases = crate::all().into_iter();
    let case = cases.find(|case| case.name() == "layer transformer encoder with dropout, norm last").expect("a case");
    let harness = Harness::new(&case)?;
    assert!(gradients_pass(&case)?);
    let case_results = harness.check_around(&harness, Device::cpu())?;
    assert!(case_results.iter().all(crate::CaseResult::passed), "{}", case_results[2]);
    // If the random numbers differed between runs of the reference, the error bounds would be as large as the
    // results, and each error only a tiny fraction of its bound.
    assert!(case_results[0].share() > 1e-3, "{}", case_results[0]);
    Ok(())
}

wgrad_core::pointwise! {
    // In f32, adding 2²⁴ removes fractions on every device; in f64 it does not.
    LOSSY = lossy(x: float)[] -> float {
        wgsl: "(x + 16777216.0) - 16777216.0",
        reference<F>: (x + F::lit(16_777_216.0)) - F::lit(16_777_216.0),
        backward(grad): { x: grad.clone() },
    }
}

#[test]
#[should_panic(expected = "panics differs from its reference\nthe CPU in f32: panics on CPU backend in f32")]
fn a_failed_assertion_names_the_device_and_the_error() {
    assert_parity(&Case::new("panics", &[(&[9], Fill::Normal)], |x| x[0].pointwise(&LOSSY, &[], &[])));
}

#[test]
fn a_report_counts_and_names_the_culprit() {
    let mut checks: Vec<Check> =
        [case("good", Fault::None, 2.0), case("bad", Fault::Off, 2.0)].map(Check::from).into_iter().collect();
    checks.push(Check::from(Case::new("invalid", &[(&[2], Fill::Normal)], |x| x[0].reshape([3]))));
    let mut checks = checks.into_iter();
    let all = ParityReport::run(&[DeviceSetting::cpu()], || checks.next(), |_, _| true);
    assert_eq!((all.cases, all.runs, all.failures.len(), all.passed()), (3, 3, 2, false));
    assert_eq!(all.results, 6, "two outputs, and two gradients of each");
    let failure = |case: &str| all.failures.iter().find(|failure| failure.case == case).expect("it failed");
    assert!(failure("invalid").error.as_ref().is_some_and(|error| error.contains("reshape")));
    let bad = failure("bad");
    assert_eq!(bad.node.as_ref().map(|(node, _)| node.as_str()), Some("my_square"));
    assert_eq!(bad.kernels.iter().collect::<Vec<_>>(), ["CPU: my_square"]);
    assert_eq!(all.kernels["CPU: my_square"].failures, 1);
    assert_eq!(all.kernels.values().map(|tally| tally.failures).sum::<usize>(), 1, "there is no other culprit");
    let text = bad.to_string();
    assert!(text.starts_with("bad\n  on the CPU in f32\n  output 0 at ["), "{text}");
    assert!(text.contains("first wrong: my_square, at ") && text.ends_with("[5] of Normal"), "{text}");
}

#[test]
fn a_report_can_be_stopped() {
    let endless = || Some(Check::from(case("again", Fault::None, 2.0)));
    let all = ParityReport::run(&[DeviceSetting::cpu()], endless, |so_far, _| so_far.cases < 3);
    assert!(all.cases >= 3 && all.passed());
}

#[test]
fn random_cases_are_valid_and_reproducible() -> Result<()> {
    for number in 0..300 {
        let case = fuzz(5, number);
        case.plan(&Limits::default())?;
        assert_eq!(format!("{case:?}"), format!("{:?}", fuzz(5, number)));
    }
    assert_ne!(fuzz(5, 1).name(), fuzz(6, 1).name());
    Ok(())
}

#[test]
fn the_quick_selection_runs_every_kernel_of_a_software_adapter() -> Result<()> {
    let limits = Limits { software: true, ..Limits::default() };
    let runs = |cases: &mut dyn Iterator<Item = Case>| -> Result<std::collections::BTreeSet<String>> {
        let mut found = std::collections::BTreeSet::new();
        for case in cases {
            found.extend(kernels::all(&case.plan(&limits)?)?);
        }
        Ok(found)
    };
    let chosen = quick()?;
    let usual = chosen.iter().filter(|check| check.variant.is_none()).map(|check| check.case.clone());
    let missing = &runs(&mut crate::all().into_iter())? - &runs(&mut usual.into_iter())?;
    assert!(missing.is_empty(), "{missing:?}");
    assert!(chosen.len() < crate::full().len() / 3, "{} cases are not a quick selection", chosen.len());
    Ok(())
}

#[test]
fn a_gradient_of_a_gradient_goes_through_the_harness() {
    // The gradient rule is composed of ops, so gradients of the gradient exist.
    let case = Case::new("twice", &[(&[6], Fill::Normal)], |x| {
        let y = (square(&x[0], Fault::None, 2.0) * &x[0]).sum_all();
        gradients(&y, &[x[0].clone()]).remove(0).expect("y depends on x")
    });
    assert_eq!(assert_parity_on_the_cpu(&case), 2);
}

/// Runs a case on the CPU, asserts that it passes, and returns the number of its results.
fn assert_parity_on_the_cpu(case: &Case) -> usize {
    let harness = Harness::new(case).expect("it fits");
    assert!(gradients_pass(case).expect("it runs"));
    let case_result = harness.check(Device::cpu()).expect("it runs");
    assert!(case_result.passed(), "{case_result}");
    case_result.results.len()
}

#[test]
fn every_node_is_traced_to_a_line_of_the_caller() {
    let mut foreign = std::collections::BTreeMap::<String, (usize, String)>::new();
    for case in crate::all().into_iter().chain(crate::edges()).chain(crate::sizes(9)) {
        let trace = crate::trace::Trace::new(&case).expect("a case of the table");
        for node in &trace.graph.nodes() {
            let file = node.site.location.file();
            // If a case passes an op as a function, the standard library calls it, and the node's location is in
            // `/rustc/`.
            if !file.contains("crates/parity/src") && !file.starts_with("/rustc/") {
                let place = format!("{file}:{}", node.site.location.line());
                foreign.entry(place).or_insert((0, case.name().into())).0 += 1;
            }
        }
    }
    let list: Vec<_> =
        foreign.iter().map(|(place, (count, case))| format!("{place}: {count} nodes, as in {case}")).collect();
    assert!(list.is_empty(), "{} places\n{}", list.len(), list.join("\n"));
}

//! Tests that compare the schedules with PyTorch's rates, and run many steps with a schedule.

#![allow(clippy::float_cmp, reason = "these rates are assigned, not computed")]

use serde_json::Value;
use wgrad_core::{Array, CpuBackend, DType, Graph, Init, Kind, Mode, Params, Session};

use super::*;
use crate::optim::{AdamW, Hyperparameter, LearningRate, Optimizer, Sgd};

fn options(value: &Value) -> impl Fn(&str) -> Option<f64> + '_ {
    |key| value[key].as_f64()
}

fn count(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn per_group(value: &Value) -> Option<PerGroup> {
    match value {
        Value::Array(list) => Some(list.iter().map(|number| number.as_f64().unwrap()).collect::<Vec<_>>().into()),
        value => value.as_f64().map(PerGroup::from),
    }
}

/// Sets each option that the fixture (a test case with PyTorch's rates) contains.
macro_rules! with {
    ($schedule:expr, $($option:expr => $method:ident),* $(,)?) => {{
        let mut schedule = $schedule;
        $(if let Some(value) = $option {
            schedule = schedule.$method(value);
        })*
        Box::new(schedule) as Box<dyn Schedule>
    }};
}

fn counts(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(count).collect()
}

/// Creates the schedule whose PyTorch name and options are in `spec`.
fn build(spec: &Value) -> Box<dyn Schedule> {
    let (name, given) = (spec[0].as_str().unwrap(), &spec[1]);
    let get = options(given);
    let whole = |key: &str, default: usize| given.get(key).map_or(default, count);
    match name {
        "StepLR" => with!(StepLr::new(count(&given["step_size"])), get("gamma") => gamma),
        "MultiStepLR" => with!(MultiStepLr::new(counts(&given["milestones"])), get("gamma") => gamma),
        "ExponentialLR" => Box::new(ExponentialLr::new(get("gamma").unwrap())),
        "ConstantLR" => Box::new(ConstantLr::new(get("factor").unwrap_or(1.0 / 3.0), whole("total_iters", 5))),
        "LinearLR" => with!(LinearLr::new(whole("total_iters", 5)),
            get("start_factor") => start_factor, get("end_factor") => end_factor),
        "PolynomialLR" => with!(PolynomialLr::new(whole("total_iters", 5)), get("power") => power),
        "LambdaLR" => Box::new(LambdaLr::new(|epoch| 0.95f64.powf(epoch))),
        "MultiplicativeLR" => Box::new(MultiplicativeLr::new(|epoch| 1.0 - 0.5 / (1.0 + epoch))),
        "CosineAnnealingLR" => with!(CosineAnnealingLr::new(count(&given["T_max"])), get("eta_min") => eta_min),
        "CosineAnnealingWarmRestarts" => with!(CosineAnnealingWarmRestarts::new(count(&given["T_0"])),
            given.get("T_mult").map(count) => t_mult, get("eta_min") => eta_min),
        "OneCycleLR" => one_cycle(given),
        "CyclicLR" => cyclic(given),
        "SequentialLR" => {
            let (parts, milestones) = (given["schedulers"].as_array().unwrap(), counts(&given["milestones"]));
            let mut all = SequentialLr::new(build(&parts[0]));
            for (part, milestone) in parts[1..].iter().zip(milestones) {
                all = all.then(milestone, build(part));
            }
            Box::new(all)
        }
        "ChainedScheduler" => {
            let parts = given["schedulers"].as_array().unwrap();
            let first = ChainedScheduler::new(build(&parts[0]));
            Box::new(parts[1..].iter().fold(first, |all, part| all.and(build(part))))
        }
        "ReduceLROnPlateau" => plateau(given),
        other => panic!("{other}"),
    }
}

fn one_cycle(given: &Value) -> Box<dyn Schedule> {
    let get = options(given);
    let steps = given["total_steps"].as_u64().map_or_else(
        || count(&given["epochs"]) * count(&given["steps_per_epoch"]),
        |steps| usize::try_from(steps).unwrap(),
    );
    let anneal = given["anneal_strategy"].as_str().map(|_| Anneal::Linear);
    with!(OneCycleLr::new(per_group(&given["max_lr"]).unwrap(), steps),
        get("pct_start") => pct_start, anneal => anneal, get("div_factor") => div_factor,
        get("final_div_factor") => final_div_factor, given["three_phase"].as_bool() => three_phase,
        given["cycle_momentum"].as_bool() => cycle_momentum, per_group(&given["base_momentum"]) => base_momentum,
        per_group(&given["max_momentum"]) => max_momentum)
}

fn cyclic(given: &Value) -> Box<dyn Schedule> {
    let scale = match (given["mode"].as_str(), given["scale_fn"].as_str()) {
        (_, Some("1 / x")) => Some(Scale::OfCycle(std::sync::Arc::new(|x| 1.0 / x))),
        (_, Some(_)) => Some(Scale::OfStep(std::sync::Arc::new(|x| 0.99f64.powf(x)))),
        (Some("triangular2"), _) => Some(Scale::Halving),
        (Some("exp_range"), _) => Some(Scale::Exponential(given["gamma"].as_f64().unwrap())),
        _ => None,
    };
    let lr = |key: &str| per_group(&given[key]).unwrap();
    with!(CyclicLr::new(lr("base_lr"), lr("max_lr")),
        given.get("step_size_up").map(count) => step_size_up, given.get("step_size_down").map(count) => step_size_down,
        scale => scale, given["cycle_momentum"].as_bool() => cycle_momentum,
        per_group(&given["base_momentum"]) => base_momentum, per_group(&given["max_momentum"]) => max_momentum)
}

fn plateau(given: &Value) -> Box<dyn Schedule> {
    let get = options(given);
    let mut schedule = ReduceLrOnPlateau::new();
    if given["mode"] == "max" {
        schedule = schedule.largest();
    }
    let mode = if given["threshold_mode"] == "abs" { ThresholdMode::Absolute } else { ThresholdMode::Relative };
    schedule = schedule.threshold(get("threshold").unwrap_or(1e-4), mode);
    with!(schedule, get("factor") => factor, given.get("patience").map(count) => patience,
        given.get("cooldown").map(count) => cooldown, per_group(&given["min_lr"]) => min_lr, get("eps") => eps)
}

/// Returns an optimizer whose groups have the learning rates of the test case. The first rate is for the
/// parameters in no group.
fn optimizer(case: &Value) -> Box<dyn Optimizer> {
    let lr: Vec<f64> = case["groups"].as_array().unwrap().iter().map(|lr| lr.as_f64().unwrap()).collect();
    match case["optimizer"].as_str().unwrap() {
        "SGD" => Box::new(Sgd::new(lr[0]).momentum(0.9).group_with("a", |group| group.lr(lr[1]))),
        _ => Box::new(AdamW::new(lr[0]).group_with("a", |group| group.lr(lr[1]))),
    }
}

fn assert_near(found: f64, expected: &Value, at: &str) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{at}: {found} is not {expected}");
}

#[test]
fn every_schedule_has_torchs_values() {
    let fixtures: Value = serde_json::from_str(include_str!("../../../../../tests/golden/schedules.json")).unwrap();
    let cases = fixtures["cases"].as_array().unwrap();
    let mut values = 0;
    for case in cases {
        let optimizer = optimizer(case);
        let mut scheduler = Scheduler::new(&*optimizer, build(&case["schedule"])).unwrap();
        for (i, lrs) in case["lr"].as_array().unwrap().iter().enumerate() {
            if let Some(i) = i.checked_sub(1) {
                if case["hand"].as_u64() == Some(i as u64) {
                    optimizer.handles().iter().for_each(|group| group.lr.set(group.lr.get() * 0.5));
                }
                if let Some(to) = case["to"].as_array() {
                    scheduler.step_to(to[i].as_f64().unwrap()).unwrap();
                } else if let Some(metrics) = case["metrics"].as_array() {
                    scheduler.measure(metrics[i].as_f64().unwrap_or(f64::NAN)).unwrap();
                } else {
                    scheduler.step().unwrap();
                }
            }
            let at = format!("{} after {i}", case["schedule"]);
            for (group, handles) in optimizer.handles().iter().enumerate() {
                assert_near(handles.lr.get(), &lrs[group], &at);
                if let Some(momenta) = case["momentum"].as_array() {
                    assert_near(handles.momentum.as_ref().unwrap().get(), &momenta[i][group], &at);
                }
                values += 1;
            }
        }
    }
    assert!(cases.len() >= 98 && values > 18_000, "{} cases, {values} values", cases.len());
}

#[test]
fn a_schedule_resumes_from_its_state() {
    let make = || SequentialLr::new(LinearLr::new(4)).then(4, CosineAnnealingWarmRestarts::new(3).t_mult(2));
    let mut one = Scheduler::new(&Sgd::new(1.0), make()).unwrap();
    for _ in 0..9 {
        one.step().unwrap();
    }
    let state: ScheduleState = serde_json::from_str(&serde_json::to_string(&one.state()).unwrap()).unwrap();
    let mut other = Scheduler::new(&Sgd::new(7.0), make()).unwrap();
    other.restore(&state).unwrap();
    for _ in 0..20 {
        assert_eq!(one.lr(), other.lr());
        one.step().unwrap();
        other.step().unwrap();
    }
    // Before the first metric, a plateau schedule's state contains infinities, which must be restored as well.
    let mut one = Scheduler::new(&Sgd::new(1.0), ReduceLrOnPlateau::new().patience(0)).unwrap();
    let state: ScheduleState = serde_json::from_str(&serde_json::to_string(&one.state()).unwrap()).unwrap();
    one.measure(1.0).unwrap();
    one.restore(&state).unwrap();
    one.measure(2.0).unwrap();
    assert_eq!(one.lr(), [1.0]);
    let wrong = Scheduler::new(&Sgd::new(1.0), StepLr::new(2)).unwrap().restore(&state).unwrap_err();
    assert!(wrong.to_string().contains("does not fit"), "{wrong}");
}

/// Traces a training step for a parameter whose gradient is 1; `run` executes the step 12 times and returns the
/// parameter's value after each step.
fn trace(optimizer: &dyn Optimizer, run: impl FnOnce(&mut Session, &wgrad_core::Step, usize) -> Vec<f64>) -> Vec<f64> {
    let params = Params::seeded(0);
    let w = params.variable("w", [], Kind::Parameter, Init::Constant(0.0));
    let graph = Graph::new(Mode::Train);
    optimizer.minimize(&graph.variable(&w));
    let new = graph.latest(&w);
    let mut session = Session::new(CpuBackend::<f64>::new(), &params).unwrap();
    let step = session.compile(&graph, &[&new]).unwrap();
    run(&mut session, &step, 12)
}

#[test]
fn a_schedule_over_steps_changes_rates_within_a_run() {
    let make = || Sgd::new(0.5).momentum(0.5);
    // The expected values come from runs of one step each; after each run, the schedule is stepped by hand.
    let sgd = make();
    let mut by_hand = Scheduler::new(&sgd, OneCycleLr::new(1.0, 12)).unwrap();
    let expected = trace(&sgd, |session, step, steps| {
        let one = |_| {
            let found = session.run(step, &[]).unwrap()[0].item().unwrap();
            by_hand.step().unwrap();
            found
        };
        (0..steps).map(one).collect()
    });
    let sgd = make();
    let scheduler = Scheduler::new(&sgd, OneCycleLr::new(1.0, 12)).unwrap().per_step().unwrap();
    let found = trace(&sgd, |session, step, steps| {
        let first = session.run_many(step, 5, &[]).unwrap()[0].to_f64();
        scheduler.check(steps - 5).unwrap();
        let rest = session.run_many(step, steps - 5, &[]).unwrap()[0].to_f64();
        [first, rest].concat()
    });
    assert_eq!(found, expected);
    assert!(scheduler.check(2).unwrap_err().to_string().contains("the schedule ends after 12 steps"));
}

#[test]
fn a_schedule_over_steps_goes_back_with_its_counter() {
    let sgd = Sgd::new(1.0);
    let scheduler = Scheduler::new(&sgd, ExponentialLr::new(0.5)).unwrap().per_step().unwrap();
    let params = Params::seeded(0);
    let w = params.variable("w", [], Kind::Parameter, Init::Constant(0.0));
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [], DType::F32);
    sgd.minimize(&(graph.variable(&w) * &x));
    let mut session = Session::new(CpuBackend::<f64>::new(), &params).unwrap();
    let step = session.compile(&graph, &[]).unwrap();
    let one = Array::scalar(1.0);
    session.submit_many(&step, 4, &[(&x, &one)]).unwrap();
    assert_eq!(scheduler.lr(), [0.125]);
    params.counter("optim.@step").set(1);
    session.submit(&step, &[(&x, &one)]).unwrap();
    assert_eq!(scheduler.lr(), [0.5]);
    drop(scheduler);
    session.submit_many(&step, 3, &[(&x, &one)]).unwrap();
    assert_eq!(sgd.lr_handle().get(), 0.5);
}

#[test]
fn the_momentum_is_a_constant_unless_it_is_shared() {
    let numbers = |optimizer: &dyn Optimizer| {
        let params = Params::seeded(0);
        let w = params.variable("w", [], Kind::Parameter, Init::Constant(0.0));
        let graph = Graph::new(Mode::Train);
        optimizer.minimize(&graph.variable(&w));
        graph.schedule().iter().map(|entry| entry.name.clone()).collect::<Vec<_>>()
    };
    let sgd = Sgd::new(0.1).momentum(0.9);
    let _plain = Scheduler::new(&sgd, StepLr::new(3)).unwrap();
    assert_eq!(numbers(&sgd), ["lr"]);
    let _cycle = Scheduler::new(&sgd, OneCycleLr::new(0.1, 5)).unwrap();
    assert_eq!(numbers(&sgd), ["momentum", "lr"]);
    let momentum = Hyperparameter::new(0.5);
    assert_eq!(numbers(&Sgd::new(0.1).momentum(&momentum)), ["momentum", "lr"]);
}

#[test]
fn invalid_options_and_calls_are_errors() {
    let error = |schedule: Box<dyn Schedule>| {
        let error = Scheduler::new(&Sgd::new(0.1).group("a", 0.2, 0.0), schedule).unwrap_err().to_string();
        error.lines().next().unwrap().to_string()
    };
    assert_eq!(error(Box::new(StepLr::new(0))), "step_size must be at least 1, not 0");
    assert_eq!(error(Box::new(StepLr::new(1).gamma(f64::NAN))), "gamma must be a number, not NaN");
    assert_eq!(error(Box::new(ConstantLr::new(1.5, 3))), "the factor must be between 0 and 1, not 1.5");
    assert_eq!(
        error(Box::new(LinearLr::new(3).start_factor(0.0))),
        "start_factor must be above 0 and at most 1, not 0"
    );
    assert_eq!(error(Box::new(LinearLr::new(3).end_factor(2.0))), "end_factor must be between 0 and 1, not 2");
    assert_eq!(error(Box::new(CosineAnnealingLr::new(0))), "t_max must be at least 1, not 0");
    assert_eq!(error(Box::new(CosineAnnealingWarmRestarts::new(0))), "t_0 must be at least 1, not 0");
    assert_eq!(error(Box::new(CosineAnnealingWarmRestarts::new(1).t_mult(0))), "t_mult must be at least 1, not 0");
    assert_eq!(error(Box::new(OneCycleLr::new(1.0, 0))), "total_steps must be at least 1, not 0");
    assert_eq!(error(Box::new(OneCycleLr::new(1.0, 5).pct_start(1.5))), "pct_start must be between 0 and 1, not 1.5");
    assert_eq!(
        error(Box::new(OneCycleLr::new([1.0, 2.0, 3.0], 5))),
        "max_lr has 3 numbers, but there are 2 groups, with that of the parameters in no group"
    );
    assert_eq!(error(Box::new(ReduceLrOnPlateau::new().factor(1.0))), "the factor must be below 1, not 1");
    assert_eq!(error(Box::new(LambdaLr::new(|_| 1.0).and(|_| 1.0).and(|_| 1.0))), "there are 3 functions for 2 groups");
    let metric = error(Box::new(ChainedScheduler::new(ReduceLrOnPlateau::new())));
    assert!(metric.starts_with("ChainedScheduler cannot hold a schedule that follows a metric"), "{metric}");
    let unsorted = SequentialLr::new(StepLr::new(1)).then(5, StepLr::new(1)).then(3, StepLr::new(1));
    assert_eq!(error(Box::new(unsorted)), "the milestones must be in rising order, not [5, 3]");
    let without = Scheduler::new(&crate::optim::Adagrad::new(0.1), OneCycleLr::new(1.0, 5)).unwrap_err().to_string();
    assert!(without.contains("no momentum to cycle\n  fix: add `.cycle_momentum(false)`"), "{without}");

    let mut ends = Scheduler::new(&Sgd::new(0.1), OneCycleLr::new(1.0, 2)).unwrap();
    ends.step().unwrap();
    ends.step().unwrap();
    let end = ends.step().unwrap_err().to_string();
    assert!(end.starts_with("the schedule ends after 2 steps, and has made 2: 1 more are too many"), "{end}");
    let mut steps = Scheduler::new(&Sgd::new(0.1), StepLr::new(2)).unwrap();
    assert!(steps.measure(1.0).unwrap_err().to_string().contains("fix: call `step`"));
    assert!(steps.step_to(-1.0).unwrap_err().to_string().contains("not negative, not -1"));
    let mut plateau = Scheduler::new(&Sgd::new(0.1), ReduceLrOnPlateau::new()).unwrap();
    assert!(plateau.step().unwrap_err().to_string().contains("fix: call `measure` with it"));
    assert!(plateau.per_step().unwrap_err().to_string().contains("fix: step this schedule once per epoch"));
}

#[test]
fn a_second_schedule_counts_from_the_first_rate() {
    let lr = LearningRate::new(1.0);
    let sgd = Sgd::new(&lr);
    let mut warm_up = Scheduler::new(&sgd, ConstantLr::new(0.5, 2)).unwrap();
    let mut decay = Scheduler::new(&sgd, LambdaLr::new(|epoch| 1.0 / (1.0 + epoch))).unwrap();
    assert_eq!(lr.get(), 1.0);
    warm_up.step().unwrap();
    decay.step().unwrap();
    assert_eq!(lr.get(), 0.5);
}

/// Returns a chain that changes the rate already in epoch 0: the rate is a tenth in the first five epochs, and is
/// multiplied by 0.9 in every epoch.
fn chain() -> ChainedScheduler {
    ChainedScheduler::new(ConstantLr::new(0.1, 5)).and(ExponentialLr::new(0.9))
}

fn chained(epoch: i32) -> f64 {
    (if epoch < 5 { 0.1 } else { 1.0 }) * 0.9f64.powi(epoch)
}

#[test]
fn a_chain_within_a_sequence_keeps_its_factors() {
    let sequences = [
        SequentialLr::new(chain()).then(4, ConstantLr::new(0.5, 100)),
        SequentialLr::new(ConstantLr::new(0.5, 100)).then(3, chain()),
    ];
    let expected = [
        |epoch: i32| if epoch < 4 { chained(epoch) } else { 0.5 },
        |epoch: i32| if epoch < 3 { 0.5 } else { chained(epoch - 3) },
    ];
    for (sequence, expected) in sequences.into_iter().zip(expected) {
        let mut scheduler = Scheduler::new(&Sgd::new(1.0), sequence).unwrap();
        for epoch in 0..12 {
            let lr = scheduler.lr()[0];
            assert!((lr - expected(epoch)).abs() < 1e-12, "epoch {epoch}: {lr} and not {}", expected(epoch));
            scheduler.step().unwrap();
        }
    }
}

#[test]
fn a_chain_goes_to_any_epoch() {
    let mut scheduler = Scheduler::new(&Sgd::new(1.0), chain()).unwrap();
    for epoch in [7, 2, 0, 5, 4] {
        scheduler.step_to(f64::from(epoch)).unwrap();
        let lr = scheduler.lr()[0];
        assert!((lr - chained(epoch)).abs() < 1e-12, "epoch {epoch}: {lr} and not {}", chained(epoch));
    }
    scheduler.step().unwrap();
    assert!((scheduler.lr()[0] - chained(5)).abs() < 1e-12);
}

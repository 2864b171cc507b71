//! Tests of tuning, which measures variants of kernels: the choices, the plans made with these choices, and the
//! files that store the choices.

use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use wgrad::core::plan::{Plan, Work};
use wgrad::core::{Array, Backend, DType, Graph, Mode, Params, Session, TuningChoice, TuningChoices};
use wgrad::gpu::{Adapter, Device, adapters, load_choices, save_choices};
use wgrad::ops::matmul_variants;

const KEY: &str = "matmul 40x48x24 nt";

fn plan(backend: &dyn Backend) -> Plan {
    let graph = Graph::new(Mode::Evaluate);
    let (a, b) = (graph.input("a", [40, 48], DType::F32), graph.input("b", [24, 48], DType::F32));
    Plan::new(&graph, &[&a.matmul_t(&b, false, true)], &backend.limits()).expect("a product")
}

fn kernel(plan: &Plan) -> String {
    match &plan.tasks[0].stages[0].work {
        Work::Op { dispatches, .. } => dispatches[0].kernel.name.to_string(),
        _ => unreachable!("a product is an op"),
    }
}

fn tuned_plans_use_the_fastest_variant(adapter: &Adapter) -> Result<(), Failed> {
    let mut backend: Box<dyn Backend> = adapter.open()?.into();
    let mut results = vec![];
    let choices = backend.tune(&plan(&*backend), Duration::MAX, &mut |tuned| results.push(tuned.clone()))?;
    let chosen = choices.get(KEY).ok_or("the site has no choice")?.to_string();
    if !matmul_variants().any(|variant| variant == chosen) {
        return Err(format!("{chosen} is no variant").into());
    }
    assert!(kernel(&plan(&*backend)).starts_with(&chosen));
    // Tuning a second time measures nothing.
    let plan = plan(&*backend);
    assert_eq!(backend.tune(&plan, Duration::MAX, &mut |_| panic!("measured twice"))?, choices);
    let [tuned] = &results[..] else { return Err(format!("one tuning key, not {results:?}").into()) };
    assert_eq!((tuned.key.as_str(), tuned.chosen.variant, tuned.left), (KEY, chosen.as_str(), 0));
    assert!(tuned.chosen.time <= tuned.default.time && !tuned.chosen.time.is_zero(), "{tuned:?}");
    assert!(format!("{plan:#}").contains(&format!("matmul [{chosen}]")), "{plan:#}");
    assert!(!plan.to_string().contains(&chosen), "{plan}");
    Ok(())
}

/// Checks that a tuning key (an op with its sizes) gets a choice only after all of its variants are measured.
fn tuning_respects_its_time_limit(adapter: &Adapter) -> Result<(), Failed> {
    let mut backend: Box<dyn Backend> = adapter.open()?.into();
    let plan = plan(&*backend);
    for limit in [Duration::ZERO, Duration::from_nanos(1)] {
        assert!(backend.tune(&plan, limit, &mut |tuned| panic!("{tuned:?}"))?.is_empty());
    }
    assert!(backend.limits().choices.is_empty());
    Ok(())
}

/// Checks that the variants of a tuning key (an op with its sizes) are measured again if the stored choice is none
/// of them.
fn an_unknown_variant_is_measured_again(adapter: &Adapter) -> Result<(), Failed> {
    let mut choices = TuningChoices::default();
    choices.set(KEY, "matmul_of_yesterday");
    let mut backend: Box<dyn Backend> = adapter.open()?.choosing(choices).into();
    let choices = backend.tune(&plan(&*backend), Duration::MAX, &mut |_| {})?;
    assert!(matmul_variants().any(|variant| Some(variant) == choices.get(KEY)), "{choices}");
    Ok(())
}

/// Checks that steps compiled after tuning run the fastest variants and compute the same results.
fn sessions_are_tuned(adapter: &Adapter) -> Result<(), Failed> {
    let graph = Graph::new(Mode::Evaluate);
    let (a, b) = (graph.input("a", [40, 48], DType::F32), graph.input("b", [24, 48], DType::F32));
    let y = a.matmul_t(&b, false, true);
    let ones = |shape: [usize; 2]| Array::new(shape, vec![1f32; shape[0] * shape[1]]);
    let feeds = [(&a, &ones([40, 48])?), (&b, &ones([24, 48])?)];
    let mut session = Session::new(adapter.open()?, &Params::seeded(0))?;
    let first = session.compile(&graph, &[&y])?;
    let before = session.choices().clone();
    assert_eq!(before.get(KEY), first.plan().choices().next().map(TuningChoice::variant));
    let tuned = session.tune(&first, Duration::MAX)?;
    let second = session.compile(&graph, &[&y])?;
    assert_eq!((session.choices(), session.choices().len()), (&tuned, 1));
    for step in [first, second] {
        assert!(session.run(&step, &feeds)?[0].to_f32().iter().all(|&sum| (sum - 48.0).abs() < 1e-6));
    }
    let mut other = Session::new(adapter.open()?, &Params::seeded(0))?;
    let step = other.compile(&graph, &[&y])?;
    let Err(error) = session.tune(&step, Duration::MAX) else { return Err("a step of another session".into()) };
    assert!(error.to_string().contains("another session"), "{error}");
    Ok(())
}

fn choices_are_stored_per_device_and_used(adapter: &Adapter) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    assert!(load_choices(folder.path(), &adapter.info()).is_empty());
    for variant in ["matmul_direct_4x4", "matmul_direct_8x8"] {
        let mut choices = TuningChoices::default();
        choices.set(KEY, variant);
        let file = save_choices(folder.path(), &adapter.info(), &choices)?;
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 1, "the temporary file is gone");
        let loaded = load_choices(folder.path(), &adapter.info());
        assert_eq!(loaded, choices);
        assert!(load_choices(folder.path(), &Device::cpu().info()).is_empty());
        let backend: Box<dyn Backend> = adapter.open()?.choosing(loaded).into();
        assert!(kernel(&plan(&*backend)).starts_with(&format!("{variant}_nt")));
        // The stored file is truncated, and then replaced with bytes that are not text.
        std::fs::write(&file, &KEY[..9])?;
        assert!(load_choices(folder.path(), &adapter.info()).is_empty());
        std::fs::write(&file, [0xff; 99])?;
        assert!(load_choices(folder.path(), &adapter.info()).is_empty());
    }
    Ok(())
}

/// Checks that unknown variants and lines that cannot be parsed are ignored, so that the op runs its default
/// variant.
fn unknown_choices_are_skipped() -> Result<(), Failed> {
    let choices = TuningChoices::parse("matmul 40x48x24 nt = matmul_of_yesterday\nnot a row\n");
    assert_eq!(choices.len(), 1);
    let mut limits = wgrad::core::Limits::default();
    let graph = Graph::new(Mode::Evaluate);
    let (a, b) = (graph.input("a", [40, 48], DType::F32), graph.input("b", [24, 48], DType::F32));
    let y = a.matmul_t(&b, false, true);
    let default = kernel(&Plan::new(&graph, &[&y], &limits)?);
    limits.choices = choices;
    assert_eq!(kernel(&Plan::new(&graph, &[&y], &limits)?), default);
    Ok(())
}

type Check = fn(&Adapter) -> Result<(), Failed>;

fn main() -> ExitCode {
    let checks: [(&str, Check); 5] = [
        ("tuned plans use the fastest variant", tuned_plans_use_the_fastest_variant),
        ("tuning respects its time limit", tuning_respects_its_time_limit),
        ("an unknown variant is measured again", an_unknown_variant_is_measured_again),
        ("sessions are tuned", sessions_are_tuned),
        ("choices are stored per device and used", choices_are_stored_per_device_and_used),
    ];
    let mut trials = vec![Trial::test("unknown choices are skipped", unknown_choices_are_skipped)];
    let adapter = adapters().iter().find(|adapter| adapter.info().api != "gl");
    for (name, check) in checks {
        let run = move || adapter.map_or(Ok(()), check);
        trials.push(Trial::test(name, run).with_ignored_flag(adapter.is_none()));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

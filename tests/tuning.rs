//! Tuning: what it chooses, that plans made after it follow, and that it outlives the process.

use libtest_mimic::{Arguments, Failed, Trial};
use wgrad::core::plan::{Plan, Work};
use wgrad::core::{Backend, Choices, DType, Graph, Mode};
use wgrad::gpu::{Adapter, Device, adapters, load_choices, save_choices};
use wgrad::ops::{MatmulOps, matmul_variants};

const SITE: &str = "matmul 40x48x24 nt";

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
    let choices = backend.tune(&plan(&*backend))?;
    let chosen = choices.get(SITE).ok_or("the site has no choice")?.to_string();
    if !matmul_variants().any(|variant| variant == chosen) {
        return Err(format!("{chosen} is no variant").into());
    }
    assert!(kernel(&plan(&*backend)).starts_with(&chosen));
    // Nothing is measured twice.
    assert_eq!(backend.tune(&plan(&*backend))?, choices);
    Ok(())
}

fn choices_are_kept_per_device_and_obeyed(adapter: &Adapter) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    assert!(load_choices(folder.path(), &adapter.info()).is_empty());
    for variant in ["matmul_direct_4x4", "matmul_direct_8x8"] {
        let mut choices = Choices::default();
        choices.set(SITE, variant);
        save_choices(folder.path(), &adapter.info(), &choices)?;
        let loaded = load_choices(folder.path(), &adapter.info());
        assert_eq!(loaded, choices);
        assert!(load_choices(folder.path(), &Device::cpu().info()).is_empty());
        let backend: Box<dyn Backend> = adapter.open()?.choosing(loaded).into();
        assert!(kernel(&plan(&*backend)).starts_with(&format!("{variant}_nt")));
    }
    Ok(())
}

/// What is unknown or of another version is left to the op.
fn unknown_choices_are_skipped() -> Result<(), Failed> {
    let choices = Choices::parse("matmul 40x48x24 nt = matmul_of_yesterday\nnot a row\n");
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

fn main() {
    let checks: [(&str, Check); 2] = [
        ("tuned plans use the fastest variant", tuned_plans_use_the_fastest_variant),
        ("choices are kept per device and obeyed", choices_are_kept_per_device_and_obeyed),
    ];
    let mut trials = vec![Trial::test("unknown choices are skipped", unknown_choices_are_skipped)];
    let adapter = adapters().iter().find(|adapter| adapter.info().api != "gl");
    for (name, check) in checks {
        let run = move || adapter.map_or(Ok(()), check);
        trials.push(Trial::test(name, run).with_ignored_flag(adapter.is_none()));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

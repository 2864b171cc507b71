//! Tests that run PyTorch's own test cases: the calls in its `module_db` and `op_db`, with the results of PyTorch
//! 2.15.0.
//!
//! `tests/torch/README.md` describes the format of the fixtures (recorded calls and results) and how to add a call
//! adapter, which translates calls of a PyTorch operator or module to wgrad. Every case runs on the CPU in `f64`
//! and in `f32`. On GPUs, only the first case of each form runs. Cases with other options, ranks or types have
//! another form; cases with other sizes do not. `tests/torch/unsupported.json` lists the features that wgrad
//! lacks, each with a reason.

#[path = "torch/call.rs"]
mod call;
#[path = "torch/compare.rs"]
mod compare;
#[path = "torch/fixture.rs"]
mod fixture;
#[path = "torch/rules.rs"]
mod rules;

#[path = "torch/layers.rs"]
mod layers;
#[path = "torch/losses.rs"]
mod losses;
#[path = "torch/norms.rs"]
mod norms;
#[path = "torch/optim.rs"]
mod optim;
#[path = "torch/pointwise.rs"]
mod pointwise;
#[path = "torch/selections.rs"]
mod selections;
#[path = "torch/tensors.rs"]
mod tensors;
#[path = "torch/units.rs"]
mod units;
#[path = "torch/windows.rs"]
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;

use call::Adapter;
use compare::Precision;
use fixture::{Case, Subject};
use libtest_mimic::{Arguments, Failed, Trial};
use rules::Rules;
use wgrad::core::{Backend, CpuBackend};
use wgrad::gpu::adapters as devices;

/// Number of forms of one module or operator that run on a GPU adapter, evenly spread over all forms. On OpenGL
/// only one runs, because its software driver shares its code with Vulkan's.
const FORMS: usize = 6;

/// Returns all call adapters, by the name of PyTorch's module (`nn.Linear`) or operator (`add`,
/// `nn.functional.relu`).
fn adapters() -> BTreeMap<&'static str, Adapter> {
    let lists = [
        layers::ADAPTERS,
        losses::ADAPTERS,
        norms::ADAPTERS,
        pointwise::ADAPTERS,
        selections::ADAPTERS,
        tensors::ADAPTERS,
        units::ADAPTERS,
        windows::ADAPTERS,
    ];
    let mut all = BTreeMap::new();
    for &(name, adapter) in lists.into_iter().flatten() {
        assert!(all.insert(name, adapter).is_none(), "{name} has two adapters");
    }
    all
}

fn report(wrong: &[String]) -> Result<(), Failed> {
    if wrong.is_empty() { Ok(()) } else { Err(format!("{} differ:\n{}", wrong.len(), wrong.join("\n")).into()) }
}

/// Returns the cases of a module or operator that run on GPU adapters: at most `at_most` cases, each of a
/// different form.
fn forms(subject: &Subject, at_most: usize) -> Vec<&Case> {
    let mut seen = BTreeSet::new();
    let valid = subject.cases.iter().filter(|case| case.error.is_none());
    let forms: Vec<_> = valid.filter(|case| seen.insert(case.form())).collect();
    let count = forms.len().min(at_most);
    (0..count).map(|i| forms[i * forms.len() / count]).collect()
}

fn every_subject_has_an_adapter(subjects: &[Subject], adapters: &BTreeMap<&str, Adapter>) -> Result<(), Failed> {
    let pending = rules::pending();
    let names: BTreeSet<_> = subjects.iter().map(|subject| subject.name.as_str()).collect();
    let mut wrong = vec![];
    for name in &names {
        match (adapters.contains_key(name), pending.contains(*name)) {
            (false, false) => wrong.push(format!("{name} has no adapter; write one, or list it in pending.txt")),
            (true, true) => wrong.push(format!("{name} has an adapter; take it from pending.txt")),
            _ => {}
        }
    }
    let stale = adapters.keys().copied().chain(pending.iter().map(String::as_str));
    wrong.extend(stale.filter(|name| !names.contains(name)).map(|name| format!("no fixtures of {name}")));
    println!("{} of {} modules and operators have adapters", names.len() - pending.len(), names.len());
    report(&wrong)
}

/// Function that opens a device for one session.
type Open = Arc<dyn Fn() -> Box<dyn Backend> + Send + Sync>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let subjects: Arc<Vec<Subject>> = Arc::new(fixture::subjects());
    let rules = Arc::new(Rules::read());
    let adapters = adapters();
    let mut trials = vec![];
    {
        let (subjects, adapters) = (subjects.clone(), adapters.clone());
        trials.push(Trial::test("every subject has an adapter", move || {
            every_subject_has_an_adapter(&subjects, &adapters)
        }));
    }
    {
        let (subjects, adapters, rules) = (subjects.clone(), adapters.clone(), rules.clone());
        trials.push(Trial::test("the list of unsupported features is exact", move || {
            let with = subjects.iter().map(|subject| (subject, adapters.get(subject.name.as_str()).copied()));
            rules.check(&with.collect::<Vec<_>>()).map_err(Failed::from)
        }));
    }
    let mut places: Vec<(String, Precision, usize, Open)> = vec![
        ("the CPU in f64".into(), Precision::F64, 0, Arc::new(|| CpuBackend::<f64>::new().into())),
        ("the CPU in f32".into(), Precision::F32, 0, Arc::new(|| CpuBackend::<f32>::new().into())),
    ];
    for device in devices() {
        let info = device.info();
        let device = device.open().expect("the driver opens its adapter");
        let open: Open = Arc::new(move || device.clone().into());
        let at_most = if info.api == "gl" { 1 } else { FORMS };
        places.push((format!("{} {}", info.api, info.adapter), Precision::Gpu, at_most, open));
    }
    trials.extend(optim::trials(&places));
    for at in 0..subjects.len() {
        let Some(&adapter) = adapters.get(subjects[at].name.as_str()) else { continue };
        for (place, on, at_most, open) in &places {
            let (subjects, rules, open, on, at_most) = (subjects.clone(), rules.clone(), open.clone(), *on, *at_most);
            let name = format!("{} on {place} agrees with PyTorch", subjects[at].name);
            trials.push(Trial::test(name, move || {
                let cases: Vec<_> = match on {
                    Precision::Gpu => forms(&subjects[at], at_most),
                    _ => subjects[at].cases.iter().filter(|case| case.error.is_none()).collect(),
                };
                let differences = |case: &&Case| compare::differences(case, adapter, open(), on, &rules);
                report(&cases.iter().flat_map(differences).collect::<Vec<_>>())
            }));
        }
    }
    if devices().is_empty() {
        trials.push(Trial::test("adapters agree with PyTorch", || Ok(())).with_ignored_flag(true));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

//! Tests of optimizers against PyTorch's `optim_db`: every recorded set of options, compared after each step.
//! `optim.py` generates the fixtures. Unsupported options are listed in `optim_unsupported.json`.

use std::collections::BTreeMap;
use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use wgrad::core::Backend;
use wgrad::prelude::*;

use crate::compare::Precision;
use crate::fixture::{folder, json};
use crate::{Open, report};

const EPS: f64 = 5.960_464_477_539_063e-8;

/// Names of the parameters in every case.
const NAMES: [&str; 5] = ["scalar", "one", "vector", "matrix", "kernel"];

struct Fixtures {
    index: Value,
    tensors: BTreeMap<String, Array>,
}

fn read() -> Fixtures {
    let bytes = std::fs::read(folder().join("optim.safetensors")).expect("the fixtures");
    let file = SafeTensors::deserialize(&bytes).expect("tensors");
    let array = |(key, view): (String, safetensors::tensor::TensorView<'_>)| {
        let (shape, data) = (view.shape(), view.data());
        let array = match view.dtype() {
            Dtype::F64 => Array::new(shape, data.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect()),
            _ => Array::new(shape, data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()),
        };
        (key, array.expect("full"))
    };
    Fixtures { index: json("optim.json"), tensors: file.tensors().into_iter().map(array).collect() }
}

/// Creates the optimizer with PyTorch's name and options.
fn build(name: &str, options: &Value) -> Box<dyn Optimizer> {
    let number = |key: &str, default: f64| options.get(key).map_or(default, |value| value.as_f64().expect("a number"));
    let flag = |key: &str| options[key].as_bool().unwrap_or(false);
    let beta = |i: usize| options["betas"][i].as_f64().unwrap_or([0.9, 0.999][i]);
    macro_rules! with {
        ($optimizer:expr) => {{
            let optimizer = $optimizer.maximize(flag("maximize"));
            Box::new(match options.get("weight_decay") {
                Some(decay) => optimizer.weight_decay(decay.as_f64().expect("a number")),
                None => optimizer,
            })
        }};
    }
    let lr = number("lr", 0.01);
    match name {
        "SGD" => with!(
            Sgd::new(lr)
                .momentum(number("momentum", 0.0))
                .dampening(number("dampening", 0.0))
                .nesterov(flag("nesterov"))
        ),
        // In PyTorch, AdamW's decoupled decay is also an option of Adam.
        "Adam" if !flag("decoupled_weight_decay") => {
            with!(Adam::new(lr).betas(beta(0), beta(1)).eps(number("eps", 1e-8)).amsgrad(flag("amsgrad")))
        }
        "Adam" | "AdamW" => {
            with!(AdamW::new(lr).betas(beta(0), beta(1)).eps(number("eps", 1e-8)).amsgrad(flag("amsgrad")))
        }
        "RMSprop" => with!(
            RmsProp::new(lr)
                .alpha(number("alpha", 0.99))
                .eps(number("eps", 1e-8))
                .momentum(number("momentum", 0.0))
                .centered(flag("centered"))
        ),
        "Adagrad" => with!(
            Adagrad::new(lr)
                .lr_decay(number("lr_decay", 0.0))
                .initial_accumulator_value(number("initial_accumulator_value", 0.0))
                .eps(number("eps", 1e-10))
        ),
        "Adadelta" => with!(Adadelta::new(lr).rho(number("rho", 0.9)).eps(number("eps", 1e-6))),
        "Adamax" => with!(Adamax::new(lr).betas(beta(0), beta(1)).eps(number("eps", 1e-8))),
        "NAdam" => with!(
            NAdam::new(lr)
                .betas(beta(0), beta(1))
                .eps(number("eps", 1e-8))
                .momentum_decay(number("momentum_decay", 4e-3))
                .decoupled_weight_decay(flag("decoupled_weight_decay"))
        ),
        "Lion" => with!(Lion::new(lr).betas(beta(0), beta(1))),
        "RAdam" => with!(
            RAdam::new(lr)
                .betas(beta(0), beta(1))
                .eps(number("eps", 1e-8))
                .decoupled_weight_decay(flag("decoupled_weight_decay"))
        ),
        other => panic!("no optimizer {other}"),
    }
}

/// Traces a step whose gradients are inputs: the loss is Σ p · g, so that the gradient of p is g.
fn trace(optimizer: &dyn Optimizer, params: &Params, fixtures: &Fixtures) -> (Graph, Vec<(Variable, Tensor)>) {
    let graph = Graph::new(Mode::Train);
    let (mut loss, mut all) = (graph.constant(0.0), vec![]);
    for name in NAMES {
        let begin = &fixtures.tensors[&format!("begin.{name}")];
        let variable = params.variable(name, begin.shape(), Kind::Parameter, Init::Constant(0.0));
        variable.set(begin.clone()).expect("the shape fits");
        let g = graph.input(name, begin.shape(), DType::F32);
        loss = loss + (graph.variable(&variable) * &g).sum_all();
        all.push((variable, g));
    }
    optimizer.minimize(&loss);
    (graph, all)
}

fn differences(
    name: &str,
    case: &Value,
    fixtures: &Fixtures,
    device: Box<dyn Backend>,
    on: Precision,
) -> Result<Vec<String>> {
    let params = Params::seeded(0);
    let (graph, all) = trace(&*build(name, &case["options"]), &params, fixtures);
    let mut session = Session::new(device, &params)?;
    let step = session.compile(&graph, &[])?;
    let mut wrong = vec![];
    for s in 1..=fixtures.index["steps"].as_u64().expect("a number") {
        let feed = |(variable, g): &(Variable, Tensor)| {
            (g.clone(), &fixtures.tensors[&format!("grad.{s}.{}", variable.name())])
        };
        let feeds: Vec<_> = all.iter().map(feed).collect();
        session.submit(&step, &feeds.iter().map(|(g, array)| (g, *array)).collect::<Vec<_>>())?;
        session.sync()?;
        for (variable, _) in &all {
            let key = format!("{s}.{}", variable.name());
            let off = |i: usize| case["off"][&key][i].as_f64().expect("a number");
            let bound = match on {
                Precision::F64 => 1e-11,
                _ => (4.0 * off(0)).max(16.0 * off(1)).max(64.0 * EPS),
            };
            let truth = fixtures.tensors[&format!("{}/{key}", case["case"].as_str().expect("a name"))].to_f64();
            for (i, (found, truth)) in variable.value()?.to_f64().into_iter().zip(truth).enumerate() {
                let apart = (found - truth).abs() / truth.abs().max(1.0);
                if apart.is_nan() || apart > bound {
                    let label = &case["label"];
                    wrong.push(format!("{name}({label}) {key}[{i}] is {found:e}, not {truth:e}: above {bound:.1e}"));
                }
            }
        }
    }
    Ok(wrong)
}

/// Checks that every invalid option returns an error, and that the list of unsupported options is exact.
fn lists_are_exact(fixtures: &Fixtures) -> std::result::Result<(), Failed> {
    let (index, listed) = (&fixtures.index, json("optim_unsupported.json"));
    let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let mut wrong = vec![];
    let absent: Vec<String> = object(&index["absent"]).keys().cloned().collect();
    let reasons: Vec<String> = object(&listed["optimizers"]).keys().cloned().collect();
    if absent != reasons {
        wrong.push(format!("absent are {absent:?}, listed {reasons:?}"));
    }
    let ways: Vec<_> = index["implementations"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let known = object(&listed["implementations"]);
    if ways.len() != known.len() || !ways.iter().all(|&way| known.contains_key(way)) {
        wrong.push(format!("options without a meaning here are {ways:?}"));
    }
    let mut errors = listed["errors"].as_array().expect("a list").iter().map(|error| (error, 0)).collect::<Vec<_>>();
    let (mut cases, mut refused, mut unwritable) = (0, 0, 0);
    for (name, optimizer) in object(&index["supported"]) {
        cases += optimizer["cases"].as_array().expect("a list").len();
        for error in optimizer["errors"].as_array().expect("a list") {
            let text = error["text"].as_str().expect("a text");
            if let Some(entry) = errors.iter_mut().find(|(entry, _)| text.starts_with(entry["text"].as_str().unwrap()))
            {
                (entry.1, unwritable) = (entry.1 + 1, unwritable + 1);
                continue;
            }
            let (graph, _) = trace(&*build(&name, &error["options"]), &Params::seeded(0), fixtures);
            refused += 1;
            if graph.check().is_ok() {
                wrong.push(format!("{name} takes what torch refuses: {text}"));
            }
        }
    }
    wrong.extend(errors.iter().filter(|(_, used)| *used == 0).map(|(entry, _)| format!("{entry} does not apply")));
    println!("optim_db: {cases} option sets; {refused} wrong options are refused, {unwritable} cannot be written");
    println!("not supported: {} optimizers, {} options:", reasons.len(), known.len());
    for list in ["optimizers", "implementations"] {
        for (name, reason) in object(&listed[list]) {
            println!("  {name}: {}", reason.as_str().unwrap_or_default());
        }
    }
    report(&wrong)
}

/// Creates the tests of all optimizers on all devices.
pub fn trials(places: &[(String, Precision, usize, Open)]) -> Vec<Trial> {
    let fixtures = Arc::new(read());
    let names: Vec<String> = fixtures.index["supported"].as_object().expect("names").keys().cloned().collect();
    let mut trials = vec![];
    {
        let fixtures = fixtures.clone();
        trials.push(Trial::test("the list of optimizers that are not supported is exact", move || {
            lists_are_exact(&fixtures)
        }));
    }
    for name in names {
        for (place, on, _, open) in places {
            let (fixtures, name, open, on) = (fixtures.clone(), name.clone(), open.clone(), *on);
            trials.push(Trial::test(format!("optim.{name} on {place} agrees with PyTorch"), move || {
                let cases = fixtures.index["supported"][&name]["cases"].as_array().expect("cases").clone();
                let of_case = |case: &Value| {
                    differences(&name, case, &fixtures, open(), on)
                        .unwrap_or_else(|error| vec![format!("{name}({}): {error}", case["label"])])
                };
                report(&cases.iter().flat_map(of_case).collect::<Vec<_>>())
            }));
        }
    }
    trials
}

//! Tests of the steps of optimizers, and of training curves.

use serde_json::Value;
use wgrad::prelude::*;

use crate::fixture::{Case, Trace, each};

/// Returns the optimizer of a case and the handle of its learning rate. PyTorch lists the parameters of every
/// group; here, the last group contains all parameters that are in no other group.
fn optimizer(case: &Case<'_>) -> (Box<dyn Optimizer>, LearningRate) {
    let groups: Vec<_> = case.options["groups"].as_array().cloned().unwrap_or_default();
    let (rest, others) = groups.split_last().map_or((&case.options, &[][..]), |(rest, others)| (rest, others));
    let number = |value: &Value, key: &str| value[key].as_f64().unwrap_or_else(|| case.number(key));
    let lr = LearningRate::new(number(rest, "lr"));
    macro_rules! with_groups {
        ($optimizer:expr) => {{
            let mut optimizer = $optimizer.weight_decay(number(rest, "weight_decay"));
            for group in others {
                let names: Vec<_> =
                    group["params"].as_array().unwrap().iter().map(|p| p.as_str().unwrap().to_string()).collect();
                let select = Select::by(move |variable| names.iter().any(|name| name == variable.name()));
                optimizer = optimizer.group(select, number(group, "lr"), number(group, "weight_decay"));
            }
            Box::new(optimizer)
        }};
    }
    macro_rules! adam {
        ($Adam:ident) => {{
            let beta = |i: usize| case.options["betas"][i].as_f64().unwrap();
            let adam = $Adam::new(&lr).betas(beta(0), beta(1)).eps(case.number("eps")).amsgrad(case.flag("amsgrad"));
            with_groups!(adam)
        }};
    }
    let optimizer: Box<dyn Optimizer> = match case.options["optimizer"].as_str().unwrap() {
        "SGD" => {
            let sgd = Sgd::new(&lr).momentum(case.number("momentum")).dampening(case.number("dampening"));
            with_groups!(sgd.nesterov(case.flag("nesterov")))
        }
        "Adam" => adam!(Adam),
        "AdamW" => adam!(AdamW),
        other => panic!("{other}"),
    };
    (optimizer, lr)
}

#[test]
fn optimizers_agree_with_pytorch() {
    each("optimizers", |case| {
        let params = Params::seeded(0);
        let graph = Graph::new(Mode::Train);
        let (mut loss, mut feeds) = (graph.constant(0.0), vec![]);
        for name in ["weight", "bias", "scale"] {
            let begin = case.array(&format!("param.0.{name}"));
            let variable = params.variable(name, begin.shape(), Kind::Parameter, Init::Constant(0.0));
            variable.set(begin).unwrap();
            // The gradient of Σ p · g with respect to p is g, so the test chooses the gradients.
            let g = graph.input(name, variable.shape(), DType::F32);
            loss = loss + (graph.variable(&variable) * &g).sum_all();
            feeds.push((name, variable, g));
        }
        let (optimizer, lr) = optimizer(case);
        optimizer.minimize(&loss);
        let mut session = case.run.session(&params);
        let step = session.compile(&graph, &[]).unwrap();
        let mut results = vec![];
        for s in 1..=case.size("steps") {
            if let Some(rate) = case.options["lr_per_step"][s - 1].as_f64() {
                lr.set(rate);
            }
            let gradients: Vec<_> = feeds.iter().map(|(name, ..)| case.array(&format!("grad.{s}.{name}"))).collect();
            let fed: Vec<_> = feeds.iter().zip(&gradients).map(|((_, _, g), array)| (g, array)).collect();
            session.submit(&step, &fed).unwrap();
            session.sync().unwrap();
            for (name, variable, _) in &feeds {
                results.push((format!("param.{s}.{name}"), (*variable.value().unwrap()).clone()));
            }
        }
        results
    });
}

struct Classifier {
    fc1: Linear,
    bn1: Option<BatchNorm1d>,
    fc2: Linear,
}

impl Classifier {
    fn new(p: &Params, options: &Value) -> Self {
        let size = |key: &str| usize::try_from(options[key].as_u64().unwrap()).unwrap();
        Self {
            fc1: Linear::new(&p.at("fc1"), size("features"), size("hidden")),
            bn1: options["batch_norm"].as_bool().unwrap().then(|| BatchNorm1d::new(&p.at("bn1"), size("hidden"))),
            fc2: Linear::new(&p.at("fc2"), size("hidden"), size("outputs")),
        }
    }
}

impl Module for Classifier {
    fn forward(&self, x: &Tensor) -> Tensor {
        let h = self.fc1.forward(x);
        let h = self.bn1.as_ref().map_or_else(|| h.clone(), |bn1| bn1.forward(&h));
        self.fc2.forward(&h.relu())
    }
}

/// Computes the loss function that a case of a training curve names, for the rows of one step.
fn curve_loss(case: &Case<'_>, logits: &Tensor, target: &Tensor) -> Tensor {
    match case.options["loss"].as_str().unwrap() {
        "BCEWithLogitsLoss" => {
            BceWithLogitsLoss::new().pos_weight(case.option_array("pos_weight").unwrap()).forward(logits, target)
        }
        _ => CrossEntropyLoss::new()
            .weight(case.option_array("weight").unwrap())
            .label_smoothing(case.number("label_smoothing"))
            .forward(logits, target),
    }
}

fn rows(array: &Array, rows: &[u32]) -> Array {
    let mut dims = array.shape().dims().to_vec();
    let width: usize = dims[1..].iter().product();
    dims[0] = rows.len();
    let picked = rows.iter().flat_map(|&row| row as usize * width..(row as usize + 1) * width);
    if let Some(values) = array.as_slice::<u32>() {
        return Array::new(dims, picked.map(|i| values[i]).collect::<Vec<u32>>()).unwrap();
    }
    let values = array.to_f64();
    Array::new(dims, picked.map(|i| values[i]).collect::<Vec<f64>>()).unwrap()
}

#[test]
fn training_curves_agree_with_pytorch() {
    each("curves", |case| {
        let params = Params::seeded(0);
        let model = Classifier::new(&params, &case.options["model"]);
        for variable in params.variables() {
            variable.set(case.array(&format!("init/{}", variable.name()))).unwrap();
        }
        let (xs, ys, order) = (case.array("x"), case.array("y"), case.array("rows"));
        let batch = case.size("batch");
        let mut trace = Trace::new(Mode::Train);
        let order = order.as_slice::<u32>().unwrap();
        let x = trace.feed("x", rows(&xs, &order[..batch]));
        let y = trace.feed("y", rows(&ys, &order[..batch]));
        let loss = curve_loss(case, &model.forward(&x), &y);
        optimizer(case).0.minimize(&loss);
        let mut session = case.run.session(&params);
        let step = session.compile(&trace.graph, &[&loss]).unwrap();
        let losses = order.chunks(batch).map(|at| {
            let feeds = [(&x, &rows(&xs, at)), (&y, &rows(&ys, at))];
            session.run(&step, &feeds).unwrap()[0].item().unwrap()
        });
        let losses: Vec<f64> = losses.collect();
        assert_eq!(losses.len(), case.size("steps"));
        session.sync().unwrap();
        let mut results = vec![("losses".to_string(), Array::vector(losses))];
        for variable in params.variables().iter().filter(|variable| variable.kind() != Kind::State) {
            results.push((format!("final/{}", variable.name()), (*variable.value().unwrap()).clone()));
        }
        for (name, counter) in params.counters().iter().filter(|(name, _)| case.has(&format!("final/{name}"))) {
            let count = counter.get() as f64;
            assert_eq!(Some(count), case.array(&format!("final/{name}")).item().ok(), "{name}");
        }
        results
    });
}

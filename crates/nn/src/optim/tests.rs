//! The optimizers against loops in `f64`, written from PyTorch's documentation.

#![allow(clippy::float_cmp, clippy::many_single_char_names, reason = "exact results of short formulas")]

use wgrad_core::{Array, CpuBackend, DType, Error, Graph, Init, Kind, Mode, Params, Session, Tensor};
use wgrad_kernels::ops::ReduceOps;

use super::*;

/// Six gradients for a parameter of two values.
const GRADIENTS: [[f64; 2]; 6] = [[1.0, -2.0], [0.5, 0.0], [-3.0, 1e-3], [0.25, -1.0], [2.0, 4.0], [0.0, -0.5]];

/// The values of `w`, which begins at 1 and 1, after each step.
fn run(optimizer: &impl Optimizer, mut before: impl FnMut(usize)) -> Vec<Vec<f64>> {
    let params = Params::seeded(0);
    let w = params.variable("fc.w", [2], Kind::Parameter, Init::Constant(1.0));
    let unused = params.variable("fc.unused", [2], Kind::Parameter, Init::Constant(1.0));
    let graph = Graph::new(Mode::Train);
    let _ = graph.variable(&unused);
    let g = graph.input("g", [2], DType::F32);
    optimizer.minimize(&(graph.variable(&w) * &g).sum());
    let mut session = Session::new(CpuBackend::<f64>::new(), &params).unwrap();
    let step = session.compile(&graph, &[]).unwrap();
    let mut values = vec![];
    for (i, gradient) in GRADIENTS.iter().enumerate() {
        before(i);
        session.submit(&step, &[(&g, &Array::vector(gradient.to_vec()))]).unwrap();
        session.sync().unwrap();
        values.push(w.value().unwrap().to_f64());
    }
    assert_eq!(unused.value().unwrap().to_f64(), [1.0, 1.0]);
    values
}

fn assert_follows(found: &[Vec<f64>], mut rule: impl FnMut(usize, f64, f64) -> f64 + Clone) {
    let start = rule.clone();
    for i in 0..2 {
        rule = start.clone();
        let mut w = 1.0;
        for (t, gradient) in GRADIENTS.iter().enumerate() {
            w = rule(t + 1, w, gradient[i]);
            let value = found[t][i];
            assert!((value - w).abs() <= 1e-14 * w.abs().max(1.0), "step {}: {value} is not {w}", t + 1);
        }
    }
}

#[test]
fn plain_descent_subtracts_the_gradient() {
    assert_follows(&run(&Sgd::new(0.1).weight_decay(0.05), |_| ()), |_, w, g| w - 0.1 * (g + 0.05 * w));
}

#[test]
fn the_first_momentum_is_the_gradient_itself() {
    let (momentum, dampening) = (0.9, 0.3);
    let mut buffer = 0.0;
    assert_follows(&run(&Sgd::new(0.1).momentum(momentum).dampening(dampening), |_| ()), move |t, w, g| {
        buffer = if t == 1 { g } else { momentum * buffer + (1.0 - dampening) * g };
        w - 0.1 * buffer
    });
}

#[test]
fn nesterov_looks_ahead() {
    let mut buffer = 0.0;
    assert_follows(&run(&Sgd::new(0.1).momentum(0.9).nesterov(true).weight_decay(0.01), |_| ()), move |_, w, g| {
        let g = g + 0.01 * w;
        buffer = 0.9 * buffer + g;
        w - 0.1 * (g + 0.9 * buffer)
    });
}

fn adam(lr: f64, decay: f64, decoupled: bool, amsgrad: bool) -> impl FnMut(usize, f64, f64) -> f64 + Clone {
    let (b1, b2, eps) = (0.8f64, 0.95f64, 1e-3);
    let (mut m, mut v, mut largest) = (0.0, 0.0, 0.0f64);
    move |t, w, g| {
        let t = i32::try_from(t).unwrap();
        let g = if decoupled { g } else { g + decay * w };
        let w = if decoupled { w * (1.0 - lr * decay) } else { w };
        m = b1 * m + (1.0 - b1) * g;
        v = b2 * v + (1.0 - b2) * g * g;
        largest = largest.max(v);
        let used = if amsgrad { largest } else { v };
        w - lr / (1.0 - b1.powi(t)) * m / (used.sqrt() / (1.0 - b2.powi(t)).sqrt() + eps)
    }
}

#[test]
fn adam_follows_its_formula() {
    let optimizer = Adam::new(0.1).betas(0.8, 0.95).eps(1e-3).weight_decay(0.2);
    assert_follows(&run(&optimizer, |_| ()), adam(0.1, 0.2, false, false));
    assert_follows(&run(&optimizer.amsgrad(true), |_| ()), adam(0.1, 0.2, false, true));
}

#[test]
fn adamw_decays_the_parameter_and_not_the_gradient() {
    let optimizer = AdamW::new(0.1).betas(0.8, 0.95).eps(1e-3).weight_decay(0.2);
    assert_follows(&run(&optimizer, |_| ()), adam(0.1, 0.2, true, false));
    assert_follows(&run(&optimizer.amsgrad(true), |_| ()), adam(0.1, 0.2, true, true));
}

#[test]
fn the_learning_rate_changes_between_runs() {
    let optimizer = Sgd::new(0.1);
    let lr = optimizer.lr_handle();
    let values = run(&optimizer, |step| lr.set(if step < 3 { 0.1 } else { 0.01 }));
    assert_follows(&values, |t, w, g| w - if t <= 3 { 0.1 } else { 0.01 } * g);
}

#[test]
fn groups_have_settings_of_their_own() {
    let params = Params::seeded(0);
    let begin = |name: &str| params.variable(name, [], Kind::Parameter, Init::Constant(1.0));
    let all = [begin("encoder.a"), begin("encoder2.a"), begin("head.weight"), begin("head.bias")];
    let graph = Graph::new(Mode::Train);
    let loss = all.iter().map(|v| graph.variable(v)).reduce(|a, b| a + b).unwrap();
    let bias = Select::by(|variable| variable.name().ends_with("bias"));
    Sgd::new(0.1).group("encoder", 0.01, 0.0).group(bias, 0.001, 1.0).minimize(&loss);
    let mut session = Session::new(CpuBackend::<f64>::new(), &params).unwrap();
    let step = session.compile(&graph, &[]).unwrap();
    session.submit(&step, &[]).unwrap();
    session.sync().unwrap();
    let values: Vec<_> = all.iter().map(|v| v.value().unwrap().item().unwrap()).collect();
    assert_eq!(values, [0.99, 0.9, 0.9, 1.0 - 0.001 * 2.0]);
}

#[test]
fn a_frozen_parameter_stays_and_a_second_graph_shares_the_state() {
    let params = Params::seeded(0);
    let frozen = params.at("encoder").variable("w", [], Kind::Parameter, Init::Constant(1.0));
    let w = params.at("head").variable("w", [], Kind::Parameter, Init::Constant(1.0));
    params.at("encoder").set_trainable(false);
    let mut session = Session::new(CpuBackend::<f64>::new(), &params).unwrap();
    let optimizer = Sgd::new(1.0).momentum(0.5);
    for _ in 0..2 {
        let graph = Graph::new(Mode::Train);
        optimizer.minimize(&(graph.variable(&w) + graph.variable(&frozen)));
        let step = session.compile(&graph, &[]).unwrap();
        session.submit(&step, &[]).unwrap();
    }
    session.sync().unwrap();
    assert_eq!(frozen.value().unwrap().item().unwrap(), 1.0);
    // 1 − 1 − (0.5 + 1)
    assert_eq!(w.value().unwrap().item().unwrap(), -1.5);
    assert_eq!(params.counter("optim.@step").get(), 2);
    assert_eq!(params.get("optim.head.w.momentum_buffer").unwrap().kind(), Kind::State);
}

fn error_of(mode: Mode, minimize: impl FnOnce(&Params, &Graph, &Tensor)) -> String {
    let params = Params::seeded(0);
    let w = params.at("fc").variable("w", [2], Kind::Parameter, Init::Constant(1.0));
    let graph = Graph::new(mode);
    let x = graph.variable(&w);
    minimize(&params, &graph, &x);
    let Err(Error::Graph(error)) = graph.check() else { panic!("no error") };
    assert!(error.site.location.file().ends_with("optim/tests.rs"), "{error}");
    format!("{}: {}", error.op, error.misfit.message)
}

#[test]
fn options_that_make_no_sense_are_errors_of_the_graph() {
    let of = |optimizer: &dyn Optimizer| error_of(Mode::Train, |_, _, x| optimizer.minimize(&x.sum()));
    assert_eq!(of(&Sgd::new(-1.0)), "Sgd: the learning rate must be a number that is not negative, not -1");
    assert_eq!(of(&Sgd::new(f64::NAN)), "Sgd: the learning rate must be a number that is not negative, not NaN");
    let nesterov = "Sgd: Nesterov's momentum needs a momentum above 0 and no dampening";
    assert_eq!(of(&Sgd::new(0.1).nesterov(true)), nesterov);
    assert_eq!(of(&Sgd::new(0.1).momentum(0.9).dampening(0.1).nesterov(true)), nesterov);
    assert_eq!(of(&Sgd::new(0.1).momentum(-0.9)), "Sgd: the momentum must be a number that is not negative, not -0.9");
    assert_eq!(of(&Adam::new(0.1).betas(1.0, 0.9)), "Adam: the first beta must be at least 0 and below 1, not 1");
    assert_eq!(
        of(&AdamW::new(0.1).betas(0.9, -0.1)),
        "AdamW: the second beta must be at least 0 and below 1, not -0.1"
    );
    assert_eq!(of(&AdamW::new(0.1).eps(-1.0)), "AdamW: eps must be a number that is not negative, not -1");
    assert_eq!(
        of(&AdamW::new(0.1).weight_decay(-1.0)),
        "AdamW: the weight decay must be a number that is not negative, not -1"
    );
    assert_eq!(
        of(&Sgd::new(0.1).group("fc3", 0.1, 0.0)),
        "Sgd: the group `fc3` selects no trainable parameter of this graph"
    );
    assert_eq!(
        of(&Sgd::new(0.1).group("fc", 0.1, 0.0).group("fc.w", 0.1, 0.0)),
        "Sgd: `fc.w` is in two groups: `fc` and `fc.w`"
    );
}

#[test]
fn what_cannot_be_minimized_is_an_error_of_the_graph() {
    let sgd = Sgd::new(0.1);
    assert_eq!(error_of(Mode::Evaluate, |_, _, x| sgd.minimize(&x.sum())), "Sgd: an evaluation graph cannot train");
    assert_eq!(
        error_of(Mode::Train, |_, _, x| sgd.minimize(x)),
        "gradients: a gradient is taken of one number, not of several"
    );
    let nothing = "Sgd: the loss depends on no trainable parameter";
    assert_eq!(error_of(Mode::Train, |_, _, x| sgd.minimize(&x.detach().sum())), nothing);
    assert_eq!(
        error_of(Mode::Train, |params, _, x| {
            params.set_trainable(false);
            sgd.minimize(&x.sum());
        }),
        nothing
    );
}

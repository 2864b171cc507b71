//! Tests that compare the optimizers with loops in `f64` written after the formulas in PyTorch's documentation.

#![allow(clippy::float_cmp, clippy::many_single_char_names, reason = "exact results of short formulas")]

use wgrad_core::{Array, CpuBackend, DType, Error, Graph, Init, Kind, Mode, Params, Session, Tensor};

use super::*;

/// The gradients of a parameter of two elements in six steps.
const GRADIENTS: [[f64; 2]; 6] = [[1.0, -2.0], [0.5, 0.0], [-3.0, 1e-3], [0.25, -1.0], [2.0, 4.0], [0.0, -0.5]];

/// Returns the values of the parameter `w` after each step; both elements are initially 1.
fn run(optimizer: &impl Optimizer, mut before: impl FnMut(usize)) -> Vec<Vec<f64>> {
    let params = Params::seeded(0);
    let w = params.variable("fc.w", [2], Kind::Parameter, Init::Constant(1.0));
    let unused = params.variable("fc.unused", [2], Kind::Parameter, Init::Constant(1.0));
    let graph = Graph::new(Mode::Train);
    let _ = graph.variable(&unused);
    let g = graph.input("g", [2], DType::F32);
    optimizer.minimize(&(graph.variable(&w) * &g).sum_all());
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
fn lion_follows_its_paper() {
    let (b1, b2, lr, decay) = (0.8, 0.95, 0.1, 0.2);
    let mut m = 0.0;
    let optimizer = Lion::new(lr).betas(b1, b2).weight_decay(decay);
    assert_follows(&run(&optimizer, |_| ()), move |_, w, g| {
        let c: f64 = b1 * m + (1.0 - b1) * g;
        m = b2 * m + (1.0 - b2) * g;
        // In the update, the sign of 0 is 0, whereas `f64::signum` returns 1.
        let sign = if c == 0.0 { 0.0 } else { c.signum() };
        w - lr * (sign + decay * w)
    });
}

#[test]
fn maximizing_is_minimizing_the_negative() {
    let up = run(&Sgd::new(0.1).momentum(0.5).weight_decay(0.1).maximize(true), |_| ());
    let mut buffer = 0.0;
    assert_follows(&up, move |_, w, g| {
        buffer = 0.5 * buffer - g + 0.1 * w;
        w - 0.1 * buffer
    });
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
fn groups_have_rule_settings_of_their_own() {
    let params = Params::seeded(0);
    let begin = |name: &str| params.variable(name, [], Kind::Parameter, Init::Constant(0.0));
    let (a, b) = (begin("a"), begin("b"));
    let lr = LearningRate::new(1.0);
    let sgd = Sgd::new(1.0).momentum(0.5).group_with("b", |group| group.lr(&lr).momentum(0.0).maximize(true));
    assert_eq!(sgd.handles().len(), 2);
    let graph = Graph::new(Mode::Train);
    sgd.minimize(&(graph.variable(&a) + graph.variable(&b)));
    let mut session = Session::new(CpuBackend::<f64>::new(), &params).unwrap();
    let step = session.compile(&graph, &[]).unwrap();
    session.submit(&step, &[]).unwrap();
    lr.set(0.25);
    session.submit(&step, &[]).unwrap();
    session.sync().unwrap();
    assert_eq!([a, b].map(|v| v.value().unwrap().item().unwrap()), [-2.5, 1.25]);
    assert!(params.get("optim.b.momentum_buffer").is_err());
}

#[test]
fn a_parameter_that_is_unfrozen_later_begins_with_step_1() {
    let params = Params::seeded(0);
    let late = params.at("late").variable("w", [], Kind::Parameter, Init::Constant(0.0));
    let w = params.at("head").variable("w", [], Kind::Parameter, Init::Constant(0.0));
    let mut session = Session::new(CpuBackend::<f64>::new(), &params).unwrap();
    let optimizer = Adam::new(0.1);
    for (trainable, steps) in [(false, 7), (true, 2), (false, 3), (true, 1)] {
        params.at("late").set_trainable(trainable);
        let graph = Graph::new(Mode::Train);
        optimizer.minimize(&(graph.variable(&w) + graph.variable(&late)));
        let step = session.compile(&graph, &[]).unwrap();
        session.submit_many(&step, steps, &[]).unwrap();
        session.sync().unwrap();
        // With bias correction, each Adam step for a constant gradient changes the parameter by the learning rate.
        let expected = if trainable { -0.1 * steps as f64 } else { 0.0 };
        if steps != 1 && trainable {
            assert!((late.value().unwrap().item().unwrap() - expected).abs() < 1e-8);
        }
    }
    assert_eq!(params.counter("optim.late.w.@begin").get(), 7);
    assert_eq!(params.counter("optim.head.w.@begin").get(), 0);
    assert!((w.value().unwrap().item().unwrap() + 1.3).abs() < 1e-7);
}

/// Calls `clip_grad_norm` with two gradients; returns the clipped gradients and the norm.
fn clipped(max: f64, p: f64, first: [f64; 3], second: f64) -> (Vec<f64>, f64) {
    let graph = Graph::new(Mode::Train);
    let inputs = [graph.input("a", [3], DType::F32), graph.input("b", [], DType::F32)];
    let (clipped, norm) = clip_grad_norm(&inputs, max, p);
    let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0)).unwrap();
    let step = session.compile(&graph, &[&clipped[0], &clipped[1], &norm.unwrap()]).unwrap();
    let arrays = [Array::vector(first.to_vec()), Array::scalar(second)];
    let found = session.run(&step, &[(&inputs[0], &arrays[0]), (&inputs[1], &arrays[1])]).unwrap();
    ([found[0].to_f64(), found[1].to_f64()].concat(), found[2].item().unwrap())
}

#[test]
fn norms_are_those_of_all_gradients_as_one() {
    let values = [1.0, -2.0, 0.5, -4.0f64];
    for (p, norm) in
        [(1.0, 7.5), (2.0, 21.25f64.sqrt()), (3.0, (1.0 + 8.0 + 0.125 + 64.0f64).powf(1.0 / 3.0)), (f64::INFINITY, 4.0)]
    {
        for max in [0.5, 100.0] {
            let (found, total) = clipped(max, p, [1.0, -2.0, 0.5], -4.0);
            assert!((total - norm).abs() <= 1e-14 * norm, "p = {p}: {total} is not {norm}");
            let factor = (max / (norm + 1e-6)).min(1.0);
            for (found, value) in found.into_iter().zip(values) {
                assert!((found - value * factor).abs() <= 1e-14, "p = {p}, max = {max}: {found}");
            }
        }
    }
}

#[test]
fn clipping_by_a_nan_norm_gives_nan_and_an_infinite_one_zeros() {
    for p in [1.0, 2.0, 3.0, f64::INFINITY] {
        for bad in [[f64::NAN, 1.0, 2.0], [1.0, 2.0, f64::NAN]] {
            let (found, norm) = clipped(1.0, p, bad, 3.0);
            assert!(norm.is_nan() && found.iter().all(|value| value.is_nan()), "p = {p}: {found:?}");
        }
    }
    let (found, norm) = clipped(1.0, 2.0, [1.0, f64::INFINITY, 2.0], 3.0);
    assert!(norm.is_infinite() && found[1].is_nan() && found[0] == 0.0 && found[3] == 0.0, "{found:?}");
}

#[test]
fn an_optimizer_gives_the_norm_that_it_clips() {
    let params = Params::seeded(0);
    let w = params.variable("w", [2], Kind::Parameter, Init::Constant(0.0));
    let norm_of = |optimizer: Sgd| {
        let graph = Graph::new(Mode::Train);
        let g = graph.array(Array::vector(vec![3.0f32, 4.0]));
        let norm = optimizer.minimize_with_norm(&(graph.variable(&w) * g).sum_all()).unwrap();
        let mut session = Session::new(CpuBackend::<f64>::new(), &params).unwrap();
        let step = session.compile(&graph, &[&norm, &graph.latest(&w)]).unwrap();
        let found = session.run(&step, &[]).unwrap();
        (found[0].item().unwrap(), found[1].to_f64())
    };
    assert_eq!(norm_of(Sgd::new(1.0)), (5.0, vec![-3.0, -4.0]));
    assert_eq!(norm_of(Sgd::new(1.0).clip_grad_value(3.5)), (5.0, vec![-3.0, -3.5]));
    let (norm, values) = norm_of(Sgd::new(1.0).clip_grad_norm_of(1.0, 1.0));
    assert!(norm == 7.0 && (values[0] + 3.0 / 7.000_001).abs() < 1e-15, "{norm} {values:?}");
}

/// Trains a linear model on 48 examples in batches of `size`, with an update after every `accumulate` batches;
/// returns the weights.
fn accumulated(optimizer: &dyn Optimizer, accumulate: usize, size: usize) -> Vec<f64> {
    let params = Params::seeded(3);
    let w = params.variable("w", [3], Kind::Parameter, Init::Uniform(-1.0, 1.0));
    let mut session = Session::new(CpuBackend::<f64>::new(), &params).unwrap();
    let mut plan = |last: bool| {
        let graph = Graph::new(Mode::Train);
        let x = graph.input("x", [size, 3], DType::F32);
        let loss = ((&x * graph.variable(&w)).sum([1]) - 1.0).square().mean_all() / accumulate as f64;
        if accumulate == 1 {
            optimizer.minimize(&loss);
        } else if last {
            optimizer.minimize_accumulated(&loss);
        } else {
            optimizer.accumulate(&loss);
        }
        (session.compile(&graph, &[]).unwrap(), x)
    };
    let plans = [plan(false), plan(true)];
    let mut stream = wgrad_core::Stream::new(1, 0);
    let xs: Vec<f64> = (0..48 * 3).map(|_| stream.normal()).collect();
    for (i, rows) in xs.chunks(size * 3).enumerate() {
        let (step, x) = &plans[usize::from((i + 1) % accumulate == 0)];
        session.submit(step, &[(x, &Array::new([size, 3], rows.to_vec()).unwrap())]).unwrap();
    }
    session.sync().unwrap();
    assert_eq!(params.counter("optim.@step").get() as usize, 48 / size / accumulate);
    w.value().unwrap().to_f64()
}

#[test]
fn accumulated_gradients_are_those_of_the_large_batch() {
    let optimizers: [Box<dyn Optimizer>; 3] = [
        Box::new(Sgd::new(0.1).momentum(0.9)),
        Box::new(AdamW::new(0.1).clip_grad_norm(0.5)),
        Box::new(Sgd::new(0.1).clip_grad_value(0.3)),
    ];
    for optimizer in optimizers {
        let large = accumulated(&optimizer, 1, 8);
        let small = accumulated(&optimizer, 4, 2);
        for (small, large) in small.iter().zip(&large) {
            assert!((small - large).abs() <= 1e-12 * large.abs().max(1.0), "{small} is not {large}");
        }
        assert_eq!(small, accumulated(&optimizer, 4, 2));
    }
}

#[test]
fn accumulated_gradients_are_reset_even_if_they_are_nan() {
    let params = Params::seeded(0);
    let w = params.variable("w", [2], Kind::Parameter, Init::Constant(0.0));
    let mut session = Session::new(CpuBackend::<f64>::new(), &params).unwrap();
    let graph = Graph::new(Mode::Train);
    let g = graph.input("g", [2], DType::F32);
    Sgd::new(1.0).minimize_accumulated(&(graph.variable(&w) * &g).sum_all());
    let step = session.compile(&graph, &[]).unwrap();
    session.submit(&step, &[(&g, &Array::vector(vec![f64::NAN, 1.0]))]).unwrap();
    session.sync().unwrap();
    assert_eq!(params.get("optim.w.grad").unwrap().value().unwrap().to_f64(), [0.0, 0.0]);
}

#[test]
fn frozen_parameters_stay_and_graphs_share_the_state() {
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
    // The parameter is initially 1. The first step subtracts the gradient 1; the second step subtracts the
    // momentum 0.5 times the first change, plus the gradient: 0.5 + 1.
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
    format!("{}: {}", error.op, error.invalid.message)
}

#[test]
fn invalid_options_are_errors_of_the_graph() {
    let of = |optimizer: &dyn Optimizer| error_of(Mode::Train, |_, _, x| optimizer.minimize(&x.sum_all()));
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
    let rms = |optimizer: RmsProp| of(&optimizer);
    assert_eq!(rms(RmsProp::new(0.1).alpha(-1.0)), "RmsProp: alpha must be a number that is not negative, not -1");
    assert_eq!(
        rms(RmsProp::new(0.1).momentum(-1.0)),
        "RmsProp: the momentum must be a number that is not negative, not -1"
    );
    assert_eq!(
        of(&Adagrad::new(0.1).lr_decay(-0.5)),
        "Adagrad: lr_decay must be a number that is not negative, not -0.5"
    );
    assert_eq!(
        of(&Adagrad::new(0.1).initial_accumulator_value(-1.0)),
        "Adagrad: the initial accumulator value must be a number that is not negative, not -1"
    );
    assert_eq!(of(&Adadelta::new(1.0).rho(1.1)), "Adadelta: rho must be between 0 and 1, not 1.1");
    assert_eq!(of(&Lion::new(0.1).betas(0.9, 1.0)), "Lion: the second beta must be at least 0 and below 1, not 1");
    assert_eq!(of(&Adamax::new(0.1).betas(0.0, 1.0)), "Adamax: the second beta must be at least 0 and below 1, not 1");
    assert_eq!(
        of(&NAdam::new(0.1).momentum_decay(-0.2)),
        "NAdam: the momentum decay must be a number that is not negative, not -0.2"
    );
    assert_eq!(of(&RAdam::new(0.1).betas(1.0, 0.0)), "RAdam: the first beta must be at least 0 and below 1, not 1");
    assert_eq!(
        of(&Sgd::new(0.1).clip_grad_norm(-1.0)),
        "Sgd: the largest norm of the gradients must be a number that is not negative, not -1"
    );
    assert_eq!(of(&Sgd::new(0.1).clip_grad_norm_of(1.0, 0.0)), "Sgd: a norm's p must be above 0, not 0");
    assert_eq!(
        of(&Sgd::new(0.1).clip_grad_value(f64::NAN)),
        "Sgd: the largest gradient must be a number that is not negative, not NaN"
    );
    assert_eq!(
        of(&Sgd::new(0.1).group_with("fc", |group| group.momentum(-1.0))),
        "Sgd: the momentum must be a number that is not negative, not -1"
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
fn a_loss_that_cannot_be_minimized_is_an_error() {
    let sgd = Sgd::new(0.1);
    assert_eq!(error_of(Mode::Evaluate, |_, _, x| sgd.minimize(&x.sum_all())), "Sgd: an evaluation graph cannot train");
    assert_eq!(
        error_of(Mode::Train, |_, _, x| sgd.minimize(x)),
        "gradients: a gradient is taken of one number, not of several"
    );
    let nothing = "Sgd: the loss depends on no trainable parameter";
    assert_eq!(error_of(Mode::Train, |_, _, x| sgd.minimize(&x.detach().sum_all())), nothing);
    assert_eq!(
        error_of(Mode::Train, |params, _, x| {
            params.set_trainable(false);
            sgd.minimize(&x.sum_all());
        }),
        nothing
    );
}

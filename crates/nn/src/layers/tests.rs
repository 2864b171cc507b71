//! Tests of layers on the CPU backend: variable names, options and errors. `tests/golden.rs` compares values with
//! PyTorch's.

use wgrad_core::{Array, CpuBackend, DType, Error, Graph, Kind, Mode, Params, Session, Tensor, vjp};

use super::*;
use crate::{Module, Sequential};

fn names(params: &Params) -> Vec<String> {
    params.variables().iter().map(|variable| variable.name().to_string()).collect()
}

fn session(params: &Params) -> Session {
    Session::new(CpuBackend::<f64>::new(), params).unwrap()
}

fn error(graph: &Graph) -> String {
    graph.check().unwrap_err().to_string()
}

#[test]
fn a_sequence_has_the_names_of_pytorch() {
    let params = Params::seeded(0);
    let model = Sequential::new(&params.at("encoder"))
        .add(|p| Linear::new(p, 4, 3))
        .add(|p| BatchNorm1d::new(p, 3))
        .add(|_| Relu)
        .add(|p| Dropout::new(p, 0.5))
        .named("head", |p| Sequential::new(p).add(|p| Linear::with(p, 3, 2, LinearOptions::new().bias(false))))
        .add(|_| |x: &Tensor| x * 2.0);
    assert_eq!(
        names(&params),
        [
            "encoder.0.weight",
            "encoder.0.bias",
            "encoder.1.weight",
            "encoder.1.bias",
            "encoder.1.running_mean",
            "encoder.1.running_var",
            "encoder.head.0.weight"
        ]
    );
    let graph = Graph::new(Mode::Train);
    assert_eq!(model.forward(&graph.input("x", [5, 4], DType::F32)).shape().dims(), [5, 2]);
    assert_eq!(format!("{model:?}"), "Sequential(\"encoder\": 0, 1, 2, 3, head, 5)");
    assert!(graph.check().is_ok());
}

#[test]
fn weights_begin_within_the_bounds_of_pytorch() {
    let params = Params::seeded(3);
    let layer = Linear::new(&params, 16, 1000);
    let weight = layer.weight().value().unwrap().to_f64();
    let bias = layer.bias().unwrap().value().unwrap().to_f64();
    for values in [&weight, &bias] {
        let largest = values.iter().fold(0.0f64, |max, x| max.max(x.abs()));
        assert!(largest <= 0.25 && largest > 0.24, "{largest}");
    }
    let mean: f64 = weight.iter().sum::<f64>() / 16000.0;
    assert!(mean.abs() < 0.01, "{mean}");
}

#[test]
fn convolutions_have_the_shapes_and_bounds_of_pytorch() {
    let params = Params::seeded(3);
    let conv = Conv2d::with(&params.at("conv"), 8, 400, [2, 4], Conv2dOptions::new().groups(4));
    let up = ConvTranspose1d::with(&params.at("up"), 400, 8, 4, ConvTranspose1dOptions::new().groups(2));
    let bare = Conv1d::with(&params.at("bare"), 2, 3, 5, Conv1dOptions::new().bias(false));
    assert_eq!(names(&params), ["conv.weight", "conv.bias", "up.weight", "up.bias", "bare.weight"]);
    assert_eq!(conv.weight().shape().dims(), [400, 2, 2, 4]);
    assert_eq!((up.weight().shape().dims(), up.bias().unwrap().shape().dims()), (&[400, 4, 4][..], &[8][..]));
    assert!(bare.bias().is_none());
    // All three variables are initially uniform in ±1/4, because 1/√(2·2·4) and 1/√(4·4) are both 1/4.
    for variable in [conv.weight(), conv.bias().unwrap(), up.weight()] {
        let largest = variable.value().unwrap().to_f64().iter().fold(0.0f64, |max, x| max.max(x.abs()));
        assert!(largest <= 0.25 && largest > 0.24, "{largest}");
    }
}

#[test]
fn an_error_names_the_layer_it_is_in() {
    let params = Params::seeded(0);
    let model = Sequential::new(&params).add(|p| Linear::new(p, 30, 64)).add(|_| Relu).add(|p| Linear::new(p, 32, 1));
    let graph = Graph::new(Mode::Train);
    let _ = model.forward(&graph.input("x", [8, 30], DType::F32));
    let text = error(&graph);
    assert!(text.contains("(in 2)") && text.contains("fix"), "{text}");
}

#[test]
fn a_direct_call_of_a_layer_is_reported_with_its_line() {
    let params = Params::seeded(0);
    let layer = Linear::new(&params.at("fc1"), 30, 64);
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [8, 31], DType::F32);
    let line = line!() + 1;
    let _ = layer.forward(&x);
    let text = error(&graph);
    assert!(text.contains(&format!("layers/tests.rs:{line} (in fc1)")), "{text}");
}

#[test]
fn batch_norm_rejects_invalid_shapes_with_a_fix() {
    let params = Params::seeded(0);
    let norm = BatchNorm1d::new(&params.at("bn"), 4);
    let of = |shape: &[usize]| {
        let graph = Graph::new(Mode::Train);
        let _ = norm.forward(&graph.input("x", shape, DType::F32));
        error(&graph)
    };
    assert!(of(&[4]).starts_with("batch_norm(f32[4]): expected [N, 4] or [N, 4, L], not [4]\n  at "));
    assert!(of(&[2, 3]).starts_with("batch_norm(f32[2, 3]): axis 1 of [2, 3] has 3 channels, the layer has 4\n"));
    let single = of(&[1, 4]);
    assert!(single.contains("(in bn)") && single.contains("fix"), "{single}");
}

#[test]
fn an_evaluation_changes_no_statistics() {
    let params = Params::seeded(0);
    let norm = BatchNorm1d::new(&params.at("bn"), 2);
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [1, 2], DType::F32);
    let y = norm.forward(&x);
    let mut session = session(&params);
    let step = session.compile(&graph, &[&y]).unwrap();
    let value = session.run(&step, &[(&x, &Array::new([1, 2], vec![1.0f64, -2.0]).unwrap())]).unwrap()[0].to_f64();
    let root = (1.0f64 + 1e-5).sqrt();
    assert!((value[0] - 1.0 / root).abs() < 1e-15 && (value[1] + 2.0 / root).abs() < 1e-15);
    session.sync().unwrap();
    assert_eq!(params.counter("bn.num_batches_tracked").get(), 0);
    assert_eq!(params.get("bn.running_mean").unwrap().value().unwrap().to_f64(), [0.0; 2]);
}

#[test]
fn a_norm_called_twice_updates_its_statistics_twice() {
    let batches = [Array::new([2, 1], vec![1.0, 3.0]).unwrap(), Array::new([2, 1], vec![10.0, 30.0]).unwrap()];
    let statistics = |momentum: Option<f64>, at_once: bool| {
        let params = Params::seeded(0);
        let norm = BatchNorm1d::with(&params, 1, BatchNormOptions::new().momentum(momentum));
        let mut session = session(&params);
        for group in batches.chunks(if at_once { 2 } else { 1 }) {
            let graph = Graph::new(Mode::Train);
            let xs: Vec<_> =
                group.iter().enumerate().map(|(i, _)| graph.input(format!("x{i}"), [2, 1], DType::F32)).collect();
            let ys: Vec<_> = xs.iter().map(|x| norm.forward(x)).collect();
            let step = session.compile(&graph, &ys.iter().collect::<Vec<_>>()).unwrap();
            session.run(&step, &xs.iter().zip(group).collect::<Vec<_>>()).unwrap();
        }
        session.sync().unwrap();
        let value = |name: &str| params.get(name).unwrap().value().unwrap().to_f64()[0];
        let batches = params.counters()[0].1.get();
        (value("running_mean"), value("running_var"), batches)
    };
    // In PyTorch, the running mean is 0, then 0.2, then 2.18; the running variance is 1, then 1.1, then 20.99.
    let (mean, var, batches) = statistics(Some(0.1), true);
    assert!((mean - 2.18).abs() < 1e-12 && (var - 20.99).abs() < 1e-12 && batches == 2, "{mean} {var} {batches}");
    for momentum in [Some(0.1), None] {
        assert_eq!(statistics(momentum, true), statistics(momentum, false), "{momentum:?}");
    }
}

/// Runs a dropout on an input of ones `runs` times; returns the output and the gradient of each run.
fn drop(params: &Params, dropout: &Dropout, n: usize, runs: usize) -> Vec<(Vec<f64>, Vec<f64>)> {
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [n], DType::F32);
    let y = dropout.forward(&x);
    let cotangent = graph.input("c", [n], DType::F32);
    let dx = vjp(&[(&y, &cotangent)], std::slice::from_ref(&x))[0].clone().unwrap();
    let mut session = session(params);
    let step = session.compile(&graph, &[&y, &dx]).unwrap();
    let ones = Array::full([n], 1f64);
    let mut run = || {
        let out = session.run(&step, &[(&x, &ones), (&cotangent, &ones)]).unwrap();
        (out[0].to_f64(), out[1].to_f64())
    };
    (0..runs).map(|_| run()).collect()
}

#[test]
fn dropout_masks_match_in_backward_and_change_per_run() {
    let params = Params::seeded(7);
    let runs = drop(&params, &Dropout::new(&params.at("drop"), 0.25), 4000, 2);
    for (y, dx) in &runs {
        assert_eq!(y, dx);
        assert!(y.iter().all(|&y| y == 0.0 || (y - 1.0 / 0.75).abs() < 1e-15));
        let mean = y.iter().sum::<f64>() / 4000.0;
        // The tolerance is four standard deviations of the mean.
        assert!((mean - 1.0).abs() < 4.0 * (0.25f64 / 0.75 / 4000.0).sqrt(), "{mean}");
    }
    assert_ne!(runs[0].0, runs[1].0);
    let again = Params::seeded(7);
    assert_eq!(drop(&again, &Dropout::new(&again.at("drop"), 0.25), 4000, 2), runs);
    assert_ne!(drop(&again, &Dropout::new(&again.at("other"), 0.25), 4000, 2), runs);
}

#[test]
fn two_calls_of_a_dropout_differ_and_it_has_no_state_dict() {
    use crate::StateDict;
    let params = Params::seeded(7);
    let dropout = Dropout::new(&params.at("drop"), 0.5);
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [100], DType::F32);
    let (a, b) = (dropout.forward(&x), dropout.forward(&x));
    let mut session = session(&params);
    let step = session.compile(&graph, &[&a, &b]).unwrap();
    let out = session.run(&step, &[(&x, &Array::full([100], 1f64))]).unwrap();
    assert_ne!(out[0], out[1]);
    assert_eq!(params.counter("drop.@step").get(), 1);
    let empty = Params::seeded(0).to_safetensors().unwrap();
    assert_eq!(params.to_safetensors().unwrap(), empty);
}

#[test]
fn dropout_evaluates_to_identity_and_checks_its_probability() {
    let params = Params::seeded(7);
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [3], DType::F32);
    assert_eq!(Dropout::new(&params.at("a"), 0.5).forward(&x).id(), x.id());
    let _ = Dropout::new(&params.at("b"), 1.5).forward(&x);
    assert!(matches!(graph.check(), Err(Error::Graph(_))));
    assert!(error(&graph).contains("the probability 1.5 is not between 0 and 1"));
}

#[test]
fn flatten_keeps_the_first_axis() {
    let graph = Graph::new(Mode::Evaluate);
    let shape = |dims: &[usize]| Flatten.forward(&graph.input("x", dims, DType::F32)).shape().dims().to_vec();
    assert_eq!(shape(&[2, 3, 4]), [2, 12]);
    assert_eq!(shape(&[2]), [2, 1]);
    assert_eq!(shape(&[0, 3, 4]), [0, 12]);
}

#[test]
fn buffers_are_no_parameters() {
    let params = Params::seeded(0);
    let _ = BatchNorm1d::with(&params, 3, BatchNormOptions::new().affine(false));
    assert!(params.variables().iter().all(|variable| variable.kind() == Kind::Buffer));
    let untracked = BatchNormOptions::new().track_running_stats(false);
    let other = Params::seeded(0);
    let _ = BatchNorm1d::with(&other, 3, untracked);
    assert_eq!(names(&other), ["weight", "bias"]);
}

#[test]
fn a_batch_norm_can_be_frozen_and_unfrozen() {
    let params = Params::seeded(0);
    let norm = BatchNorm1d::new(&params.at("bn"), 2);
    let mut session = session(&params);
    let xs = Array::new([2, 2], vec![1.0f32, 2.0, 3.0, 6.0]).unwrap();
    let mut run = |mode: Mode| {
        let graph = Graph::new(mode);
        let x = graph.input("x", [2, 2], DType::F32);
        let y = norm.forward(&x);
        let dx = vjp(
            &[(&y, &graph.array(Array::new([2, 2], vec![1f32, 0.0, 0.0, 0.0]).unwrap()))],
            std::slice::from_ref(&x),
        );
        let step = session.compile(&graph, &[&y, dx[0].as_ref().unwrap()]).unwrap();
        let found = session.run(&step, &[(&x, &xs)]).unwrap();
        session.sync().unwrap();
        let running = params.get("bn.running_mean").unwrap().value().unwrap().to_f64();
        (found[0].to_f64(), found[1].to_f64(), running)
    };
    params.at("bn").set_trainable(false);
    let frozen = run(Mode::Train);
    assert_eq!(frozen, run(Mode::Evaluate));
    assert_eq!(frozen.2, [0.0, 0.0]);
    // A frozen batch norm computes `scale · x + shift`, so the gradient is multiplied by `scale`.
    let scale = 1.0 / 1.00001f64.sqrt();
    assert!((frozen.1[0] - scale).abs() < 1e-15 && frozen.1[1..] == [0.0; 3], "{:?}", frozen.1);
    assert_eq!(params.counter("bn.num_batches_tracked").get(), 0);
    params.at("bn").set_trainable(true);
    let moving = run(Mode::Train);
    assert!((moving.2[1] - 0.4).abs() < 1e-15 && moving.0 != frozen.0, "{:?}", moving.2);
    assert_eq!(params.counter("bn.num_batches_tracked").get(), 1);
}

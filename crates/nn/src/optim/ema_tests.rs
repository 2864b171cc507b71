//! Tests of `Ema`, the averages of a model's weights.

#![allow(clippy::float_cmp, reason = "exact results of short formulas")]

use wgrad_core::{Array, CpuBackend, DType, Graph, Init, Kind, Mode, Params, Session, Variable};

use super::*;

#[test]
fn averages_follow_torch() {
    let weights = [0.5, -1.0, 2.0, 3.5];
    let follow = |ema: Ema, params: &Params, w: &Variable| {
        let graph = Graph::new(Mode::Train);
        let x = graph.input("x", [], DType::F32);
        graph.update(w, &(graph.variable(w) * 0.0 + &x));
        ema.update(&graph);
        let average = graph.latest(&params.get("ema.w").unwrap());
        let mut session = Session::new(CpuBackend::<f64>::new(), params).unwrap();
        let step = session.compile(&graph, &[&average]).unwrap();
        let found = session.run_many(&step, 4, &[(&x, &Array::vector(weights.to_vec()))]).unwrap()[0].to_f64();
        session.sync().unwrap();
        found
    };
    let make = |kind: Kind| {
        let params = Params::seeded(0);
        let w = params.variable("w", [], kind, Init::Constant(9.0));
        (params, w)
    };
    let (params, w) = make(Kind::Parameter);
    let found = follow(Ema::new(&params, 0.75), &params, &w);
    let mut expected = 0.5;
    for (i, (weight, found)) in weights.into_iter().zip(&found).enumerate() {
        expected = if i == 0 { weight } else { expected + 0.25 * (weight - expected) };
        assert!((found - expected).abs() < 1e-15, "{found} is not {expected}");
    }
    let (params, w) = make(Kind::Parameter);
    let found = follow(Ema::equal(&params), &params, &w);
    let means: Vec<f64> = (1..=4).map(|n| weights[..n].iter().sum::<f64>() / n as f64).collect();
    assert!(found.iter().zip(&means).all(|(a, b)| (a - b).abs() < 1e-15), "{found:?} {means:?}");
    // Buffers are averaged only with `use_buffers(true)`.
    let (params, w) = make(Kind::Buffer);
    let found = follow(Ema::new(&params, 0.5).use_buffers(true), &params, &w);
    assert_eq!(found, [0.5, -0.25, 0.875, 2.1875]);
    let graph = Graph::new(Mode::Train);
    Ema::new(&params, 0.5).update(&graph);
    assert!(graph.check().unwrap_err().to_string().contains("there are no parameters in ``"));
    let graph = Graph::new(Mode::Train);
    Ema::new(&params, 1.5).update(&graph);
    assert!(graph.check().unwrap_err().to_string().contains("the decay must be between 0 and 1, not 1.5"));
    let (params, _) = make(Kind::Parameter);
    assert!(Ema::new(&params, 0.5).swap().unwrap_err().to_string().contains("there is no average yet"));
}

#[test]
fn a_model_is_saved_with_its_averages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("average.safetensors");
    let make = |value: f64| {
        let params = Params::seeded(0);
        let _ = params.variable("w", [], Kind::Parameter, Init::Constant(value));
        params
    };
    let params = make(1.0);
    let (w, ema) = (params.get("w").unwrap(), Ema::new(&params, 0.75));
    let graph = Graph::new(Mode::Train);
    Sgd::new(1.0).minimize(&graph.variable(&w));
    ema.update(&graph);
    let mut session = Session::new(CpuBackend::<f64>::new(), &params).unwrap();
    let step = session.compile(&graph, &[]).unwrap();
    session.submit_many(&step, 2, &[]).unwrap();
    assert!(ema.save(&path).unwrap_err().to_string().contains("session.sync()"));
    session.sync().unwrap();
    ema.save(&path).unwrap();
    let other = make(7.0);
    crate::StateDict::load(&other, &path).unwrap();
    assert_eq!(other.get("w").unwrap().value().unwrap().item().unwrap(), -0.25);
    assert_eq!(w.value().unwrap().item().unwrap(), -1.0);
    ema.apply().unwrap();
    assert_eq!(w.value().unwrap().item().unwrap(), -0.25);
    assert_eq!(params.get("ema.w").unwrap().value().unwrap().item().unwrap(), -0.25);
    // After `apply`, training continues from the averages.
    session.submit(&step, &[]).unwrap();
    session.sync().unwrap();
    assert_eq!(w.value().unwrap().item().unwrap(), -1.25);
}

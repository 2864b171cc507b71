use wgrad_core::{CpuBackend, DType, Graph, Mode, Params, Session};

use super::*;
use wgrad_nn::Module;
use wgrad_nn::layers::LinearOptions;
use wgrad_nn::losses::{BceWithLogitsLoss, CrossEntropyLoss, Loss};

fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{a} is not {b}");
}

/// Returns the loss of a layer that was initialised with a prior, for rows with these labels.
fn first_loss(prior: &Prior, outputs: usize, labels: &[u32], pos_weight: Option<f64>) -> f64 {
    let params = Params::seeded(3);
    let head = Linear::new(&params, 5, outputs);
    prior.initialize(&head).unwrap();
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [labels.len(), 5], DType::F32);
    let y = graph.input("y", [labels.len()], DType::U32);
    let logits = head.forward(&x);
    let loss = match (outputs, pos_weight) {
        (1, Some(weight)) => BceWithLogitsLoss::new().pos_weight(weight).forward(&logits, &y.to_f32().unsqueeze(1)),
        (1, None) => BceWithLogitsLoss::new().forward(&logits, &y.to_f32().unsqueeze(1)),
        _ => CrossEntropyLoss::new().forward(&logits, &y),
    };
    let mut session = Session::new(CpuBackend::<f64>::new(), &params).unwrap();
    let step = session.compile(&graph, &[&loss]).unwrap();
    let rows = Array::new([labels.len(), 5], (0u32..).take(labels.len() * 5).map(|i| f64::from(i).sin()).collect());
    session.run(&step, &[(&x, &rows.unwrap()), (&y, &Array::vector(labels.to_vec()))]).unwrap()[0].item().unwrap()
}

#[test]
fn the_first_loss_is_the_entropy_of_the_shares() {
    let labels: Vec<u32> = (0..100).map(|row| u32::from(row < 2)).collect();
    let prior = Prior::from_counts(&[98, 2]).unwrap();
    // The losses below have a tolerance, because the bias is rounded to `f32`.
    assert!((prior.entropy() - 0.098_039).abs() < 1e-6);
    for outputs in [1, 2] {
        assert!((first_loss(&prior, outputs, &labels, None) - prior.entropy()).abs() < 1e-9);
    }
    let labels: Vec<u32> = (0..100).map(|row| if row < 70 { 0 } else { 1 + u32::from(row < 75) }).collect();
    let prior = Prior::from_counts(&[70, 25, 5]).unwrap();
    assert!((first_loss(&prior, 3, &labels, None) - prior.entropy()).abs() < 1e-8);
}

#[test]
fn with_a_weight_the_first_answer_is_the_best_constant() {
    let labels: Vec<u32> = (0..100).map(|row| u32::from(row < 2)).collect();
    let prior = Prior::from_counts(&[98, 2]).unwrap();
    let seen = prior.with_pos_weight(10.0).unwrap();
    near(seen.shares()[1], 20.0 / 118.0);
    let begin = first_loss(&seen, 1, &labels, Some(10.0));
    // The weights of the 100 rows add up to 118, so the smallest possible loss is 1.18 times the entropy.
    assert!((begin - 1.18 * seen.entropy()).abs() < 1e-8, "{begin}");
    for other in [0.1, 0.25] {
        let other = Prior::from_shares(&[1.0 - other, other]).unwrap();
        assert!(first_loss(&other, 1, &labels, Some(10.0)) > begin + 1e-3);
    }
}

#[test]
fn weights_balance_and_the_shift_undoes_them() {
    let prior = Prior::from_counts(&[980, 20]).unwrap();
    near(prior.pos_weight().unwrap(), 49.0);
    near(prior.class_weights()[1], 25.0);
    for seen in [prior.with_pos_weight(49.0), prior.weighted(&prior.class_weights())] {
        near(seen.unwrap().shares()[1], 0.5);
    }
    let shift = PriorShift::of_pos_weight(7.0).unwrap();
    near(shift.logit(1.5), 1.5 - 7f64.ln());
    // The expected value is sigmoid(1.5 − ln 7).
    near(shift.probability(1.0 / (1.0 + (-1.5f64).exp())), 1.0 / (1.0 + (7f64.ln() - 1.5).exp()));
    let three = Prior::from_counts(&[70, 25, 5]).unwrap();
    assert_eq!(three.pos_weight(), None);
    let seen = three.weighted(&three.class_weights()).unwrap();
    assert!(seen.shares().iter().all(|p| (p - 1.0 / 3.0).abs() < 1e-15));
    let shift = three.shift_from(&seen).unwrap();
    let mut logits = seen.logits(3).unwrap();
    shift.logits(&mut logits, 3).unwrap();
    for (found, wanted) in logits.iter().zip(three.logits(3).unwrap()) {
        near(*found, wanted);
    }
    assert!(shift.logits(&mut logits, 1).is_err());
}

#[test]
fn a_graph_shifts_as_the_host_does() {
    let prior = Prior::from_counts(&[90, 10]).unwrap();
    let shift = prior.shift_from(&prior.with_pos_weight(9.0).unwrap()).unwrap();
    let graph = Graph::new(Mode::Evaluate);
    let (one, two) = (graph.input("one", [3, 1], DType::F32), graph.input("two", [3, 2], DType::F32));
    let bad = graph.input("three", [3, 3], DType::F32);
    assert!(!shift.apply(&bad).is_valid());
    let graph_error = graph.check().unwrap_err().to_string();
    assert!(graph_error.starts_with("prior_shift(f32[3, 3]): logits of 2 classes have 1 or 2 numbers per row, not 3"));
    let graph = Graph::new(Mode::Evaluate);
    let (one, two) = (graph.input("one", one.shape(), DType::F32), graph.input("two", two.shape(), DType::F32));
    let outputs = [shift.apply(&one), shift.apply(&two)];
    let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0)).unwrap();
    let step = session.compile(&graph, &[&outputs[0], &outputs[1]]).unwrap();
    let feeds = [Array::new([3, 1], vec![0.0, 1.0, -2.0]).unwrap(), Array::new([3, 2], vec![0.5; 6]).unwrap()];
    let found = session.run(&step, &[(&one, &feeds[0]), (&two, &feeds[1])]).unwrap();
    for (found, z) in found[0].to_f64().iter().zip([0.0, 1.0, -2.0]) {
        assert!((found - shift.logit(z)).abs() < 1e-6);
    }
    let row = found[1].to_f64();
    assert!((row[1] - row[0] - shift.logit(0.0)).abs() < 1e-6);
}

#[test]
fn invalid_shares_and_layers_are_errors() {
    let message = |found: Result<()>| found.unwrap_err().to_string();
    assert_eq!(
        Prior::from_counts(&[5]).unwrap_err().to_string(),
        "shares of at least two classes are needed, not of 1"
    );
    assert_eq!(Prior::from_counts(&[5, 0]).unwrap_err().to_string(), "the share of class 1 is 0; it must be above 0");
    assert!(Prior::from_shares(&[0.5, f64::NAN]).is_err());
    let data = Dataset::new(["a"], vec![1.0, 2.0], vec![0, 0], ["no", "yes"]).unwrap();
    assert!(Prior::of(&data).unwrap_err().to_string().starts_with("no row is of class yes, so nothing can be learned"));
    let prior = Prior::from_counts(&[3, 1]).unwrap();
    assert!(prior.weighted(&[1.0]).is_err() && prior.weighted(&[1.0, -1.0]).is_err());
    assert!(Prior::from_counts(&[1, 1, 1]).unwrap().with_pos_weight(2.0).is_err());
    let params = Params::seeded(0);
    assert_eq!(
        message(prior.initialize(&Linear::new(&params.at("a"), 4, 3))),
        "a model of 2 classes gives 1 or 2 logits per row, not 3"
    );
    let options = LinearOptions::new().bias(false);
    assert!(
        message(prior.initialize(&Linear::with(&params.at("b"), 4, 1, options)))
            .starts_with("`b.weight` belongs to a layer without bias")
    );
    let head = Linear::new(&params.at("c"), 4, 2);
    assert_eq!(message(initialize(&head, &[0.0])), "`c.bias` takes 2 logits, one for each output, not 1");
    assert_eq!(message(initialize(&head, &[0.0, f64::INFINITY])), "logit 1 is inf; a bias must be finite");
}

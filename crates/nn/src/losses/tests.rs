//! Tests of the errors that losses record about options and shapes. `tests/golden.rs` compares values with
//! PyTorch's.

use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session, Tensor};

use super::*;

fn error(make: impl FnOnce(&Graph) -> Tensor) -> String {
    let graph = Graph::new(Mode::Train);
    let _ = make(&graph);
    graph.check().unwrap_err().to_string()
}

fn f32s(graph: &Graph, shape: &[usize]) -> Tensor {
    graph.input("f", shape, DType::F32)
}

fn u32s(graph: &Graph, shape: &[usize]) -> Tensor {
    graph.input("u", shape, DType::U32)
}

#[test]
fn one_label_per_row_for_two_logits_lists_fixes_and_line() {
    let graph = Graph::new(Mode::Train);
    let (x, y) = (f32s(&graph, &[64, 2]), f32s(&graph, &[64]));
    let line = line!() + 1;
    let _ = BceWithLogitsLoss::new().forward(&x, &y);
    let text = graph.check().unwrap_err().to_string();
    assert!(text.starts_with("bce_with_logits(f32[64, 2], f32[64]): targets [64] must have the shape"), "{text}");
    assert!(text.contains(&format!("losses/tests.rs:{line}\n  fixes:\n    1. for 2 exclusive classes use")), "{text}");
    assert!(text.contains("\n    2. ") && text.contains("\n    3. "), "{text}");
}

#[test]
fn weights_that_do_not_fit_are_errors() {
    let text = error(|g| BceWithLogitsLoss::new().weight([1.0, 2.0]).forward(&f32s(g, &[5, 3]), &f32s(g, &[5, 3])));
    assert!(text.contains("weight [2] does not broadcast to the logits [5, 3]"), "{text}");
    let text = error(|g| {
        let weight = Array::full([2, 5, 3], 1f32);
        BceWithLogitsLoss::new().weight(weight).forward(&f32s(g, &[5, 3]), &f32s(g, &[5, 3]))
    });
    assert!(text.contains("does not broadcast"), "a weight must not enlarge the loss: {text}");
    let text = error(|g| BceWithLogitsLoss::new().pos_weight([1.0, 2.0]).forward(&f32s(g, &[5, 3]), &f32s(g, &[5, 3])));
    assert!(text.contains("pos_weight [2] does not broadcast"), "{text}");
    let text = error(|g| CrossEntropyLoss::new().weight([1.0, 2.0]).forward(&f32s(g, &[5, 3]), &u32s(g, &[5])));
    assert!(text.contains("the weight has one entry per class, [3], not [2]"), "{text}");
    let text = error(|g| CrossEntropyLoss::new().weight(2.0).forward(&f32s(g, &[5, 3]), &u32s(g, &[5])));
    assert!(text.contains("the weight has one entry per class, [3], not one number"), "{text}");
}

#[test]
fn invalid_cross_entropies_are_errors_with_a_fix() {
    let text = error(|g| CrossEntropyLoss::new().forward(&f32s(g, &[64, 1]), &u32s(g, &[64])));
    assert!(text.contains("this loss is always 0") && text.contains("use BceWithLogitsLoss"), "{text}");
    assert!(text.contains("losses/tests.rs"), "{text}");
    let text = error(|g| CrossEntropyLoss::new().label_smoothing(1.5).forward(&f32s(g, &[4, 3]), &u32s(g, &[4])));
    assert!(text.contains("label smoothing must be between 0 and 1, not 1.5"), "{text}");
    let text = error(|g| CrossEntropyLoss::new().ignore_index(2).forward(&f32s(g, &[4, 3]), &f32s(g, &[4, 3])));
    assert!(text.contains("ignore_index is for class indices"), "{text}");
    let text = error(|g| CrossEntropyLoss::new().forward(&f32s(g, &[4, 3]), &u32s(g, &[4, 1])));
    assert!(text.contains(".squeeze(1)"), "{text}");
}

fn value(loss: &CrossEntropyLoss, classes: &[u32]) -> f64 {
    let graph = Graph::new(Mode::Evaluate);
    let (x, y) = (f32s(&graph, &[classes.len(), 3]), u32s(&graph, &[classes.len()]));
    let loss = loss.forward(&x, &y);
    let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0)).unwrap();
    let step = session.compile(&graph, &[&loss]).unwrap();
    let logits: Vec<f64> = (0..classes.len()).flat_map(|_| [0.0, 1.0, 2.0]).collect();
    let feeds = [(&x, &Array::new([classes.len(), 3], logits).unwrap()), (&y, &Array::vector(classes.to_vec()))];
    session.run(&step, &feeds).unwrap()[0].item().unwrap()
}

#[test]
fn the_labels_that_pytorch_ignores_are_ignored() {
    let loss = CrossEntropyLoss::new();
    let ignored = -100i64 as u32;
    assert_eq!(ignored, IGNORE);
    assert!((value(&loss, &[0, ignored]) - value(&loss, &[0])).abs() < 1e-15);
    assert!(value(&loss, &[ignored]).is_nan());
    assert!(value(&loss, &[0, 7]).is_nan(), "a class index out of range");
    assert!(value(&loss.ignore_index(None), &[0, ignored]).is_nan());
}

#[test]
fn the_mean_divides_by_the_weights_of_the_classes() {
    let loss = CrossEntropyLoss::new().weight([1.0, 3.0, 0.5]);
    let sum = value(&loss.clone().reduction(Reduction::Sum), &[0, 1, 1]);
    assert!((value(&loss, &[0, 1, 1]) - sum / 7.0).abs() < 1e-15);
}

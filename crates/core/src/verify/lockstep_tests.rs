//! Tests of lockstep: steps with and without a faulty op.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{Backward, CpuBackend, Init, InvalidArgument, Kind, Mode, Op, Params, Reference, Spec, gradients};

/// Op that doubles its input. In `f32`, one element is wrong from run `from` on.
#[derive(Debug)]
struct Twice {
    from: usize,
    runs: AtomicUsize,
}

impl Op for Twice {
    fn name(&self) -> &'static str {
        "twice"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![inputs[0].clone()])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| at.dy() * 2.0);
    }

    fn accuracy(&self, _inputs: &[Spec]) -> crate::Accuracy {
        crate::Accuracy::new()
    }

    fn reference(&self, at: Reference<'_>) {
        match at {
            Reference::F32(mut at) => {
                let x = at.float(0);
                let y = at.out(0);
                y.iter_mut().zip(x).for_each(|(y, x)| *y = x + x);
                if self.runs.fetch_add(1, Ordering::Relaxed) >= self.from {
                    y[2] *= 1.000_01;
                }
            }
            Reference::F64(mut at) => {
                let x = at.float(0);
                at.out(0).iter_mut().zip(x).for_each(|(y, x)| *y = x + x);
            }
        }
    }
}

/// Runs a step with an update that uses `Twice` in lockstep; returns the report and the line on which the op is
/// applied.
fn step(from: usize) -> (Lockstep, u32) {
    let params = Params::seeded(0);
    let w = params.variable("w", [4], Kind::Parameter, Init::Uniform(-1.0, 1.0));
    let counter = params.counter("steps");
    let before = w.value().expect("on the host");
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [4], DType::F32);
    let value = graph.variable(&w);
    let scope = graph.scope("head");
    let twice = graph.apply(Twice { from, runs: AtomicUsize::new(0) }, &[&(&value * &x)]).get(0);
    let line = line!() - 1;
    drop(scope);
    let loss = (&twice * &twice).sum_keep(&[0]);
    let gradient = gradients(&loss, std::slice::from_ref(&value)).remove(0).expect("the loss depends on it");
    graph.update(&w, &(&value - gradient * 0.1));
    graph.advance(&counter);
    let mut session = Session::new(CpuBackend::<f32>::new(), &params).expect("names are unique");
    let feed = Array::vector(vec![0.3f32, -1.7, 2.1, 0.9]);
    let report = session.lockstep(&graph, &[&loss], &[(&x, &feed)]).expect("runs");
    assert_eq!((w.value().expect("on the host"), counter.get()), (before, 0), "the state is restored");
    (report, line)
}

#[test]
fn a_right_step_passes() {
    let (report, _) = step(usize::MAX);
    assert!(report.passes(), "{report}");
    assert_eq!(report.fused.iter().map(|result| result.name.as_str()).collect::<Vec<_>>(), ["sum", "w"]);
    assert!(report.nodes.len() > 5 && report.nodes.iter().all(|node| node.worst.is_some()));
    assert!(report.to_string().contains("are within their bounds"), "{report}");
}

#[test]
fn only_the_faulty_node_is_named() {
    let (report, line) = step(0);
    let failing: Vec<_> = report.nodes.iter().filter(|node| node.fails()).map(|node| node.name.as_str()).collect();
    assert_eq!(failing, ["twice"]);
    let node = report.first_failure().expect("it fails");
    assert_eq!((node.index.as_slice(), node.site.location.line()), (&[2][..], line));
    assert_eq!(node.causes[0].name, "mul");
    let text = report.to_string();
    assert!(text.contains("`twice` fails, the first of"), "{text}");
    assert!(text.contains(&format!("lockstep_tests.rs:{line} (in head)")), "{text}");
    assert!(!report.passes() && !report.only_fused());
}

#[test]
fn a_fault_of_the_fused_step_is_reported() {
    // The op runs twice: first as a single node, then in the fused step.
    let (report, _) = step(1);
    assert!(report.only_fused() && !report.passes(), "{report}");
    assert!(report.to_string().contains("only when fused"), "{report}");
}

#[test]
fn long_and_cancelling_sums_are_within_bounds() {
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [300, 400], DType::F32);
    let mean = x.sum_keep(&[0]) * (1.0 / 300.0);
    let centred = &x - mean;
    let y = (&centred * &centred).sum_keep(&[0, 1]);
    let mut stream = crate::Stream::named(3, "x");
    let values = (0..300 * 400).map(|_| 100.0 + stream.normal() as f32).collect::<Vec<f32>>();
    let array = Array::new([300, 400], values).expect("as many");
    let mut session = Session::new(CpuBackend::<f32>::new(), &Params::default()).expect("no names");
    let report = session.lockstep(&graph, &[&y], &[(&x, &array)]).expect("runs");
    assert!(report.passes(), "{report}");
}

#[test]
fn no_element_of_many_fails_by_chance() {
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [40_000, 30], DType::F32);
    let w = graph.input("w", [30], DType::F32);
    let y = (&x * &w).sum_keep(&[1]);
    let mut stream = crate::Stream::named(4, "x");
    let mut normal = |count: usize| (0..count).map(|_| stream.normal() as f32).collect::<Vec<f32>>();
    let (xs, ws) = (Array::new([40_000, 30], normal(40_000 * 30)).expect("as many"), Array::vector(normal(30)));
    let mut session = Session::new(CpuBackend::<f32>::new(), &Params::default()).expect("no names");
    let report = session.lockstep(&graph, &[&y], &[(&x, &xs), (&w, &ws)]).expect("runs");
    assert!(report.passes(), "{report}");
}

#[test]
fn a_missing_feed_is_an_error() {
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [2], DType::F32);
    let mut session = Session::new(CpuBackend::<f32>::new(), &Params::default()).expect("no names");
    let error = session.lockstep(&graph, &[&(&x + 1.0)], &[]).unwrap_err();
    assert_eq!(error.to_string(), "input `x` (f32[2]) was not fed");
}

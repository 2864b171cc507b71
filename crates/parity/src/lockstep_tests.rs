//! Every case node by node in lockstep, and its gradients in an audit: both take what an op says of its own exactness, which
//! a case does not.

use wgrad_core::{Array, CpuBackend, Graph, Init, Kind, Mode, Params, Session, Tensor, Verdict, audit};

use crate::case::Case;
use crate::cases::all;
use crate::run::Trace;

/// Cases whose inputs have so few elements that all of them are quick.
fn small() -> impl Iterator<Item = Case> {
    let elements = |case: &Case| case.inputs.iter().map(|(shape, _)| shape.iter().product::<usize>()).sum::<usize>();
    all().into_iter().filter(move |case| elements(case) < 1500)
}

#[test]
fn every_node_of_every_case_keeps_the_bound_of_its_op() {
    for case in small() {
        let trace = Trace::new(&case).expect("the case fits");
        let feed = trace.feed(&case, 7).expect("the draws fit");
        let mut session = Session::new(CpuBackend::<f32>::new(), &Params::default()).expect("no names");
        let fetches = trace.fetches();
        let cotangents = trace.cotangents.iter().zip(&feed.cotangents);
        let cotangents = cotangents.filter_map(|(t, a)| t.as_ref().zip(a.as_ref()));
        let feeds: Vec<(&Tensor, &Array)> = trace.inputs.iter().zip(&feed.inputs).chain(cotangents).collect();
        let report = session.lockstep(&trace.graph, &fetches, &feeds).expect("it runs");
        assert!(report.passes(), "{case:?}: {report}");
    }
}

#[test]
fn an_audit_calls_no_right_rule_wrong() {
    for case in small().filter(|case| case.smooth) {
        let trace = Trace::new(&case).expect("the case fits");
        let feed = trace.feed(&case, 7).expect("the draws fit");
        let params = Params::seeded(0);
        let graph = Graph::new(Mode::Train);
        let mut inputs = vec![];
        for (i, array) in feed.inputs.iter().enumerate() {
            inputs.push(if array.dtype().is_float() && !case.constants.contains(&i) {
                let name = format!("x{i}");
                let variable = params.variable(&name, array.shape(), Kind::Parameter, Init::Constant(0.0));
                variable.set(array.clone()).expect("it has this shape");
                graph.variable(&variable)
            } else {
                graph.array(array.clone())
            });
        }
        let mut loss = graph.constant(0.0);
        for (y, cotangent) in (case.build)(&inputs).iter().zip(&feed.cotangents) {
            if let Some(cotangent) = cotangent {
                let axes: Vec<usize> = (0..y.shape().rank()).collect();
                loss = loss + (y * &graph.array(cotangent.clone())).sum_keep(&axes).reshape_to([]);
            }
        }
        let report = audit(&loss, &[]).expect("it runs");
        let wrong = report.parameters.iter().any(|parameter| parameter.verdict == Verdict::Disagrees);
        assert!(!wrong && report.ops.is_empty(), "{case:?}: {report}");
    }
}

//! Every case node by node in lockstep, which takes what an op says of its own exactness, and not what the case says.

use wgrad_core::{Array, CpuBackend, Params, Session, Tensor};

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

//! Tests, node by node, that every value of every case is within the error bound that its op declares.

use wgrad_core::{CpuBackend, Params, Session};

use crate::case::Case;
use crate::cases::all;
use crate::trace::Trace;

/// Returns the cases whose inputs are small enough to run quickly.
fn small() -> impl Iterator<Item = Case> {
    let elements = |case: &Case| case.inputs.iter().map(|(shape, _)| shape.iter().product::<usize>()).sum::<usize>();
    all().into_iter().filter(move |case| elements(case) < 1500)
}

#[test]
fn every_node_of_every_case_keeps_the_bound_of_its_op() {
    for case in small() {
        let trace = Trace::new(&case).expect("the case fits");
        let feed = trace.feed(&case, 7).expect("the draws fit");
        let mut session =
            Session::new(CpuBackend::<f32>::new(), &Params::default()).expect("a session without variables");
        let fetches = trace.fetches();
        let feeds = trace.feeds(&feed);
        let report = session.lockstep(&trace.graph, &fetches, &feeds).expect("it runs");
        assert!(report.passes(), "{case:?}: {report}");
    }
}

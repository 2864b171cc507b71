//! Tests of the search for non-finite values, on graphs with infinities and NaNs.

use super::*;
use crate::{CpuBackend, DType, Init, Kind, Mode, Params};

fn session(params: &Params) -> Session {
    Session::new(CpuBackend::<f32>::new(), params).expect("names are unique")
}

#[test]
fn non_finite_values_are_found_by_their_bits() {
    let at = |values: Vec<f32>| first_non_finite_element(&Array::vector(values));
    assert_eq!(at(vec![0.0, f32::MAX, f32::MIN_POSITIVE, -0.0]), None);
    assert_eq!(at(vec![1.0, f32::NEG_INFINITY]), Some(1));
    assert_eq!(at(vec![f32::from_bits(0x7f80_0001), 0.0]), Some(0));
    assert_eq!(first_non_finite_element(&Array::vector(vec![f64::MAX, f64::NAN])), Some(1));
    assert_eq!(first_non_finite_element(&Array::vector(vec![u32::MAX])), None);
}

#[test]
fn the_node_is_named_with_line_scope_and_inputs() {
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [2, 2], DType::F32);
    let scope = graph.scope("head");
    let ratio = &x / (&x - 2.0);
    let line = line!() - 1;
    drop(scope);
    let y = ratio * 3.0;
    let array = Array::new([2, 2], vec![1f32, 4.0, 2.0, 8.0]).expect("four");
    let found = session(&Params::default()).first_non_finite(&graph, &[&y], &[(&x, &array)]);
    let found = found.expect("runs").expect("a division by zero");
    assert_eq!((found.index.as_slice(), found.value, found.given), (&[1, 0][..], f64::INFINITY, false));
    assert_eq!(
        found.to_string(),
        format!(
            "div(f32[2, 2], f32[2, 2]) gives inf at [1, 0]\n    of x: 2.0 there, 1.0 to 8.0\n    of sub: 0.0 there, -1.0 \
             to 6.0\n  at crates/core/src/verify/non_finite_tests.rs:{line} (in head)"
        )
    );
}

#[test]
fn an_unused_infinity_is_not_reported() {
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [2], DType::F32);
    // An infinite value that is not used.
    let _ = &x / 0.0;
    let y = &x * 2.0;
    let array = Array::vector(vec![1f32, 2.0]);
    let mut session = session(&Params::default());
    assert!(session.first_non_finite(&graph, &[&y], &[(&x, &array)]).expect("runs").is_none());
    // A NaN that was fed is reported as an input.
    let array = Array::vector(vec![1f32, f32::NAN]);
    let found = session.first_non_finite(&graph, &[&y], &[(&x, &array)]).expect("runs").expect("NaN was fed");
    assert!(found.to_string().starts_with("`x` has NaN at [1] before the step\n  at "), "{found}");
    // A missing feed is an error, not a panic.
    assert!(session.first_non_finite(&graph, &[&y], &[]).is_err());
}

#[test]
fn updates_are_checked_and_state_is_unchanged() {
    let params = Params::seeded(0);
    let w = params.variable("w", [2], Kind::Parameter, Init::Constant(1e30));
    let counter = params.counter("steps");
    let graph = Graph::new(Mode::Train);
    let value = graph.variable(&w);
    let loss = &value * 2.0;
    graph.update(&w, &(&value * &value));
    graph.advance(&counter);
    let mut session = session(&params);
    let found = session.first_non_finite(&graph, &[&loss], &[]).expect("runs").expect("the update overflows");
    assert_eq!((found.name.as_str(), found.causes[0].name.as_str()), ("mul", "w"));
    assert_eq!((w.value().expect("on the host").to_f32(), counter.get()), (vec![1e30; 2], 0));
}

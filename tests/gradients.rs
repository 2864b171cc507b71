//! Every gradient rule against central differences in `f64`, along random directions, under random cotangents.

use wgrad::parity::{self, Mill};

#[test]
fn rules_agree_with_central_differences() {
    let mut checked = 0;
    let mut failures = vec![];
    for case in parity::all() {
        let slopes = Mill::new(&case).and_then(|mill| mill.check_gradients());
        let slopes = slopes.unwrap_or_else(|error| panic!("{}: {error}", case.name()));
        checked += slopes.len();
        let wrong = slopes.iter().filter(|slope| !slope.passed());
        failures.extend(wrong.map(|slope| format!("{}: {slope}", case.name())));
    }
    println!("{checked} directional derivatives");
    assert!(checked > 200, "the table shrank to {checked}");
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

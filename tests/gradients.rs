//! Test that compares the gradient rule of every op with finite differences in `f64`, along random directions and
//! with random output gradients. The ops come from the parity cases (the shared test cases of all kernels). Each
//! op is compared as a part of its case and alone.

use std::collections::BTreeSet;

use wgrad_parity as parity;

/// Largest number of input elements of a case. Larger cases take longer and do not test a rule better.
const LARGE: usize = 40_000;

#[test]
fn rules_agree_with_finite_differences() {
    let (mut cases, mut large, mut ops, mut kinks, mut unknown) = (0, 0, 0, 0, 0);
    let (mut estimated, mut failures) = (BTreeSet::new(), vec![]);
    for case in parity::all() {
        if case.elements() > LARGE {
            large += 1;
            continue;
        }
        let audit = case.check_gradients().unwrap_or_else(|error| panic!("{}: {error}", case.name()));
        let Some(audit) = audit else { continue };
        (cases, ops, kinks, unknown) = (cases + 1, ops + audit.checked, kinks + audit.kinks, unknown + audit.unknown);
        estimated.extend(audit.estimated.iter().map(|op| op.name.clone()));
        if !audit.passes() {
            failures.push(format!("{}: {audit}", case.name()));
        }
    }
    println!("{cases} cases ({large} are too large) of {ops} ops: {kinks} at kinks, {unknown} not measurable");
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    assert!(cases > 500 && ops > 3000, "the table shrank to {cases} cases of {ops} ops");
    // Most ops must be comparable, so that ops with wrong rules cannot all be counted as not measurable.
    assert!(unknown < 10 && kinks < 100, "{unknown} ops are not measurable, {kinks} at kinks");
    assert_eq!(estimated, BTreeSet::from(["sign_ste".to_string()]));
}

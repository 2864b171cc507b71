//! Every gradient rule of the table of cases, audited: held to finite differences in `f64`, along random directions, under
//! random cotangents, as part of its case and by itself.

use wgrad::parity;

/// Elements of all inputs of a case; larger ones say nothing new about a rule and take long.
const LARGE: usize = 40_000;

#[test]
fn rules_agree_with_finite_differences() {
    let (mut cases, mut large, mut ops, mut kinks, mut estimated, mut unknown) = (0, 0, 0, 0, 0, 0);
    let mut failures = vec![];
    for case in parity::all() {
        if case.elements() > LARGE {
            large += 1;
            continue;
        }
        let start = std::time::Instant::now();
        match case.check_gradients() {
            Ok(None) => {}
            Ok(Some(audit)) => {
                cases += 1;
                ops += audit.checked;
                kinks += audit.kinks;
                unknown += audit.unknown;
                estimated += audit.estimated.len();
                if !audit.passes() {
                    failures.push(format!("{}: {audit}", case.name()));
                }
                if audit.unknown > 0 || audit.parameters.iter().any(|x| matches!(x.verdict, wgrad::core::Verdict::Unknown)) {
                    println!("UNKNOWN {}: {audit}", case.name());
                }
            }
            Err(error) => failures.push(format!("{}: {error}", case.name())),
        }
        let time = start.elapsed().as_secs_f64();
        if time > 0.1 { println!("SLOW {time:.2} {} {}", case.name(), case.elements()); }
    }
    println!(
        "{cases} cases ({large} are too large), {ops} ops: {kinks} at kinks, {estimated} estimated, {unknown} not measurable"
    );
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    assert!(cases > 200 && ops > 1000, "the table shrank to {cases} cases of {ops} ops");
}

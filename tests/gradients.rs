//! Every gradient rule against central differences in `f64`, along random directions, under random cotangents.

mod common;

use common::{cases, run};
use wgrad::core::{Array, CpuBackend, DType, Stream};

/// `(f(x + h·v) − f(x − h·v)) / 2h` at steps `h` and `h/2`, extrapolated: its error is of fourth order in `h`.
const STEP: f64 = 1e-4;

#[test]
fn rules_agree_with_central_differences() {
    let mut checked = 0;
    let mut failures = vec![];
    for case in cases::all().iter().filter(|case| case.smooth && !case.gradients.is_empty()) {
        let feed = run::feed(case);
        // Cotangents of absent outputs are none, and integers have no gradient.
        if feed.cotangents.iter().all(Option::is_none) || feed.inputs.iter().all(|x| x.dtype() == DType::U32) {
            continue;
        }
        let (results, outputs) = run::run(case, CpuBackend::<f64>::new(), &feed);
        let mut gradients = results[outputs..].iter();
        let mut stream = Stream::named(13, &case.name);
        for (i, x) in feed.inputs.iter().enumerate().filter(|(_, x)| x.dtype() != DType::U32) {
            let Some(gradient) = gradients.next().filter(|_| !case.constants.contains(&i)) else { continue };
            for _ in 0..2 {
                let direction: Vec<f64> = (0..x.shape().numel()).map(|_| stream.normal()).collect();
                let objective = |h: f64| {
                    let moved = x.to_f64().iter().zip(&direction).map(|(x, v)| x + h * v).collect();
                    let mut inputs = feed.inputs.clone();
                    inputs[i] = Array::new::<f64>(x.shape(), moved).expect("as many as before");
                    let moved = run::Feed { inputs, cotangents: feed.cotangents.clone() };
                    let (results, _) = run::run(case, CpuBackend::<f64>::new(), &moved);
                    let weighted = results.iter().zip(&feed.cotangents).filter_map(|(y, c)| Some((y, c.as_ref()?)));
                    weighted
                        .map(|(y, c)| y.to_f64().iter().zip(c.to_f64()).map(|(y, c)| y * c).sum::<f64>())
                        .sum::<f64>()
                };
                let slope = |h: f64| (objective(h) - objective(-h)) / (2.0 * h);
                let numeric = (4.0 * slope(STEP / 2.0) - slope(STEP)) / 3.0;
                let terms = gradient.to_f64().into_iter().zip(&direction).map(|(g, v)| g * v);
                let (analytic, size) = terms.fold((0.0, 0.0f64), |(sum, size), term| (sum + term, size + term.abs()));
                let tolerance = 1e-6 * size + 1e-8;
                let error = (numeric - analytic).abs();
                if error.is_nan() || error > tolerance {
                    failures.push(format!("{}: input {i}: rule {analytic:e}, differences {numeric:e}", case.name));
                }
                checked += 1;
            }
        }
    }
    println!("{checked} directional derivatives");
    assert!(checked > 200, "the table shrank to {checked}");
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

//! Tests of the audit: graphs whose gradients are right, wrong, at a kink, dead or missing.

use super::*;
use crate::{DType, Graph, Init, Mode, Pointwise, gradients, pointwise};

pointwise! {
    ABSOLUTE = absolute(x: float)[] -> float {
        wgsl: "abs(x)",
        reference<F>: x.abs(),
        backward(grad): { x: grad * x / x.pointwise(&ABSOLUTE, &[], &[]) },
    }
}

pointwise! {
    RAMP = ramp(x: float)[] -> float {
        wgsl: "max(x, 0.0)",
        reference<F>: if x > F::zero() { x } else { F::zero() },
        backward(grad, out): { x: out.pointwise(&PASS, &[grad], &[]) },
    }
}

pointwise! {
    PASS = pass(y: float, dy: float)[] -> float {
        wgsl: "select(0.0, dy, y > 0.0)",
        reference<F>: if y > F::zero() { dy } else { F::zero() },
        backward: none,
    }
}

pointwise! {
    WRONG_SIGN = wrong_sign(x: float)[] -> float {
        wgsl: "x * x",
        reference<F>: x * x,
        backward(grad): { x: grad * x * -2.0 },
    }
}

pointwise! {
    DROPPED = dropped(x: float)[] -> float {
        wgsl: "x * x",
        reference<F>: x * x,
        // This rule ignores the cotangent: it is right only as the last node of a graph, where the cotangent is 1.
        backward(grad): { x: x * 2.0 },
    }
}

pointwise! {
    // A ramp whose gradient rule returns, at 0, a value that is not between the one-sided derivatives.
    STEEP = steep(x: float)[] -> float {
        wgsl: "max(x, 0.0)",
        reference<F>: if x > F::zero() { x } else { F::zero() },
        backward(grad): { x: x.pointwise(&STEEP_PASS, &[grad], &[]) },
    }
}

pointwise! {
    STEEP_PASS = steep_pass(x: float, dy: float)[] -> float {
        wgsl: "select(select(0.0, dy, x > 0.0), 5.0 * dy, x == 0.0)",
        reference<F>: if x > F::zero() { dy } else if x == F::zero() { F::lit(5.0) * dy } else { F::zero() },
        backward: none,
    }
}

pointwise! {
    // A smooth function whose gradient rule is wrong only at 0.
    ISOLATED = isolated(x: float)[] -> float {
        wgsl: "x",
        reference<F>: x,
        backward(grad): { x: x.pointwise(&ISOLATED_PASS, &[grad], &[]) },
    }
}

pointwise! {
    ISOLATED_PASS = isolated_pass(x: float, dy: float)[] -> float {
        wgsl: "select(dy, 2.0 * dy, x == 0.0)",
        reference<F>: if x == F::zero() { F::lit(2.0) * dy } else { dy },
        backward: none,
    }
}

pointwise! {
    STRAIGHT = straight(x: float)[] -> float {
        wgsl: "select(-1.0, 1.0, x >= 0.0)",
        reference<F>: if x >= F::zero() { F::one() } else { -F::one() },
        estimated: true,
        backward(grad): { x: grad.clone() },
    }
}

/// Op with outputs `x²` and `x³`; the gradient of the second is multiplied by `factor`.
#[derive(Debug)]
struct Powers {
    factor: f64,
    estimated: bool,
}

impl Powers {
    fn run<F: crate::Real>(mut at: crate::Buffers<'_, F>) {
        let x = at.float(0);
        for (k, power) in [2, 3].into_iter().enumerate() {
            at.out(k).iter_mut().zip(x).for_each(|(y, &x)| *y = if power == 2 { x * x } else { x * x * x });
        }
    }
}

impl crate::Op for Powers {
    fn name(&self) -> &'static str {
        "powers"
    }

    fn outputs(&self, inputs: &[crate::Spec]) -> Result<Vec<crate::Spec>, crate::InvalidArgument> {
        Ok(vec![inputs[0].clone(), inputs[0].clone()])
    }

    fn backward(&self, at: &mut crate::Backward) {
        at.give_with(0, |at| {
            let x = at.input(0);
            let square = at.cotangent(0).map(|dy| dy * x * 2.0);
            let cube = at.cotangent(1).map(|dy| dy * x * x * (3.0 * self.factor));
            square.into_iter().chain(cube).reduce(|a, b| a + b).expect("a cotangent arrived")
        });
    }

    fn estimated(&self) -> bool {
        self.estimated
    }

    fn reference(&self, at: crate::Reference<'_>) {
        crate::both!(at, buffers => Self::run(buffers));
    }
}

fn unary(row: &'static Pointwise) -> impl Fn(&Tensor) -> Tensor {
    move |x| x.pointwise(row, &[], &[])
}

/// Audits the sum of squares of `f(x·w)·3 + b`, where all weights have the value `w`.
fn audited(w: f64, f: impl Fn(&Tensor) -> Tensor) -> Audit {
    let params = Params::seeded(0);
    let weight = params.variable("w", [5], Kind::Parameter, Init::Constant(w));
    let bias = params.variable("b", [5], Kind::Parameter, Init::Uniform(-1.0, 1.0));
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [5], DType::F32);
    let y = f(&(graph.variable(&weight) * &x)) * 3.0 + graph.variable(&bias);
    let loss = (&y * &y).sum_keep(&[0]).reshape([]);
    let array = Array::vector(vec![0.5f32, -1.5, 2.0, 0.7, 1.1]);
    let nodes = graph.data().nodes.len();
    let report = audit(&loss, &[(&x, &array)]).expect("runs");
    assert_eq!(graph.data().nodes.len(), nodes, "the graph stays as it is");
    report
}

fn verdicts(report: &Audit) -> Vec<GradientVerdict> {
    report.parameters.iter().map(|parameter| parameter.verdict).collect()
}

#[test]
fn right_gradients_agree() {
    for report in [audited(0.8, |x| x * x), audited(0.8, unary(&ABSOLUTE)), audited(-1.1, unary(&RAMP))] {
        assert!(report.passes(), "{report}");
        assert_eq!(verdicts(&report), [GradientVerdict::Agrees; 2]);
        assert!(report.checked >= 4 && report.non_finite.is_none());
    }
}

#[test]
fn a_wrong_rule_is_named_with_line_and_parameters() {
    for (row, name) in [(&WRONG_SIGN, "wrong_sign"), (&DROPPED, "dropped")] {
        let report = audited(0.8, unary(row));
        assert_eq!(verdicts(&report), [GradientVerdict::Disagrees, GradientVerdict::Agrees], "{report}");
        assert_eq!(report.ops.len(), 1, "{report}");
        assert_eq!((report.ops[0].name.as_str(), report.ops[0].input), (name, 0));
        assert!(!report.passes());
        let text = report.to_string();
        assert!(text.contains(&format!("the gradient rule of `{name}` is wrong for its input 0")), "{text}");
        assert!(text.contains("audit/tests.rs:"), "{text}");
    }
}

#[test]
fn a_kink_is_not_called_wrong() {
    let report = audited(0.0, unary(&RAMP));
    assert_eq!(verdicts(&report), [GradientVerdict::Kink, GradientVerdict::Agrees], "{report}");
    assert!(report.passes() && report.parameters[0].is_dead());
    assert!(report.parameters[0].zeros > 0.999);
    assert!(report.to_string().contains("at a kink, dead"), "{report}");
}

#[test]
fn a_kink_hides_no_wrong_gradient() {
    for (row, name) in [(&STEEP, "steep"), (&ISOLATED, "isolated")] {
        assert!(audited(0.4, unary(row)).passes());
        let report = audited(0.0, unary(row));
        assert!(!report.passes());
        assert_eq!(report.ops.iter().map(|op| op.name.as_str()).collect::<Vec<_>>(), [name], "{report}");
    }
}

#[test]
fn an_estimate_is_listed_but_not_compared() {
    let report = audited(0.8, unary(&STRAIGHT));
    assert!(report.passes(), "{report}");
    assert_eq!(verdicts(&report), [GradientVerdict::Estimated, GradientVerdict::Agrees]);
    assert_eq!(report.estimated.iter().map(|op| op.name.as_str()).collect::<Vec<_>>(), ["straight"]);
    let text = report.to_string();
    assert!(text.starts_with("gradients of 1 of 2 parameters and "), "{text}");
    assert!(
        text.contains("the gradient of `straight` is an estimate by design") && text.contains("tests.rs:"),
        "{text}"
    );
    let powers = |factor, estimated| {
        audited(0.8, move |x| {
            let both = x.graph().apply(Powers { factor, estimated }, &[x]);
            both.get(0) + both.get(1)
        })
    };
    assert_eq!(verdicts(&powers(1.5, true)), [GradientVerdict::Estimated, GradientVerdict::Agrees]);
    // The gradient of every output that the loss reads is checked.
    assert!(powers(1.0, false).passes());
    let wrong = powers(1.5, false);
    assert_eq!(wrong.ops.len(), 1, "{wrong}");
}

#[test]
fn a_gradient_that_is_not_a_number_is_named() {
    let report = audited(0.0, unary(&ABSOLUTE));
    assert!(report.loss.is_finite() && !report.passes(), "{report}");
    assert_eq!(report.non_finite.as_ref().map(|found| found.name.as_str()), Some("div"), "{report}");
    assert!(report.to_string().starts_with("not finite: gradients of 1 of 2 parameters"), "{report}");
    assert!(report.to_string().contains("not finite: the gradient has an infinity or NaN"), "{report}");
}

#[test]
fn many_parameters_are_moved_in_sets() {
    let report = |wrong: Option<usize>| {
        let (params, graph) = (Params::seeded(0), Graph::new(Mode::Train));
        let terms = (0..40).map(|i| {
            let w = params.variable(&format!("w{i}"), [3], Kind::Parameter, Init::Uniform(0.5, 1.0));
            let w = graph.variable(&w);
            let square = if wrong == Some(i) { w.pointwise(&WRONG_SIGN, &[], &[]) } else { &w * &w };
            square.sum_keep(&[0]).reshape([])
        });
        audit(&terms.reduce(|a, b| a + b).expect("forty"), &[]).expect("runs")
    };
    let right = report(None);
    assert!(right.passes() && right.parameters.iter().all(|w| w.verdict == GradientVerdict::Agrees), "{right}");
    assert!(right.parameters[..39].iter().all(|w| w.moved == 3) && right.parameters[39].moved == 1);
    let wrong = report(Some(20));
    assert_eq!(wrong.wrong().map(|w| (w.name.as_str(), w.moved)).collect::<Vec<_>>(), [("w20", 1)], "{wrong}");
    assert_eq!(wrong.parameters[19].moved, 1, "it was moved with w20");
}

#[test]
fn detached_values_are_kept_constant() {
    let report = audited(0.8, |x| x * x.detach());
    assert!(report.passes(), "{report}");
}

#[test]
fn silent_units_and_missing_gradients_are_reported() {
    let params = Params::seeded(0);
    let w = params.variable("w", [3], Kind::Parameter, Init::Uniform(0.5, 1.0));
    let unused = params.variable("lost", [2], Kind::Parameter, Init::Constant(1.0));
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [2, 3], DType::F32);
    let weight = graph.variable(&w);
    let _ = graph.variable(&unused);
    let y = (&x * &weight).pointwise(&RAMP, &[], &[]);
    let loss = y.sum_keep(&[0, 1]).reshape([]);
    let gradient = gradients(&loss, std::slice::from_ref(&weight)).remove(0).expect("it depends");
    graph.update(&w, &(&weight - gradient * 0.01));
    let array = Array::new([2, 3], vec![1f32, -2.0, 3.0, 2.0, -1.0, 1.0]).expect("six");
    let report = audit(&loss, &[(&x, &array)]).expect("runs");
    assert!(report.passes(), "{report}");
    assert_eq!(report.without_gradient, ["lost"]);
    assert_eq!((report.silent[0].units, report.silent[0].of), (1, 3));
    assert!(report.parameters[0].update.is_some_and(|update| update > 0.001 && update < 0.1), "{report}");
    assert!((report.parameters[0].zeros - 1.0 / 3.0).abs() < 1e-12);
}

#[test]
fn a_loss_needs_one_element() {
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [2], DType::F32);
    let error = audit(&(&x * 2.0), &[(&x, &Array::vector(vec![1f32, 2.0]))]).unwrap_err();
    assert!(error.to_string().starts_with("an audit is of one number, not of f32[2]"), "{error}");
}

#[test]
fn a_non_finite_value_is_named() {
    let report = audited(1e30, |x| x * x);
    assert!(!report.passes());
    assert_eq!(report.non_finite.as_ref().map(|found| found.name.as_str()), Some("mul"), "{report}");
}

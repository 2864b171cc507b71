//! Tests of the gradient rules against central differences in f64, with a random cotangent.

use wgrad_core::ops::*;
use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session, Shape, Stream, Tensor, vjp};

type Build = fn(&[Tensor]) -> Tensor;

/// Test case: the op's name, the shapes of the inputs, the range of the inputs' values, and a function that
/// applies the op.
type Case = (&'static str, &'static [&'static [usize]], (f64, f64), Build);

/// Test cases at values where the ops are smooth; kinks are tested separately.
const CASES: &[Case] = &[
    ("exp", &[&[7]], (-3.0, 3.0), |x| x[0].exp()),
    ("log", &[&[7]], (0.1, 3.0), |x| x[0].log()),
    ("log1p", &[&[7]], (-0.9, 3.0), |x| x[0].log1p()),
    ("sqrt", &[&[7]], (0.1, 3.0), |x| x[0].sqrt()),
    ("rsqrt", &[&[7]], (0.1, 3.0), |x| x[0].rsqrt()),
    ("recip", &[&[7]], (0.1, 3.0), |x| x[0].reciprocal()),
    ("square", &[&[7]], (-3.0, 3.0), |x| x[0].square()),
    ("abs", &[&[7]], (-3.0, 3.0), |x| x[0].abs()),
    ("sign, floor", &[&[7]], (0.1, 0.9), |x| x[0].sign() + x[0].floor() + &x[0]),
    ("erf", &[&[7]], (-3.0, 3.0), |x| x[0].erf()),
    ("powf(3)", &[&[7]], (-3.0, 3.0), |x| x[0].pow(3.0)),
    ("powf(2.5)", &[&[7]], (0.1, 3.0), |x| x[0].pow(2.5)),
    ("powf(0)", &[&[7]], (-3.0, 3.0), |x| x[0].pow(0.0)),
    ("powf(-1), powf(0.5)", &[&[7]], (0.1, 3.0), |x| x[0].pow(-1.0) * x[0].pow(0.5) + x[0].pow(-0.5)),
    ("pow", &[&[4, 3], &[3]], (0.1, 3.0), |x| x[0].pow(&x[1])),
    ("minimum", &[&[4, 3], &[3]], (-3.0, 3.0), |x| x[0].minimum(&x[1])),
    ("maximum", &[&[4, 3], &[4, 1]], (-3.0, 3.0), |x| x[0].maximum(&x[1])),
    ("clamp", &[&[20]], (-3.0, 3.0), |x| x[0].clamp(-1.0, 2.0)),
    ("relu", &[&[20]], (-3.0, 3.0), |x| x[0].relu()),
    ("leaky_relu", &[&[20]], (-3.0, 3.0), |x| x[0].leaky_relu(0.1)),
    ("leaky_relu down", &[&[20]], (-3.0, 3.0), |x| x[0].leaky_relu(-0.1)),
    ("sigmoid", &[&[20]], (-9.0, 9.0), |x| x[0].sigmoid()),
    ("tanh", &[&[20]], (-9.0, 9.0), |x| x[0].tanh()),
    ("softplus", &[&[20]], (-9.0, 9.0), |x| x[0].softplus()),
    ("log_sigmoid", &[&[20]], (-9.0, 9.0), |x| x[0].log_sigmoid()),
    ("silu", &[&[20]], (-9.0, 9.0), |x| x[0].silu()),
    ("gelu", &[&[20]], (-5.0, 5.0), |x| x[0].gelu()),
    ("gelu_tanh", &[&[20]], (-9.0, 9.0), |x| x[0].gelu_tanh()),
    ("select", &[&[20], &[20]], (-3.0, 3.0), |x| x[0].gt(&x[1]).where_cond(x[0].square(), &x[1])),
    ("masks", &[&[20], &[20]], (-3.0, 3.0), |x| x[0].le(&x[1]).to_f32() * &x[0]),
    ("dropout", &[&[40]], (-3.0, 3.0), |x| x[0].dropout(0.4, [7, 8], 9, &x[0].graph().constant_u32(3)) * &x[0]),
    ("permute", &[&[2, 3, 4]], (-3.0, 3.0), |x| x[0].permute(&[2, 0, -2])),
    ("transpose", &[&[2, 3, 4]], (-3.0, 3.0), |x| x[0].transpose(0, -1) * x[0].transpose(-1, 0)),
    ("t", &[&[2, 3]], (-3.0, 3.0), |x| x[0].t()),
    ("slice", &[&[2, 5, 3]], (-3.0, 3.0), |x| x[0].slice(1, 1..3) * x[0].slice(1, 3..=4)),
    ("pad", &[&[2, 3, 2]], (-3.0, 3.0), |x| x[0].pad(1, 2, 1) + x[0].pad(-2, 0, 3)),
    ("reshape", &[&[2, 6]], (-3.0, 3.0), |x| x[0].reshape([3, 4]).unsqueeze(1).flatten(1).unsqueeze(-1).squeeze(2)),
    ("expand", &[&[3, 1]], (-3.0, 3.0), |x| x[0].expand([2, 3, 4])),
    ("sum, mean", &[&[2, 3]], (-3.0, 3.0), |x| x[0].sum_all() * x[0].mean_all()),
    ("sum_axes", &[&[2, 3, 4]], (-3.0, 3.0), |x| x[0].sum([-1, 0]) * x[0].mean([2])),
    ("var", &[&[2, 3, 4]], (-3.0, 3.0), |x| x[0].var_keepdim([0, 2], 1) * x[0].var_keepdim([1], 0)),
    ("max, min", &[&[2, 3]], (-3.0, 3.0), |x| x[0].max_all() * x[0].min_all()),
    ("max_axes", &[&[2, 3, 4]], (-3.0, 3.0), |x| x[0].amax_keepdim([1]) * x[0].amin_keepdim([0, 2])),
    ("gather_rows", &[&[4, 2, 3]], (-3.0, 3.0), |x| x[0].embedding(&integers(x, [2, 3], &[3, 0, 3, 1, 1, 3]))),
    ("concat", &[&[2, 3], &[2, 1], &[2, 2]], (-3.0, 3.0), |x| cat(&[&x[0], &x[1], &x[0], &x[2]], -1).square()),
];

/// Returns a constant tensor of integers.
fn integers(x: &[Tensor], shape: impl Into<Shape>, values: &[u32]) -> Tensor {
    x[0].graph().array(Array::new(shape, values.to_vec()).unwrap())
}

/// Computes the values of `fetches` in f64 with these feeds.
fn run(graph: &Graph, fetches: &[&Tensor], feeds: &[(&Tensor, &Array)]) -> Vec<Vec<f64>> {
    let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0)).unwrap();
    let step = session.compile(graph, fetches).unwrap_or_else(|error| panic!("{error}"));
    session.run(&step, feeds).unwrap().iter().map(Array::to_f64).collect()
}

/// Computes `Σ y·cotangent` for a random cotangent, and the gradients of this sum with respect to the inputs. `y`
/// is the result of `build` or, if `second` is true, that result's gradient with respect to the first input.
fn evaluate(build: Build, inputs: &[Array], second: bool) -> (f64, Vec<Vec<f64>>) {
    let graph = Graph::new(Mode::Train);
    let x: Vec<_> =
        (0..inputs.len()).map(|i| graph.input(format!("x{i}"), inputs[i].shape().clone(), DType::F32)).collect();
    let weigh = |y: &Tensor, seed: u64| {
        let mut stream = Stream::new(seed, 1);
        let values = (0..y.shape().numel()).map(|_| stream.normal()).collect::<Vec<f64>>();
        graph.array(Array::new(y.shape(), values).unwrap())
    };
    let mut y = build(&x);
    graph.check().unwrap_or_else(|error| panic!("{error}"));
    let mut cotangent = weigh(&y, 5);
    if second {
        let first = vjp(&[(&y, &cotangent)], &x).remove(0).expect("the result depends on the first input");
        (cotangent, y) = (weigh(&first, 6), first);
    }
    let scalar = (&y * &cotangent).sum_all();
    let gradients = vjp(&[(&y, &cotangent)], &x);
    graph.check().unwrap_or_else(|error| panic!("{error}"));
    let zero = graph.constant(0.0);
    let gradients: Vec<Tensor> =
        gradients.iter().zip(&x).map(|(dx, x)| dx.clone().unwrap_or_else(|| zero.expand(x.shape()))).collect();
    let fetches: Vec<&Tensor> = std::iter::once(&scalar).chain(&gradients).collect();
    let feeds: Vec<_> = x.iter().zip(inputs).collect();
    let mut results = run(&graph, &fetches, &feeds);
    (results.remove(0)[0], results)
}

fn check((name, shapes, (low, high), build): Case, second: bool) {
    let mut stream = Stream::named(1, name);
    let inputs: Vec<Vec<f64>> = shapes
        .iter()
        .map(|shape| (0..Shape::from(*shape).numel()).map(|_| low + (high - low) * stream.uniform()).collect())
        .collect();
    let arrays = |inputs: &[Vec<f64>]| -> Vec<Array> {
        inputs.iter().zip(shapes).map(|(values, shape)| Array::new(*shape, values.clone()).unwrap()).collect()
    };
    let (_, gradients) = evaluate(build, &arrays(&inputs), second);
    let h = 1e-5;
    for (i, gradient) in gradients.iter().enumerate() {
        for j in 0..gradient.len() {
            let moved = |by: f64| {
                let mut inputs = inputs.clone();
                inputs[i][j] += by;
                evaluate(build, &arrays(&inputs), second).0
            };
            let difference = (moved(h) - moved(-h)) / (2.0 * h);
            let error = (gradient[j] - difference).abs();
            let order = if second { "second" } else { "first" };
            assert!(
                error < 1e-6 * (1.0 + difference.abs()),
                "{name}, {order} order: the gradient of input {i} at {j} is {}, the difference {difference}",
                gradient[j]
            );
        }
    }
}

#[test]
fn gradients_are_those_of_central_differences() {
    for &case in CASES {
        check(case, false);
    }
}

#[test]
fn gradients_of_gradients_are_those_of_central_differences() {
    // `pow` has no second derivative with respect to its exponent.
    for &case in CASES.iter().filter(|case| case.0 != "pow") {
        check(case, true);
    }
}

/// Returns the gradient of `Σ y` for an op with one input, at the values `x`.
fn slopes(x: &[f64], build: Build) -> Vec<f64> {
    let graph = Graph::new(Mode::Train);
    let array = Array::vector(x.to_vec());
    let x = graph.input("x", array.shape().clone(), DType::F32);
    let y = build(std::slice::from_ref(&x));
    let ones = graph.constant(1.0).expand(y.shape());
    let dx = vjp(&[(&y, &ones)], std::slice::from_ref(&x)).remove(0).expect("a gradient");
    run(&graph, &[&dx], &[(&x, &array)]).remove(0)
}

#[test]
fn kinks_have_the_gradients_of_pytorch() {
    assert_eq!(slopes(&[-1.0, 0.0, 1.0], |x| x[0].relu()), [0.0, 0.0, 1.0]);
    assert_eq!(slopes(&[-1.0, 0.0, 1.0], |x| x[0].abs()), [-1.0, 0.0, 1.0]);
    assert_eq!(slopes(&[-1.0, 0.0, 1.0], |x| x[0].leaky_relu(0.5)), [0.5, 0.5, 1.0]);
    assert_eq!(slopes(&[-2.0, -1.0, 0.0, 1.0, 2.0], |x| x[0].clamp(-1.0, 1.0)), [0.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(slopes(&[0.0, 1.0, 2.0], |x| x[0].maximum(x[0].number(1.0))), [0.0, 0.5, 1.0]);
    assert_eq!(slopes(&[0.0, 1.0, 2.0], |x| x[0].minimum(x[0].number(1.0))), [1.0, 0.5, 0.0]);
    assert_eq!(slopes(&[3.0, 1.0, 3.0, 2.0], |x| x[0].max_all()), [0.5, 0.0, 0.5, 0.0]);
    assert_eq!(slopes(&[3.0, 1.0, 1.0, 2.0], |x| x[0].min_all()), [0.0, 0.5, 0.5, 0.0]);
    assert_eq!(slopes(&[0.0, 2.0], |x| x[0].pow(0.0)), [0.0, 0.0]);
    assert_eq!(slopes(&[0.0, -2.0], |x| x[0].pow(x[0].number(0.0))), [0.0, 0.0]);
    assert_eq!(slopes(&[0.0, 2.0], |x| x[0].number(0.0).pow(&x[0])), [0.0, 0.0]);
    // For a maximum over axes that are not adjacent, the gradient is divided among the ties over all these axes.
    let ties = |x: &[Tensor]| x[0].reshape([2, 1, 2]).amax([0, 2]);
    assert_eq!(slopes(&[5.0, 5.0, 5.0, 1.0], ties), [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.0]);
}

#[test]
fn nothing_overflows_at_extreme_inputs() {
    let x = [-1e30, -1000.0, -100.0, -15.0, 15.0, 100.0, 1000.0, 1e30];
    let functions: [Build; 7] = [
        |x| x[0].sigmoid(),
        |x| x[0].tanh(),
        |x| x[0].softplus(),
        |x| x[0].log_sigmoid(),
        |x| x[0].silu(),
        |x| x[0].gelu(),
        |x| x[0].gelu_tanh(),
    ];
    for build in functions {
        let slopes = slopes(&x, build);
        assert!(slopes.iter().all(|slope| (-0.01..=1.01).contains(slope)), "{slopes:?}");
    }
}

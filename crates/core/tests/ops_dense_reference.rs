//! Tests of matrix products, batch norm, softmax and the cross-entropies on the CPU in f64: values against
//! formulas, and gradient rules against central differences with a random cotangent.

#![allow(clippy::many_single_char_names, reason = "formulas as they are written")]

use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session, Spec, Tensor, vjp};

/// Returns numbers between −2 and 2 that look random.
fn noise(shape: &[usize], seed: usize) -> Array {
    let value = |i: usize| {
        let salt = (seed as u64).wrapping_mul(0xD1B5_4A32_D192_ED03);
        let x = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(salt);
        let x = (x ^ (x >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((x >> 40) as f64 / (1u64 << 24) as f64 - 0.5) * 4.0
    };
    Array::new(shape, (0..shape.iter().product()).map(value).collect()).unwrap()
}

fn labels(values: &[u32]) -> Array {
    Array::vector(values.to_vec())
}

/// Runs a graph with these inputs in f64 and returns the values of all tensors that `build` returns.
fn run(inputs: &[Array], build: impl Fn(&[Tensor]) -> Vec<Tensor>) -> Vec<Array> {
    let graph = Graph::new(Mode::Train);
    let tensors: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(i, array)| {
            let dtype = if array.dtype() == DType::U32 { DType::U32 } else { DType::F32 };
            graph.input(format!("x{i}"), array.shape(), dtype)
        })
        .collect();
    let outputs = build(&tensors);
    let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0)).unwrap();
    let step = session.compile(&graph, &outputs.iter().collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{error}"));
    session.run(&step, &tensors.iter().zip(inputs).collect::<Vec<_>>()).unwrap()
}

/// Compares the gradients of `build` with respect to every float input with central differences, for a random
/// cotangent.
fn gradients_agree(case: &str, inputs: &[Array], build: impl Fn(&[Tensor]) -> Tensor) {
    let shape = run(inputs, |x| vec![build(x)])[0].shape().clone();
    let cotangent = noise(shape.dims(), 99);
    let mut fed = inputs.to_vec();
    fed.push(cotangent.clone());
    let floats: Vec<_> = (0..inputs.len()).filter(|&i| inputs[i].dtype() != DType::U32).collect();
    let gradients = run(&fed, |x| {
        let wrt: Vec<_> = floats.iter().map(|&i| x[i].clone()).collect();
        let y = build(&x[..inputs.len()]);
        // Further ops read the op's output, so its cotangent differs from the fed cotangent.
        let y = &y * 2.0 + &y;
        vjp(&[(&y, x.last().unwrap())], &wrt)
            .into_iter()
            .map(|g| g.expect("every float input has a gradient"))
            .collect()
    });
    let loss = |inputs: &[Array]| -> f64 {
        let y = run(inputs, |x| vec![build(x)]);
        3.0 * y[0].to_f64().iter().zip(cotangent.to_f64()).map(|(y, c)| y * c).sum::<f64>()
    };
    for (&input, gradient) in floats.iter().zip(&gradients) {
        let values = inputs[input].to_f64();
        for (i, &slope) in gradient.to_f64().iter().enumerate() {
            let h = 1e-5;
            let at = |delta: f64| {
                let mut moved = values.clone();
                moved[i] += delta;
                let mut inputs = inputs.to_vec();
                inputs[input] = Array::new(inputs[input].shape(), moved).unwrap();
                loss(&inputs)
            };
            let truth = (at(h) - at(-h)) / (2.0 * h);
            assert!((slope - truth).abs() < 1e-7 * (1.0 + truth.abs()), "{case}: input {input}[{i}]: {slope} {truth}");
        }
    }
}

fn near(a: &Array, b: &[f64]) {
    let a = a.to_f64();
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()) || (a.is_nan() && b.is_nan()), "{a} is not {b}");
    }
}

#[test]
fn products_of_any_batch_and_transpose_agree_with_the_sum() {
    let leads: [(&[usize], &[usize]); 6] =
        [(&[], &[]), (&[3], &[3]), (&[3], &[]), (&[], &[3]), (&[2, 1], &[1, 3]), (&[2, 3], &[1])];
    for (a_lead, b_lead) in leads {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let (m, n, k) = (4, 3, 5);
            let a = noise(&[a_lead, &if ta { [k, m] } else { [m, k] }].concat(), 1);
            let b = noise(&[b_lead, &if tb { [n, k] } else { [k, n] }].concat(), 2);
            let case = format!("{:?}{ta} · {:?}{tb}", a.shape(), b.shape());
            let y = run(&[a.clone(), b.clone()], |x| vec![x[0].matmul_t(&x[1], ta, tb)]).remove(0);
            let lead = wgrad_core::Shape::from(a_lead).broadcast(&b_lead.into()).unwrap();
            assert_eq!(y.shape().dims(), [lead.dims(), &[m, n]].concat());
            let view = |x: &Array| {
                let matrix = &x.shape().dims()[x.shape().rank() - 2..];
                wgrad_core::View::contiguous(x.shape()).broadcast(&[lead.dims(), matrix].concat().into())
            };
            let (view_a, view_b) = (view(&a), view(&b));
            for (i, y) in y.to_f64().iter().enumerate() {
                let (batch, r, c) = (i / (m * n), i / n % m, i % n);
                let truth: f64 = (0..k)
                    .map(|p| {
                        let a_at = batch * m * k + if ta { p * m + r } else { r * k + p };
                        let b_at = batch * n * k + if tb { c * k + p } else { p * n + c };
                        a.to_f64()[view_a.locate(a_at)] * b.to_f64()[view_b.locate(b_at)]
                    })
                    .sum();
                assert!((y - truth).abs() < 1e-12, "{case} [{i}]");
            }
            gradients_agree(&case, &[a, b], |x| x[0].matmul_t(&x[1], ta, tb));
        }
    }
}

#[test]
fn linear_takes_any_leading_axes_and_adds_its_bias() {
    for lead in [&[][..], &[4], &[2, 3]] {
        let inputs = [noise(&[lead, &[5]].concat(), 1), noise(&[3, 5], 2), noise(&[3], 3)];
        gradients_agree("linear", &inputs, |x| x[0].linear(&x[1], Some(&x[2])));
        gradients_agree("linear without bias", &inputs[..2], |x| x[0].linear(&x[1], None));
    }
    let y = run(&[noise(&[2, 0], 1), noise(&[3, 0], 2), noise(&[3], 3)], |x| vec![x[0].linear(&x[1], Some(&x[2]))]);
    near(&y[0], &noise(&[3], 3).to_f64().repeat(2));
}

#[test]
fn second_derivatives_of_products_exist() {
    gradients_agree("product of gradients", &[noise(&[3, 4], 1), noise(&[4, 2], 2)], |x| {
        let y = x[0].matmul(&x[1]);
        vjp(&[(&(&y * &y), &y)], &x[..1]).remove(0).unwrap()
    });
}

#[test]
fn batch_norm_is_pytorchs() {
    let x = Array::new([2, 2], vec![1.0, 2.0, 3.0, 6.0]).unwrap();
    let out = run(&[x], |x| {
        let (y, mean, var) = x[0].batch_norm_train(None, None, 1e-5);
        vec![y, mean, var]
    });
    let scaled = |d: f64, var: f64| d / (var + 1e-5).sqrt();
    near(&out[0], &[scaled(-1.0, 1.0), scaled(-2.0, 4.0), scaled(1.0, 1.0), scaled(2.0, 4.0)]);
    near(&out[1], &[2.0, 4.0]);
    near(&out[2], &[1.0, 4.0]);
    for shape in [&[5, 3][..], &[4, 3, 2], &[2, 3, 2, 2], &[1, 3, 2, 2]] {
        let inputs = [noise(shape, 1), noise(&[3], 2), noise(&[3], 3)];
        let norm = |x: &[Tensor], scale: bool, shift: bool| {
            x[0].batch_norm_train(scale.then(|| &x[1]), shift.then(|| &x[x.len() - 1]), 1e-5).0
        };
        gradients_agree("batch norm", &inputs, |x| norm(x, true, true));
        gradients_agree("plain batch norm", &inputs[..1], |x| norm(x, false, false));
        gradients_agree("batch norm without bias", &inputs[..2], |x| norm(x, true, false));
        gradients_agree("batch norm without weight", &inputs[..2], |x| norm(x, false, true));
    }
}

#[test]
fn batch_norm_survives_a_large_mean() {
    let x = Array::new([4, 1], vec![1e8, 1e8 + 1.0, 1e8 + 2.0, 1e8 + 3.0]).unwrap();
    let out = run(&[x], |x| vec![x[0].batch_norm_train(None, None, 1e-5).2]);
    near(&out[0], &[1.25]);
}

#[test]
fn softmax_and_its_logarithm_along_any_axis() {
    let x = noise(&[2, 3, 4], 1);
    for axis in [0, 1, 2, -1] {
        let out = run(std::slice::from_ref(&x), |x| vec![x[0].softmax(axis), x[0].log_softmax(axis)]);
        near(&out[1], &out[0].to_f64().iter().map(|p| p.ln()).collect::<Vec<_>>());
        gradients_agree("softmax", std::slice::from_ref(&x), |x| x[0].softmax(axis));
        gradients_agree("log_softmax", std::slice::from_ref(&x), |x| x[0].log_softmax(axis));
    }
    let extreme = Array::vector(vec![1000.0, -1000.0, 1000.0 - 40.0]);
    let out = run(&[extreme], |x| vec![x[0].log_softmax(0)]);
    near(&out[0], &[-(-40.0f64).exp().ln_1p(), -2000.0, -40.0]);
    assert!(out[0].to_f64()[0] < 0.0);
}

/// Computes the loss of one row directly with `PyTorch`'s formula.
fn cross_entropy(x: &[f64], t: &[f64], w: &[f64], smoothing: f64) -> f64 {
    let max = x.iter().copied().fold(f64::MIN, f64::max);
    let log_sum = x.iter().map(|x| (x - max).exp()).sum::<f64>().ln() + max;
    let classes = x.len() as f64;
    let cost = |(x, (t, w)): (&f64, (&f64, &f64))| -w * (t * (1.0 - smoothing) + smoothing / classes) * (x - log_sum);
    x.iter().zip(t.iter().zip(w)).map(cost).sum()
}

#[test]
fn cross_entropy_is_pytorchs_for_indices_and_probabilities() {
    let (n, classes) = (4, 3);
    let x = noise(&[n, classes], 1);
    let y = labels(&[2, 0, 1, 2]);
    let w = Array::vector(vec![0.5, 2.0, 1.5]);
    let t = Array::new([n, classes], noise(&[n, classes], 5).to_f64().iter().map(|t| t.abs()).collect()).unwrap();
    for smoothing in [0.0, 0.1] {
        for weights in [None, Some(&w)] {
            let ws = weights.map_or(vec![1.0; 3], Array::to_f64);
            let row = |i: usize, t: &[f64]| cross_entropy(&x.to_f64()[i * 3..][..3], t, &ws, smoothing);
            let inputs = |target: &Array| {
                [&[x.clone(), target.clone()][..], &weights.cloned().into_iter().collect::<Vec<_>>()].concat()
            };
            let apply = |x: &[Tensor]| {
                let weight = x.get(2).map(Tensor::detach);
                x[0].softmax_cross_entropy(&x[1], weight.as_ref(), smoothing, None)
            };
            let out = run(&inputs(&y), |x| vec![apply(x).0, apply(x).1]);
            let one_hot = |label: u32| (0..3).map(|c| f64::from(u8::from(c == label))).collect::<Vec<_>>();
            let ys = [2u32, 0, 1, 2];
            near(&out[0], &ys.iter().enumerate().map(|(i, &y)| row(i, &one_hot(y))).collect::<Vec<_>>());
            near(&out[1], &ys.map(|y| ws[y as usize]));
            let out = run(&inputs(&t), |x| vec![apply(x).0, apply(x).1]);
            near(&out[0], &(0..n).map(|i| row(i, &t.to_f64()[i * 3..][..3])).collect::<Vec<_>>());
            near(&out[1], &[1.0; 4]);
            let constant = |x: &[Tensor]| weights.map(|w| x[0].graph().array(w.clone()));
            gradients_agree("indices", &[x.clone(), y.clone()], |x| {
                x[0].softmax_cross_entropy(&x[1], constant(x).as_ref(), smoothing, None).0
            });
            gradients_agree("probabilities", &[x.clone(), t.clone()], |x| {
                x[0].softmax_cross_entropy(&x[1], constant(x).as_ref(), smoothing, None).0
            });
        }
    }
}

#[test]
fn cross_entropy_over_places_ignores_rows_and_marks_strangers() {
    let x = noise(&[2, 3, 2], 1);
    let y = Array::new([2, 2], vec![0u32, 7, 2, 1]).unwrap();
    gradients_agree("places", &[x.clone(), y.clone()], |x| x[0].softmax_cross_entropy(&x[1], None, 0.1, Some(7)).0);
    let out = run(&[x.clone(), y.clone()], |x| {
        let (loss, weight) = x[0].softmax_cross_entropy(&x[1], None, 0.1, Some(7));
        vec![loss, weight]
    });
    near(&Array::scalar(out[0].to_f64()[1]), &[0.0]);
    assert_eq!(out[1].to_f64(), [1.0, 0.0, 1.0, 1.0]);
    let out = run(&[x, y], |x| {
        let (loss, weight) = x[0].softmax_cross_entropy(&x[1], None, 0.0, None);
        let one = x[0].number(1.0).expand([2, 2]);
        vec![vjp(&[(&loss, &one)], &x[..1]).remove(0).unwrap(), loss, weight]
    });
    let nan: Vec<_> = out[1].to_f64().iter().map(|x| x.is_nan()).collect();
    assert_eq!(nan, [false, true, false, false]);
    assert!(out[2].to_f64()[1].is_nan());
    assert!(out[0].to_f64()[1].is_nan() && !out[0].to_f64()[0].is_nan());
}

#[test]
fn cross_entropy_of_extreme_logits_and_single_classes() {
    let x = Array::new([3, 2], vec![1000.0, -1000.0, 1000.0, -1000.0, 17.0, 0.0]).unwrap();
    let out = run(&[x, labels(&[0, 1, 0])], |x| vec![x[0].softmax_cross_entropy(&x[1], None, 0.0, None).0]);
    near(&out[0], &[0.0, 2000.0, (-17.0f64).exp().ln_1p()]);
    let out =
        run(&[noise(&[3, 1], 1), labels(&[0, 0, 0])], |x| vec![x[0].softmax_cross_entropy(&x[1], None, 0.0, None).0]);
    near(&out[0], &[0.0; 3]);
    let unlikely = Array::vector(vec![f64::NEG_INFINITY, 1.0, 1.0]);
    let label = Array::scalar(1u32);
    let out = run(&[unlikely, label], |x| vec![x[0].softmax_cross_entropy(&x[1], None, 0.0, None).0]);
    near(&out[0], &[2.0f64.ln()]);
}

#[test]
fn binary_cross_entropy_is_accurate_on_both_sides() {
    let x = Array::vector(vec![-17.0, 17.0, 1000.0, -1000.0, 0.3]);
    let y = Array::vector(vec![0.0, 1.0, 0.0, 1.0, 0.25]);
    let out = run(&[x, y], |x| vec![x[0].bce_with_logits(&x[1])]);
    let tail = (-17.0f64).exp().ln_1p();
    near(&out[0], &[tail, tail, 1000.0, 1000.0, 0.3 * 0.75 + (-0.3f64).exp().ln_1p()]);
    let inputs = [noise(&[4, 3], 1), noise(&[4, 3], 2), noise(&[3], 3)];
    gradients_agree("binary", &inputs[..2], |x| x[0].bce_with_logits(&x[1]));
    gradients_agree("weighted binary", &inputs, |x| x[0].bce_with_logits_weighted(&x[1], &x[2]));
    gradients_agree("second derivative", &inputs, |x| {
        let y = x[0].bce_with_logits_weighted(&x[1], &x[2]);
        vjp(&[(&y, &(&x[1] * &x[1]))], &x[..1]).remove(0).unwrap()
    });
}

/// Returns the text of the error that `build` records in the graph.
fn error(specs: &[Spec], build: impl Fn(&[Tensor])) -> String {
    let graph = Graph::new(Mode::Train);
    let tensors: Vec<_> =
        specs.iter().enumerate().map(|(i, s)| graph.input(format!("x{i}"), &s.shape, s.dtype)).collect();
    build(&tensors);
    let text = graph.check().unwrap_err().to_string();
    text.lines().filter(|line| !line.starts_with("  at ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn errors_name_the_problem_and_the_fix() {
    let f = |dims: &[usize]| Spec::f32(dims);
    let u = |dims: &[usize]| Spec::u32(dims);
    let bce = |x: &[Tensor]| drop(x[0].bce_with_logits(&x[1]));
    let ce = |x: &[Tensor]| drop(x[0].softmax_cross_entropy(&x[1], None, 0.0, None));
    let expected = [
        (
            error(&[f(&[64, 2]), f(&[64])], bce),
            "bce_with_logits(f32[64, 2], f32[64]): targets [64] must have the shape of the logits [64, 2]\n  fixes:\n    \
             1. for 2 exclusive classes use the cross-entropy loss (CrossEntropyLoss, softmax_cross_entropy) with u32 \
             targets [64]\n    2. for two classes make the model's last layer give one logit: [64, 1], targets alike\n    \
             3. for 2 independent labels give f32 targets [64, 2], one 0 or 1 per label",
        ),
        (
            error(&[f(&[64, 1]), f(&[64])], bce),
            "bce_with_logits(f32[64, 1], f32[64]): targets [64] must have the shape of the logits [64, 1]\n  fixes:\n    \
             1. give the targets the shape [64, 1]: `.unsqueeze(1)`\n    2. or drop the last axis of the logits: \
             `.squeeze(1)`",
        ),
        (
            error(&[f(&[8, 1]), u(&[8, 1])], bce),
            "bce_with_logits(f32[8, 1], u32[8, 1]): targets of a binary loss are numbers between 0 and 1, not u32\n  \
             fix: cast with `.to_f32()`",
        ),
        (
            error(&[f(&[8, 3]), u(&[8, 1])], ce),
            "softmax_cross_entropy(f32[8, 3], u32[8, 1]): class indices for logits [8, 3] are u32[8], not u32[8, 1]\n  \
             fix: drop the axis of size 1: `.squeeze(1)`",
        ),
        (
            error(&[f(&[8, 3]), u(&[8, 3])], ce),
            "softmax_cross_entropy(f32[8, 3], u32[8, 3]): targets of the logits' shape [8, 3] are class probabilities, \
             which are f32, not u32\n  fixes:\n    1. for one-hot targets cast with `.to_f32()`\n    2. or give class \
             indices u32[8]",
        ),
        (
            error(&[f(&[3, 5]), u(&[2])], ce),
            "softmax_cross_entropy(f32[3, 5], u32[2]): 3 rows of logits [3, 5], but 2 class indices [2]\n  fix: give \
             one class index per row: u32[3]",
        ),
        (
            error(&[f(&[8, 3]), f(&[8])], ce),
            "softmax_cross_entropy(f32[8, 3], f32[8]): class indices are u32, not f32\n  fix: feed the labels as u32, \
             or cast with `.to_u32()`",
        ),
        (
            error(&[f(&[3, 5]), f(&[2, 4])], |x| drop(x[0].linear(&x[1], None))),
            "linear(f32[3, 5], f32[2, 4]): shapes cannot be multiplied ([3, 5] and [4, 2])\n  fixes:\n    1. set the \
             layer's in_features to 5: Linear::new(…, 5, 2)\n    2. or give it inputs whose last axis is 4",
        ),
        (
            error(&[f(&[3, 5]), f(&[4, 2])], |x| drop(x[0].matmul(&x[1]))),
            "matmul(f32[3, 5], f32[4, 2]): shapes cannot be multiplied ([3, 5] and [4, 2])\n  fix: the inner sizes 5 and \
             4 must be equal; for a Linear layer, in_features is 5",
        ),
        (
            error(&[f(&[1, 3])], |x| drop(x[0].batch_norm_train(None, None, 1e-5))),
            "batch_norm(f32[1, 3]): expected more than 1 value per channel when training, got [1, 3]\n  fixes:\n    1. \
             drop the last, smaller batch (drop_last), or choose a batch size that leaves no single row\n    2. evaluate \
             the model in Mode::Evaluate, which uses the running statistics",
        ),
        (
            error(&[f(&[3])], |x| drop(x[0].batch_norm_train(None, None, 1e-5))),
            "batch_norm(f32[3]): expected [N, C] or [N, C, L...], got [3]\n  fix: give a batch of rows: a single one has \
             shape [1, C]",
        ),
    ];
    for (text, expected) in expected {
        assert_eq!(text, expected);
    }
}

//! Tests of the ops' values on the CPU reference in f64, against formulas written out here.

use wgrad_core::ops::*;
use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session, Tensor, philox};

/// Computes the value of `build` at one input.
fn at(x: &Array, build: impl Fn(&Tensor) -> Tensor) -> Array {
    let graph = Graph::new(Mode::Evaluate);
    let dtype = if x.dtype().is_float() { DType::F32 } else { DType::U32 };
    let input = graph.input("x", x.shape().clone(), dtype);
    let y = build(&input);
    let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0)).unwrap();
    let step = session.compile(&graph, &[&y]).unwrap_or_else(|error| panic!("{error}"));
    session.run(&step, &[(&input, x)]).unwrap().remove(0)
}

fn values(x: &[f64], build: impl Fn(&Tensor) -> Tensor) -> Vec<f64> {
    at(&Array::vector(x.to_vec()), build).to_f64()
}

fn counting(shape: &[usize]) -> Array {
    let n: u32 = shape.iter().product::<usize>().try_into().unwrap();
    Array::new(shape, (0..n).map(f64::from).collect()).unwrap()
}

/// Returns the message of the graph's first error.
fn error(build: impl Fn(&Tensor) -> Tensor) -> String {
    let graph = Graph::new(Mode::Evaluate);
    let y = build(&graph.input("x", [2, 3], DType::F32));
    assert!(!y.is_valid());
    // Ops applied to the invalid tensor of a failed op do not panic.
    let _ = (y.t().amax_keepdim([1]).argmax_keepdim(0).slice(0, 1..2).pad(0, 1, 1), y.var_keepdim([0], 1));
    let _ = (cat(&[&y, &y], 0).flatten(0), y.embedding(&y).unsqueeze(0).squeeze(0).permute(&[1, 0]).mean_all());
    graph.check().unwrap_err().to_string().lines().next().unwrap().into()
}

#[test]
fn functions_have_their_values() {
    let close = |a: Vec<f64>, b: &[f64]| {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-14 * b.abs()), "{a:?} {b:?}");
    };
    close(values(&[-1000.0, 0.0, 1000.0], |x| x.softplus()), &[0.0, 2f64.ln(), 1000.0]);
    close(values(&[-1000.0, 0.0, 1000.0], |x| x.log_sigmoid()), &[-1000.0, -2f64.ln(), 0.0]);
    close(values(&[-1.0, 2.0], |x| x.gelu()), &[-0.158_655_253_931_457_05, 1.954_499_736_103_641_6]);
    close(values(&[-1.0, 2.0], |x| x.gelu_tanh()), &[-0.158_808_009_391_723_3, 1.954_597_694_087_775]);
    close(values(&[-2.0, -2.0, 0.0, 0.0], |x| x.pow(3.0)), &[-8.0, -8.0, 0.0, 0.0]);
    close(values(&[-2.0, 0.0, 3.0], |x| x.pow(0.0)), &[1.0, 1.0, 1.0]);
    assert_eq!(values(&[-2.0, 0.0, 3.0], |x| x.sign()), [-1.0, 0.0, 1.0]);
    assert_eq!(values(&[-2.0, 0.5, 3.0], |x| x.clamp(f64::NEG_INFINITY, 1.0)), [-2.0, 0.5, 1.0]);
    assert_eq!(values(&[-2.0, 0.5, 3.0], |x| x.clamp(2.0, 1.0)), [1.0, 1.0, 1.0]);
    assert_eq!(values(&[-2.5, 0.5, 3.9], |x| x.to_u32()), [0.0, 0.0, 3.0]);
}

#[test]
fn comparisons_make_masks() {
    let one = |x: &Tensor| x.number(1.0);
    assert_eq!(values(&[0.0, 1.0, 2.0], |x| x.gt(one(x))), [0.0, 0.0, 1.0]);
    assert_eq!(values(&[0.0, 1.0, 2.0], |x| x.ge(one(x))), [0.0, 1.0, 1.0]);
    assert_eq!(values(&[0.0, 1.0, 2.0], |x| x.lt(one(x))), [1.0, 0.0, 0.0]);
    assert_eq!(values(&[0.0, 1.0, 2.0], |x| x.le(one(x))), [1.0, 1.0, 0.0]);
    assert_eq!(values(&[0.0, 1.0, 2.0], |x| x.eq(one(x))), [0.0, 1.0, 0.0]);
    assert_eq!(values(&[0.0, 1.0, 2.0], |x| x.ne(one(x)).logical_and(&x.gt(0.0))), [0.0, 0.0, 1.0]);
    assert_eq!(values(&[0.0, 1.0, 2.0], |x| x.lt(one(x)).logical_or(&x.gt(one(x))).logical_not()), [0.0, 1.0, 0.0]);
    assert_eq!(values(&[0.0, 1.0, 2.0], |x| x.to_u32().eq(x.graph().constant_u32(2))), [0.0, 0.0, 1.0]);
}

#[test]
fn reductions_reduce_the_axes_that_they_are_told() {
    let x = counting(&[2, 3, 4]);
    assert_eq!(at(&x, |x| x.sum([0, 2])).to_f64(), [60.0, 92.0, 124.0]);
    assert_eq!(at(&x, |x| x.mean_all()).to_f64(), [11.5]);
    assert_eq!(at(&x, |x| x.amax([-1, 0])).to_f64(), [15.0, 19.0, 23.0]);
    assert_eq!(at(&x, |x| x.amin_keepdim([0, 1])), Array::new([1, 1, 4], vec![0.0, 1.0, 2.0, 3.0]).unwrap());
    assert_eq!(at(&x, |x| x.var([1], 1)).to_f64(), [16.0; 8]);
    assert_eq!(at(&x, |x| x.sum([])), x);
    let ties = Array::new([2, 4], vec![1.0, 3.0, 3.0, 0.0, 2.0, 2.0, 1.0, 2.0]).unwrap();
    assert_eq!(at(&ties, |x| x.argmax(-1)), Array::vector(vec![1u32, 0]));
    assert_eq!(at(&ties, |x| x.argmax_keepdim(0)), Array::new([1, 4], vec![1u32, 0, 0, 1]).unwrap());
}

#[test]
fn views_and_pads_move_elements() {
    let x = counting(&[2, 3]);
    assert_eq!(at(&x, |x| x.t()).to_f64(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    assert_eq!(at(&x, |x| x.t().slice(0, 1..).flatten(0)).to_f64(), [1.0, 4.0, 2.0, 5.0]);
    assert_eq!(at(&x, |x| x.slice(1, ..=0).pad(1, 1, 0)).to_f64(), [0.0, 0.0, 0.0, 3.0]);
    assert_eq!(at(&counting(&[2, 3, 4]), |x| x.permute(&[2, 0, 1])).shape().dims(), [4, 2, 3]);
    assert_eq!(at(&x, |x| x.slice(0, 1..1)).shape().dims(), [0, 3]);
}

#[test]
fn rows_are_gathered_and_tensors_concatenated() {
    let index = |x: &Tensor| x.graph().array(Array::vector(vec![1u32, 5, 0]));
    let rows = at(&counting(&[2, 2]), |x| x.embedding(&index(x))).to_f64();
    assert_eq!([&rows[..2], &rows[4..]].concat(), [2.0, 3.0, 0.0, 1.0]);
    assert!(rows[2].is_nan() && rows[3].is_nan());
    let labels = Array::vector(vec![7u32, 8]);
    assert_eq!(at(&labels, |x| x.embedding(&index(x))), Array::vector(vec![8u32, 0x7fc0_0000, 7]));
    assert_eq!(at(&labels, |x| cat(&[x, &x.slice(0, 1..), x], 0)), Array::vector(vec![7u32, 8, 8, 7, 8]));
    let x = counting(&[2, 2]);
    let y = at(&x, |x| cat(&[x, &x.slice(1, 0..0), &x.slice(1, 0..1)], -1));
    assert_eq!(y, Array::new([2, 3], vec![0.0, 1.0, 0.0, 2.0, 3.0, 2.0]).unwrap());
}

#[test]
fn dropout_keeps_what_philox_says() {
    let ones = Array::full([4000], 1.0);
    let drop = |p: f64, step: u32| at(&ones, |x| x.dropout(p, [1, 2], 3, &x.graph().constant_u32(step))).to_f64();
    let kept = drop(0.25, 5);
    let expected = (0..4000).map(|i| philox([i, 5, 3, 0], [1, 2])[0] < 0xc000_0000);
    assert_eq!(kept, expected.map(|keep| if keep { 1.0 / 0.75 } else { 0.0 }).collect::<Vec<_>>());
    let share = kept.iter().filter(|&&y| y > 0.0).count();
    assert!((2900..3100).contains(&share), "{share}");
    assert_ne!(kept, drop(0.25, 6));
    assert_eq!(drop(0.0, 5), ones.to_f64());
    assert_eq!(drop(1.0, 5), vec![0.0; 4000]);
}

#[test]
fn invalid_arguments_say_what_is_wrong() {
    assert_eq!(error(|x| x.sum_keepdim([2])), "sum(f32[2, 3]): there is no axis 2: [2, 3] has 2 axes");
    assert_eq!(error(|x| x.mean_keepdim([0, -2])), "mean(f32[2, 3]): axis 0 is named twice in [0, -2]");
    assert_eq!(error(|x| x.slice(0, 0..0).max_all()), "max(f32[0, 3]): there is no largest of no elements: [0, 3]");
    assert_eq!(error(|x| x.slice(0, 0..0).mean_all()), "mean(f32[0, 3]): there is no mean of no elements: [0, 3]");
    assert_eq!(error(|x| x.squeeze(1)), "squeeze(f32[2, 3]): axis 1 has 3 elements, not 1");
    assert_eq!(error(|x| x.permute(&[1])), "permute(f32[2, 3]): [1] is not an order of all axes of [2, 3]");
    assert_eq!(error(|x| x.flatten(0).t()), "t(f32[6]): [6] is not a matrix");
    assert_eq!(error(|x| x.embedding(x)), "gather_rows(f32[2, 3], f32[2, 3]): rows are chosen by u32, not f32");
    assert_eq!(
        error(|x| cat(&[x, &x.t()], 0)),
        "concat(f32[2, 3], f32[3, 2]): input 1 is [3, 2], input 0 is [2, 3]: only axis 0 may differ"
    );
    let step = |x: &Tensor| x.graph().constant_u32(0);
    assert_eq!(
        error(|x| x.dropout(1.5, [0; 2], 0, &step(x))),
        "dropout(f32[2, 3], u32[]): the probability 1.5 is not between 0 and 1"
    );
    assert_eq!(error(|x| x.logical_not()), "not(f32[2, 3]): argument `x` must be u32, not f32");
}

#[test]
fn errors_name_the_line_of_the_caller() {
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [2, 3], DType::F32);
    let here = line!() + 1;
    let _ = x.amax([5]);
    let message = graph.check().unwrap_err().to_string();
    assert!(message.contains(&format!("values.rs:{here}")), "{message}");
}

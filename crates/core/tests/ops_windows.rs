//! Tests of convolutions and pooling on the CPU reference in f64: relations between the ops, and values at the
//! edges.

use wgrad_core::ops::*;
use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session, Stream, Tensor, vjp};

/// Computes the values of `build` for normally distributed inputs of these shapes. The inputs depend only on
/// `name`.
fn at(name: &str, shapes: &[&[usize]], build: impl Fn(&[Tensor]) -> Vec<Tensor>) -> Vec<Vec<f64>> {
    let mut stream = Stream::named(3, name);
    let graph = Graph::new(Mode::Train);
    let inputs: Vec<_> =
        shapes.iter().enumerate().map(|(i, shape)| graph.input(format!("x{i}"), *shape, DType::F32)).collect();
    let mut draw = |shape: &[usize]| {
        Array::new(shape, (0..shape.iter().product()).map(|_| stream.normal()).collect::<Vec<f64>>()).unwrap()
    };
    let arrays: Vec<_> = shapes.iter().map(|shape| draw(shape)).collect();
    let outputs = build(&inputs);
    let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0)).unwrap();
    let step = session.compile(&graph, &outputs.iter().collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{error}"));
    let feeds: Vec<_> = inputs.iter().zip(&arrays).collect();
    session.run(&step, &feeds).unwrap().iter().map(Array::to_f64).collect()
}

#[test]
fn the_transposed_convolution_is_the_adjoint() {
    let plain = ConvOptions::<2>::new;
    for (i, (options, channels, kernel, image)) in [
        (plain(), [3, 5], [3, 3], [7, 8]),
        (plain().stride(2).padding(1), [3, 4], [3, 4], [9, 7]),
        (plain().stride([3, 2]).dilation([1, 2]).padding([0, 2]), [2, 4], [2, 3], [11, 10]),
        (plain().groups(2).padding(1), [4, 6], [3, 1], [6, 6]),
    ]
    .into_iter()
    .enumerate()
    {
        let x = [2, channels[0], image[0], image[1]];
        let w = [channels[1], channels[0] / options.groups, kernel[0], kernel[1]];
        let Padding::Sizes(padding) = options.padding else { unreachable!("numbers above") };
        let span = |axis: usize| image[axis] + 2 * padding[axis] - options.dilation[axis] * (kernel[axis] - 1) - 1;
        let result = [0, 1].map(|axis| span(axis) / options.stride[axis] + 1);
        // The division by the stride above drops a remainder. With this remainder as output padding, the result of
        // the transposed convolution has the size of `x`.
        let rest = [0, 1].map(|axis| span(axis) % options.stride[axis]);
        let back = ConvTransposeOptions {
            stride: options.stride,
            padding,
            output_padding: rest,
            dilation: options.dilation,
            groups: options.groups,
        };
        let y = [2, channels[1], result[0], result[1]];
        let found = at(&format!("adjoint {i}"), &[&x, &w, &y], |t| {
            let there = t[0].conv2d(&t[1], None, options) * &t[2];
            let back = t[2].conv_transpose2d(&t[1], None, back) * &t[0];
            vec![there.sum_all(), back.sum_all(), (there.abs()).sum_all()]
        });
        assert!((found[0][0] - found[1][0]).abs() <= 1e-13 * found[2][0], "{options:?}: {found:?}");
    }
}

#[test]
fn the_gradient_of_a_convolution_is_the_transposed_one() {
    let options = ConvOptions::<1>::new().stride(2).padding(1);
    let found = at("gradient", &[&[2, 3, 9], &[4, 3, 3], &[2, 4, 5]], |t| {
        let y = t[0].conv1d(&t[1], None, options);
        let dx = vjp(&[(&y, &t[2])], &t[..1])[0].clone().unwrap();
        vec![dx, t[2].conv_transpose1d(&t[1], None, ConvTransposeOptions::new().stride(2).padding(1))]
    });
    assert_eq!(found[0], found[1]);
}

#[test]
fn results_do_not_depend_on_how_many_images_come_along() {
    let conv = |n: usize| {
        at("batch", &[&[3, 4, 3, 3], &[7, 3, 9, 9]], |t| {
            vec![t[1].slice(0, ..n).conv2d(&t[0].permute(&[1, 0, 2, 3]), None, ConvOptions::new().padding(1))]
        })
        .remove(0)
    };
    let (one, all) = (conv(1), conv(7));
    assert_eq!(one, all[..one.len()]);
}

fn pool(x: Vec<f64>, build: impl Fn(&Tensor) -> (Tensor, Tensor)) -> (Vec<f64>, Vec<f64>) {
    let graph = Graph::new(Mode::Evaluate);
    let input = graph.input("x", [1, x.len()], DType::F32);
    let (y, index) = build(&input);
    let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0)).unwrap();
    let step = session.compile(&graph, &[&y, &index]).unwrap();
    let found = session.run(&step, &[(&input, &Array::new([1, x.len()], x).unwrap())]).unwrap();
    (found[0].to_f64(), found[1].to_f64())
}

#[test]
fn max_pool_takes_the_first_of_equals_and_the_last_nan() {
    let windows = |x: &Tensor| x.max_pool1d_with_indices(MaxPool::new(4));
    let (y, index) = pool(vec![1.0, 2.0, 2.0, 0.0, -1.0, f64::NAN, 9.0, f64::NAN], windows);
    assert!(y[1].is_nan());
    assert_eq!((y[0], index), (2.0, vec![1.0, 7.0]));
    let (y, _) = pool(vec![f64::NEG_INFINITY; 4], windows);
    assert_eq!(y, [f64::NEG_INFINITY]);
}

#[test]
fn an_overhanging_window_starts_inside_input_or_left_padding() {
    let length = |n: usize, pool: MaxPool<1>| {
        let graph = Graph::new(Mode::Evaluate);
        graph.input("x", [1, n], DType::F32).max_pool1d(pool.ceil_mode(true)).shape().dims()[1]
    };
    assert_eq!(length(5, MaxPool::new(2)), 3);
    // A third window would begin at index 5 (2 strides of 3, less 1 for the padding), in the padding after the 4
    // elements. It is therefore dropped.
    assert_eq!(length(4, MaxPool::new(2).stride(3).padding(1)), 2);
    assert_eq!(length(6, MaxPool::new(2).stride(3).padding(1)), 3);
}

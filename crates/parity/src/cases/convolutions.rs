//! Cases of what moves a window over images: convolutions and pooling.

use wgrad_core::ops::{AvgPool, ConvOptions, ConvTransposeOptions, MaxPool, Padding};
use wgrad_core::{Tensor, vjp};

use crate::Values::{Grid, Normal, Of};
use crate::{Case, Inputs};

type Sizes<'a> = &'a [usize];

/// The longest of the three sums: over a window, over the channels that an input feeds, over all that a weight meets.
fn terms(x: Sizes<'_>, weight: Sizes<'_>) -> usize {
    let taps: usize = weight[2..].iter().product();
    let pixels: usize = x[2..].iter().product::<usize>() * x[0];
    (weight[1] * taps).max(weight[0] * taps).max(pixels)
}

fn conv2d(name: &str, x: Sizes<'_>, weight: Sizes<'_>, options: ConvOptions<2>) -> Case {
    let inputs: Inputs<'_> = &[(x, Normal), (weight, Normal), (&[weight[0]], Normal)];
    Case::new(format!("conv2d {name}"), inputs, move |x| x[0].conv2d(&x[1], Some(&x[2]), options))
        .terms(terms(x, weight))
}

fn conv1d(name: &str, x: Sizes<'_>, weight: Sizes<'_>, options: ConvOptions<1>) -> Case {
    let inputs: Inputs<'_> = &[(x, Normal), (weight, Normal)];
    Case::new(format!("conv1d {name}"), inputs, move |x| x[0].conv1d(&x[1], None, options)).terms(terms(x, weight))
}

fn transposed(name: &str, x: Sizes<'_>, weight: Sizes<'_>, options: ConvTransposeOptions<2>) -> Case {
    let inputs: Inputs<'_> = &[(x, Normal), (weight, Normal), (&[weight[1] * options.groups], Normal)];
    let body = move |x: &[Tensor]| x[0].conv_transpose2d(&x[1], Some(&x[2]), options);
    let pixels = 9 * x[2..].iter().product::<usize>() * x[0];
    Case::new(format!("conv_transpose2d {name}"), inputs, body).terms(terms(x, weight).max(pixels))
}

pub fn convolutions() -> Vec<Case> {
    let new = ConvOptions::<2>::new;
    let line = ConvOptions::<1>::new;
    let back = ConvTransposeOptions::<2>::new;
    let mut cases = vec![
        conv2d("of one pixel", &[1, 1, 1, 1], &[1, 1, 1, 1], new()),
        conv2d("1x1", &[3, 5, 6, 7], &[4, 5, 1, 1], new()),
        conv2d("1x1 with stride", &[2, 16, 9, 9], &[33, 16, 1, 1], new().stride(2)),
        conv2d("3x3", &[2, 3, 8, 9], &[5, 3, 3, 3], new()),
        conv2d("3x3 padded", &[2, 3, 7, 7], &[8, 3, 3, 3], new().padding(1)),
        conv2d("3x3 of 96 channels", &[1, 96, 6, 6], &[40, 96, 3, 3], new().padding(1)),
        conv2d("3x3 over many pixels", &[3, 2, 33, 70], &[17, 2, 3, 3], new().padding(1)),
        conv2d("3x3 with stride", &[2, 3, 9, 10], &[6, 3, 3, 3], new().stride(2).padding(1)),
        conv2d("whose stride leaves a rest", &[2, 3, 8, 10], &[4, 3, 3, 3], new().stride(3)),
        conv2d("whose stride skips elements", &[2, 2, 11, 12], &[3, 2, 2, 1], new().stride([4, 3])),
        conv2d("7x7 with stride", &[1, 3, 20, 21], &[16, 3, 7, 7], new().stride(2).padding(3)),
        conv2d("dilated", &[2, 3, 9, 9], &[4, 3, 3, 3], new().dilation(2)),
        conv2d(
            "dilated, padded and with stride",
            &[2, 3, 11, 9],
            &[4, 3, 3, 2],
            new().dilation([2, 3]).padding([3, 1]).stride([3, 2]),
        ),
        conv2d("of a wide kernel", &[2, 3, 6, 13], &[4, 3, 1, 5], new().padding([0, 2])),
        conv2d("of a tall kernel", &[2, 3, 13, 4], &[4, 3, 5, 2], new().padding([2, 1])),
        conv2d("of the same size", &[2, 3, 7, 8], &[4, 3, 3, 4], new().padding(Padding::Same)),
        conv2d(
            "of the same size, dilated",
            &[2, 3, 7, 8],
            &[4, 3, 2, 4],
            new().padding(Padding::Same).dilation([3, 1]),
        ),
        conv2d("of two groups", &[2, 6, 7, 7], &[10, 3, 3, 3], new().groups(2).padding(1)),
        conv2d("of four groups with stride", &[3, 8, 8, 8], &[12, 2, 3, 3], new().groups(4).padding(1).stride(2)),
        conv2d("of wide groups", &[2, 64, 7, 7], &[64, 32, 3, 3], new().groups(2).padding(1)),
        conv2d("depthwise", &[2, 12, 9, 9], &[12, 1, 3, 3], new().groups(12).padding(1)),
        conv2d("depthwise, two each", &[2, 5, 9, 9], &[10, 1, 3, 3], new().groups(5).stride(2)),
        conv2d("with more padding than kernel", &[2, 2, 4, 5], &[3, 2, 1, 2], new().padding([2, 3])),
        conv2d("of one large image", &[1, 4, 96, 130], &[8, 4, 3, 3], new().padding(1)),
        conv2d("of a batch in parts", &[40, 3, 12, 12], &[32, 3, 3, 3], new().padding(1)),
        conv1d("padded", &[3, 4, 17], &[6, 4, 3], line().padding(1)),
        conv1d("with stride", &[2, 4, 40], &[16, 4, 8], line().stride(4).padding(2)),
        conv1d("of a long kernel", &[2, 2, 150], &[3, 2, 101], line().padding(50)),
        conv1d("of a long kernel with stride", &[1, 2, 100], &[3, 2, 40], line().stride(10)),
        conv1d("without batch", &[4, 17], &[6, 4, 3], line().dilation(3)),
        conv1d("of groups", &[2, 6, 30], &[6, 2, 5], line().groups(3).padding(Padding::Same)),
        transposed("padded", &[2, 4, 5, 6], &[4, 3, 3, 3], back().padding(1)),
        transposed("with stride", &[2, 4, 5, 6], &[4, 3, 4, 4], back().stride(2).padding(1)),
        transposed(
            "with output padding",
            &[2, 4, 5, 6],
            &[4, 3, 3, 3],
            back().stride([2, 3]).padding(1).output_padding([1, 2]),
        ),
        transposed(
            "with output padding beyond the stride",
            &[2, 2, 4, 4],
            &[2, 3, 3, 2],
            back().stride([1, 2]).dilation([3, 2]).output_padding([2, 1]),
        ),
        transposed("of groups", &[2, 6, 4, 4], &[6, 4, 3, 2], back().groups(2).stride(2)),
        transposed("with a long stride", &[1, 3, 3, 4], &[3, 2, 10, 11], back().stride([10, 9])),
        transposed("of many channels", &[2, 32, 7, 7], &[32, 48, 3, 3], back().padding(1)),
    ];
    let inputs: Inputs<'_> = &[(&[3, 8], Normal), (&[3, 2, 4], Normal), (&[2], Normal)];
    let options = ConvTransposeOptions::<1>::new().stride(2).padding(1).output_padding(1);
    cases.push(
        Case::new("conv_transpose1d without batch", inputs, move |x| {
            x[0].conv_transpose1d(&x[1], Some(&x[2]), options)
        })
        .terms(32),
    );
    let inputs: Inputs<'_> = &[(&[2, 2, 6, 6], Normal), (&[4, 2, 3, 3], Normal), (&[4, 4, 2, 2], Normal)];
    let body = move |x: &[Tensor]| {
        let hidden = x[0].conv2d(&x[1], None, ConvOptions::new().stride(2).padding(1));
        hidden.conv2d(&x[2], None, ConvOptions::new())
    };
    cases.push(Case::new("conv2d twice", inputs, body).terms(72));
    cases.extend(derivatives());
    cases
}

/// The gradients as ops of their own, so that those have gradients, too.
fn derivatives() -> Vec<Case> {
    let inputs: Inputs<'_> = &[(&[2, 4, 7, 6], Normal), (&[6, 2, 3, 2], Normal), (&[2, 6, 4, 3], Normal)];
    let options = ConvOptions::<2>::new().stride(2).padding([1, 0]).groups(2);
    let body = move |x: &[Tensor]| {
        let y = x[0].conv2d(&x[1], None, options);
        vjp(&[(&y, &x[2])], &x[..2]).into_iter().flatten().collect()
    };
    let pools = |x: &[Tensor]| {
        let max = x[0].max_pool2d(MaxPool::new(3).stride(2).padding(1));
        let mean = x[0].avg_pool2d(AvgPool::new(3).stride(2).padding(1));
        vjp(&[(&max, &x[1]), (&mean, &x[2])], &x[..1]).into_iter().flatten().map(|dx| dx.square()).collect()
    };
    let images: Inputs<'_> = &[(&[2, 3, 8, 7], Normal), (&[2, 3, 4, 4], Normal), (&[2, 3, 4, 4], Normal)];
    vec![
        Case::several("gradients of conv2d", inputs, body).terms(84),
        Case::several("gradients of pools", images, pools).terms(18).ulp(12.0),
    ]
}

fn max_pool2d(name: &str, x: Sizes<'_>, pool: MaxPool<2>) -> Vec<Case> {
    let both = move |x: &[Tensor]| {
        let (y, place) = x[0].max_pool2d_with_indices(pool);
        vec![y, place]
    };
    vec![
        Case::several(format!("max_pool2d {name}"), &[(x, Normal)], both).terms(9),
        Case::several(format!("max_pool2d {name} with ties"), &[(x, Grid(1.0, 2))], both).terms(9),
    ]
}

fn avg_pool2d(name: &str, x: Sizes<'_>, pool: AvgPool<2>) -> Case {
    let terms = pool.kernel[0] * pool.kernel[1];
    Case::new(format!("avg_pool2d {name}"), &[(x, Normal)], move |x| x[0].avg_pool2d(pool)).terms(terms).ulp(6.0)
}

pub fn pools() -> Vec<Case> {
    let max = |kernel: [usize; 2]| MaxPool::<2>::new(kernel);
    let avg = |kernel: [usize; 2]| AvgPool::<2>::new(kernel);
    let mut cases: Vec<_> = [
        max_pool2d("side by side", &[2, 3, 8, 6], max([2, 2])),
        max_pool2d("of a rest", &[2, 3, 9, 7], max([2, 3])),
        max_pool2d("overlapping and padded", &[2, 3, 9, 8], max([3, 3]).stride(2).padding(1)),
        max_pool2d("dilated", &[1, 2, 11, 12], max([3, 2]).stride([1, 2]).dilation([2, 3]).padding([1, 1])),
        max_pool2d("hanging over", &[2, 2, 8, 9], max([3, 3]).stride(2).ceil_mode(true)),
        max_pool2d("hanging over padding", &[2, 2, 7, 5], max([3, 2]).stride([3, 4]).padding(1).ceil_mode(true)),
        max_pool2d("with gaps", &[3, 9, 9], max([2, 1]).stride([4, 3])),
    ]
    .into_iter()
    .flatten()
    .collect();
    cases.extend([
        avg_pool2d("side by side", &[2, 3, 8, 6], avg([2, 2])),
        avg_pool2d("padded", &[2, 3, 9, 8], avg([3, 3]).stride(2).padding(1)),
        avg_pool2d(
            "without padding in the count",
            &[2, 3, 9, 8],
            avg([3, 2]).stride([2, 1]).padding(1).count_include_pad(false),
        ),
        avg_pool2d("hanging over", &[2, 2, 8, 9], avg([3, 3]).stride(2).ceil_mode(true)),
        avg_pool2d("hanging over padding", &[2, 2, 7, 6], avg([3, 2]).stride([3, 4]).padding(1).ceil_mode(true)),
        avg_pool2d("with a divisor", &[3, 8, 9], avg([3, 3]).padding(1).divisor_override(5)),
        avg_pool2d("of wide planes", &[3, 2, 40, 65], avg([5, 9]).stride(1)),
        Case::new("avg_pool1d", &[(&[3, 4, 17], Normal)], |x| x[0].avg_pool1d(AvgPool::new(4).stride(3).padding(2)))
            .terms(4)
            .ulp(6.0),
        Case::several("max_pool2d of NaNs", &[(&[3, 2, 9, 9], Of(&[f64::NAN, 1.0, -2.0, 3.0, 0.5, -4.0]))], |x| {
            let (y, place) = x[0].max_pool2d_with_indices(MaxPool::new(2));
            vec![y, place]
        })
        .without_gradients(),
        Case::new("max_pool1d", &[(&[4, 17], Normal)], |x| x[0].max_pool1d(MaxPool::new(3).stride(2).padding(1)))
            .terms(3),
    ]);
    for (input, output) in [([8, 6], [4, 3]), ([7, 5], [3, 4]), ([5, 5], [1, 1]), ([3, 4], [5, 9])] {
        let x = [2, 3, input[0], input[1]];
        let name = format!("adaptive_avg_pool2d {input:?} to {output:?}");
        cases.push(Case::new(name, &[(&x, Normal)], move |x| x[0].adaptive_avg_pool2d(output)).terms(35).ulp(6.0));
        let name = format!("adaptive_max_pool2d {input:?} to {output:?}");
        let both = move |x: &[Tensor]| {
            let (y, place) = x[0].adaptive_max_pool2d(output);
            vec![y, place]
        };
        cases.push(Case::several(name, &[(&x, Normal)], both).terms(16));
    }
    cases.push(
        Case::new("adaptive pools of lines", &[(&[2, 3, 11], Normal)], |x| {
            x[0].adaptive_avg_pool1d(4).square() + x[0].adaptive_max_pool1d([Some(4)]).0
        })
        .terms(8)
        .ulp(6.0),
    );
    cases
}

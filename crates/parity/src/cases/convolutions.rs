//! Cases of convolutions.

use wgrad_core::ops::{ConvOptions, ConvTransposeOptions, Padding};
use wgrad_core::{Tensor, vjp};

use crate::case::Fill::Normal;
use crate::case::{Case, Inputs};
use crate::draw::Draw;
use crate::family::{Family, at_length};

pub(super) const FAMILY: Family = Family::new(own).lengths(lengths).random(&[random]);

type Sizes<'a> = &'a [usize];

fn conv2d(name: &str, x: Sizes<'_>, weight: Sizes<'_>, options: ConvOptions<2>) -> Case {
    let inputs: Inputs<'_> = &[(x, Normal), (weight, Normal), (&[weight[0]], Normal)];
    Case::new(format!("conv2d {name}"), inputs, move |x| x[0].conv2d(&x[1], Some(&x[2]), options))
}

fn conv1d(name: &str, x: Sizes<'_>, weight: Sizes<'_>, options: ConvOptions<1>) -> Case {
    let inputs: Inputs<'_> = &[(x, Normal), (weight, Normal)];
    Case::new(format!("conv1d {name}"), inputs, move |x| x[0].conv1d(&x[1], None, options))
}

fn transposed(name: &str, x: Sizes<'_>, weight: Sizes<'_>, options: ConvTransposeOptions<2>) -> Case {
    let inputs: Inputs<'_> = &[(x, Normal), (weight, Normal), (&[weight[1] * options.groups], Normal)];
    let body = move |x: &[Tensor]| x[0].conv_transpose2d(&x[1], Some(&x[2]), options);
    Case::new(format!("conv_transpose2d {name}"), inputs, body)
}

fn own() -> Vec<Case> {
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
    cases.push(Case::new("conv_transpose1d without batch", inputs, move |x| {
        x[0].conv_transpose1d(&x[1], Some(&x[2]), options)
    }));
    let inputs: Inputs<'_> = &[(&[2, 2, 6, 6], Normal), (&[4, 2, 3, 3], Normal), (&[4, 4, 2, 2], Normal)];
    let body = move |x: &[Tensor]| {
        let hidden = x[0].conv2d(&x[1], None, ConvOptions::new().stride(2).padding(1));
        hidden.conv2d(&x[2], None, ConvOptions::new())
    };
    cases.push(Case::new("conv2d twice", inputs, body));
    cases.push(derivative());
    cases
}

/// Returns a case whose outputs are gradients, so that the gradient ops themselves are differentiated.
fn derivative() -> Case {
    let inputs: Inputs<'_> = &[(&[2, 4, 7, 6], Normal), (&[6, 2, 3, 2], Normal), (&[2, 6, 4, 3], Normal)];
    let options = ConvOptions::<2>::new().stride(2).padding([1, 0]).groups(2);
    Case::several("gradients of conv2d", inputs, move |x| {
        let y = x[0].conv2d(&x[1], None, options);
        vjp(&[(&y, &x[2])], &x[..2]).into_iter().flatten().collect()
    })
}

fn lengths(n: usize) -> Vec<Case> {
    vec![
        at_length("convolution", n, &[(&[1, 2, n], Normal), (&[3, 2, 3], Normal)], |x| {
            vec![x[0].conv1d(&x[1], None, ConvOptions::new().padding(1))]
        }),
        at_length("convolution of images", n, &[(&[n, 2, 3, 3], Normal), (&[3, 2, 3, 3], Normal)], |x| {
            vec![x[0].conv2d(&x[1], None, ConvOptions::new().padding(1))]
        }),
    ]
}

fn random(draw: &mut Draw) -> Case {
    let (groups, batch) = (draw.of(&[1, 1, 1, 2, 3]), 1 + draw.below(3));
    let (inner, out) = (groups * draw.of(&[1, 2, 3, 8, 16]), groups * draw.of(&[1, 2, 4, 5, 16]));
    let kernel = [draw.of(&[1, 2, 3, 5]), draw.of(&[1, 2, 3, 5])];
    let (stride, dilation) = (1 + draw.below(3), 1 + draw.below(2));
    let image = kernel.map(|k| (k - 1) * dilation + 1 + draw.below(14));
    let padding = draw.below(3);
    let (x, weight) = ([batch, inner, image[0], image[1]], [out, inner / groups, kernel[0], kernel[1]]);
    let options = ConvOptions::<2>::new().stride(stride).dilation(dilation).padding(padding).groups(groups);
    let name = format!("{x:?} {weight:?} stride {stride} dilation {dilation} padding {padding} groups {groups}");
    conv2d(&name, &x, &weight, options)
}

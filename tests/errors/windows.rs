//! What convolutions and pooling say about their inputs and options.

use wgrad::prelude::*;

use super::{assert_brief, assert_says, float, labels, refused, train};

#[test]
fn convolutions_say_which_shapes_and_options_fit() {
    let params = Params::seeded(0);
    let says = |x: &[usize], weight: &[usize], options: ConvOptions<2>, expected: &str| {
        let graph = train();
        let y = float(&graph, "x", x).conv2d(&float(&graph, "w", weight), None, options);
        assert_brief(&refused(&params, &y), expected);
    };
    let new = ConvOptions::<2>::new;
    says(&[8, 28], &[4, 1, 3, 3], new(), "?");
    says(&[8, 3, 28, 28], &[4, 1, 3, 3], new(), "?");
    says(&[8, 6, 28, 28], &[4, 1, 3, 3], new().groups(2), "?");
    says(&[8, 6, 28, 28], &[5, 3, 3, 3], new().groups(2), "?");
    says(&[8, 3, 28, 28], &[4, 3, 3], new(), "?");
    says(&[8, 3, 28, 28], &[4, 3, 3, 3], new().stride([0, 1]), "?");
    says(&[8, 3, 28, 28], &[4, 3, 3, 3], new().groups(0), "?");
    says(&[8, 3, 28, 4], &[4, 3, 3, 3], new().dilation(3).padding([0, 1]), "?");
    says(&[8, 3, 28, 28], &[4, 3, 3, 3], new().padding(Padding::Same).stride(2), "?");
    let graph = train();
    let (x, w) = (float(&graph, "x", [8, 3, 28, 28]), float(&graph, "w", [4, 3, 3, 3]));
    assert_brief(&refused(&params, &x.conv2d(&w, Some(&float(&graph, "b", [3])), new())), "?");
    let graph = train();
    let y = labels(&graph, [8, 3, 28, 28]).conv2d(&float(&graph, "w", [4, 3, 3, 3]), None, new());
    assert_brief(&refused(&params, &y), "?");
}

#[test]
fn transposed_convolutions_say_which_shapes_and_options_fit() {
    let params = Params::seeded(0);
    let says = |weight: &[usize], options: ConvTransposeOptions<1>, expected: &str| {
        let graph = train();
        let y = float(&graph, "x", [8, 4, 5]).conv_transpose1d(&float(&graph, "w", weight), None, options);
        assert_brief(&refused(&params, &y), expected);
    };
    let new = ConvTransposeOptions::<1>::new;
    says(&[3, 4, 3], new(), "?");
    says(&[4, 2, 3], new().groups(3), "?");
    says(&[4, 2, 3], new().stride(2).output_padding(2), "?");
    says(&[4, 2, 3], new().padding(4), "?");
}

#[test]
fn pools_say_which_windows_fit() {
    let params = Params::seeded(0);
    let says = |x: &[usize], pool: fn(&Tensor) -> Tensor, expected: &str| {
        assert_brief(&refused(&params, &pool(&float(&train(), "x", x))), expected);
    };
    says(&[8, 28], |x| x.max_pool2d(MaxPool2d::new(2)), "?");
    says(&[8, 3, 28, 28], |x| x.max_pool2d(MaxPool2d::new(0)), "?");
    says(&[8, 3, 28, 28], |x| x.max_pool2d(MaxPool2d::new(2).padding(2)), "?");
    says(&[8, 3, 28, 2], |x| x.avg_pool2d(AvgPool2d::new(3)), "?");
    says(&[3, 1], |x| x.max_pool1d(MaxPool1d::new(2).dilation(4).padding(2)), "?");
    says(&[8, 3, 28, 28], |x| x.avg_pool2d(AvgPool2d::new(2).divisor_override(0)), "?");
    says(&[8, 3, 28, 28], |x| x.adaptive_avg_pool2d([0, 1]), "?");
}

#[test]
fn layers_of_windows_name_their_scope() {
    let params = Params::seeded(0);
    let conv = Conv2d::with(&params.at("conv"), 6, 8, 3, ConvOptions::new().groups(4));
    let here = line!() + 1;
    let y = conv.forward(&float(&train(), "x", [8, 6, 28, 28]));
    assert_says(&refused(&params, &y), here, "?");
    let conv = Conv2d::with(&params.at("mirror"), 3, 8, 3, ConvOptions::new().padding(2)).padding_mode(PaddingMode::Reflect);
    let y = conv.forward(&float(&train(), "x", [8, 3, 28, 2]));
    assert_brief(&refused(&params, &y), "?");
}

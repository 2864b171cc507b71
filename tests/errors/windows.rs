//! Tests of the error messages of convolutions and pooling about their inputs and options.

use wgrad::prelude::*;

use super::{assert_brief, assert_says, compile_error, float, labels, train};

#[test]
fn convolutions_say_which_shapes_and_options_fit() {
    let params = Params::seeded(0);
    let says = |x: &[usize], weight: &[usize], options: ConvOptions<2>, expected: &str| {
        let graph = train();
        let y = float(&graph, "x", x).conv2d(&float(&graph, "w", weight), None, options);
        assert_brief(&compile_error(&params, &y), expected);
    };
    let new = ConvOptions::<2>::new;
    says(
        &[8, 28],
        &[4, 1, 3, 3],
        new(),
        "conv2d(f32[8, 28], f32[4, 1, 3, 3]): expected [N, C, H, W] or [C, H, W], not [8, 28] / the channels come \
         before the image: reshape to [N, C, H, W]",
    );
    says(
        &[8, 3, 28, 28],
        &[4, 1, 3, 3],
        new(),
        "conv2d(f32[8, 3, 28, 28], f32[4, 1, 3, 3]): the weight [4, 1, 3, 3] takes 1 channel, axis 1 of [8, 3, 28, \
         28] has 3 channels / make the layer for 3 channels, or the layer before it with 1 outputs",
    );
    says(
        &[8, 6, 28, 28],
        &[4, 1, 3, 3],
        new().groups(2),
        "conv2d(f32[8, 6, 28, 28], f32[4, 1, 3, 3]): the weight [4, 1, 3, 3] takes 2 channels in 2 groups, axis 1 \
         of [8, 6, 28, 28] has 6 channels / make the layer for 6 channels, or the layer before it with 2 outputs",
    );
    says(
        &[8, 6, 28, 28],
        &[5, 3, 3, 3],
        new().groups(2),
        "conv2d(f32[8, 6, 28, 28], f32[5, 3, 3, 3]): 2 groups do not divide 5 output channels / choose a number \
         that divides the input and the output channels",
    );
    says(
        &[8, 3, 28, 28],
        &[4, 3, 3],
        new(),
        "conv2d(f32[8, 3, 28, 28], f32[4, 3, 3]): the weight must be [O, C/groups, KH, KW], not [4, 3, 3]",
    );
    says(
        &[8, 3, 28, 28],
        &[4, 3, 3, 3],
        new().stride([0, 1]),
        "conv2d(f32[8, 3, 28, 28], f32[4, 3, 3, 3]): the stride must be positive, not [0, 1] / 1 is PyTorch's \
         default",
    );
    says(
        &[8, 3, 28, 28],
        &[4, 3, 3, 3],
        new().groups(0),
        "conv2d(f32[8, 3, 28, 28], f32[4, 3, 3, 3]): there must be a group of channels, not 0 of them / groups(1) \
         is none",
    );
    says(
        &[8, 3, 28, 4],
        &[4, 3, 3, 3],
        new().dilation(3).padding([0, 1]),
        "conv2d(f32[8, 3, 28, 4], f32[4, 3, 3, 3]): the window spans 7 elements, more than the width of 6 with \
         padding / pad more, or make the kernel or its dilation smaller",
    );
    says(
        &[8, 3, 28, 28],
        &[4, 3, 3, 3],
        new().padding(Padding::Same).stride(2),
        "conv2d(f32[8, 3, 28, 28], f32[4, 3, 3, 3]): padding to the same size needs a stride of 1, not [2, 2] / \
         give the padding as a number: half of dilation · (kernel − 1)",
    );
    let graph = train();
    let (x, w) = (float(&graph, "x", [8, 3, 28, 28]), float(&graph, "w", [4, 3, 3, 3]));
    assert_brief(
        &compile_error(&params, &x.conv2d(&w, Some(&float(&graph, "b", [3])), new())),
        "conv2d(f32[8, 3, 28, 28], f32[4, 3, 3, 3], f32[3]): the bias must be [4], one per output channel, not [3]",
    );
    let graph = train();
    let y = labels(&graph, [8, 3, 28, 28]).conv2d(&float(&graph, "w", [4, 3, 3, 3]), None, new());
    assert_brief(
        &compile_error(&params, &y),
        "conv2d(u32[8, 3, 28, 28], f32[4, 3, 3, 3]): only floats are convolved, not u32[8, 3, 28, 28] / cast with `.to_f32()`",
    );
}

#[test]
fn transposed_convolutions_say_which_shapes_and_options_fit() {
    let params = Params::seeded(0);
    let says = |weight: &[usize], options: ConvTransposeOptions<1>, expected: &str| {
        let graph = train();
        let y = float(&graph, "x", [8, 4, 5]).conv_transpose1d(&float(&graph, "w", weight), None, options);
        assert_brief(&compile_error(&params, &y), expected);
    };
    let new = ConvTransposeOptions::<1>::new;
    says(
        &[3, 4, 3],
        new(),
        "conv_transpose1d(f32[8, 4, 5], f32[3, 4, 3]): the weight [3, 4, 3] takes 3 channels, axis 1 of [8, 4, 5] \
         has 4 channels / the weight of a transposed convolution is that of the convolution: input channels come \
         first",
    );
    says(
        &[4, 2, 3],
        new().groups(3),
        "conv_transpose1d(f32[8, 4, 5], f32[4, 2, 3]): 3 groups do not divide 4 input channels / choose a number \
         that divides the input and the output channels",
    );
    says(
        &[4, 2, 3],
        new().stride(2).output_padding(2),
        "conv_transpose1d(f32[8, 4, 5], f32[4, 2, 3]): output_padding 2 must be smaller than the stride 2 or the \
         dilation 1 / it chooses among the sizes that the convolution maps to that of the input; it does not pad",
    );
    says(
        &[4, 2, 3],
        new().padding(4),
        "conv_transpose1d(f32[8, 4, 5], f32[4, 2, 3]): the padding 4 cuts off all of 7 elements / the padding of a \
         transposed convolution makes its result smaller: choose less",
    );
}

#[test]
fn pools_say_which_windows_fit() {
    let params = Params::seeded(0);
    let says = |x: &[usize], pool: fn(&Tensor) -> Tensor, expected: &str| {
        assert_brief(&compile_error(&params, &pool(&float(&train(), "x", x))), expected);
    };
    says(
        &[8, 28],
        |x| x.max_pool2d(MaxPool2d::new(2)),
        "max_pool2d(f32[8, 28]): expected [N, C, H, W] or [C, H, W], not [8, 28] / the channels come before the \
         image: reshape to [N, C, H, W]",
    );
    says(
        &[8, 3, 28, 28],
        |x| x.max_pool2d(MaxPool2d::new(0)),
        "max_pool2d(f32[8, 3, 28, 28]): the kernel must be positive, not [0, 0] / a kernel of 1 takes every element",
    );
    says(
        &[8, 3, 28, 28],
        |x| x.max_pool2d(MaxPool2d::new(2).padding(2)),
        "max_pool2d(f32[8, 3, 28, 28]): the padding 2 is more than half of the kernel's 2 elements / a window must \
         contain some of the input: pad less, or pad the input itself with `.pad`",
    );
    says(
        &[8, 3, 28, 2],
        |x| x.avg_pool2d(AvgPool2d::new(3)),
        "avg_pool2d(f32[8, 3, 28, 2]): the window spans 3 elements, more than the width of 2 with padding / pad \
         more, or make the kernel or its dilation smaller",
    );
    says(
        &[3, 3],
        |x| x.max_pool1d(MaxPool1d::new(2).dilation(4).padding(1)),
        "max_pool1d(f32[3, 3]): window 0 along the length contains none of the input's 3 elements / pad less, or \
         make the dilation smaller",
    );
    says(
        &[8, 3, 28, 28],
        |x| x.avg_pool2d(AvgPool2d::new(2).divisor_override(0)),
        "avg_pool2d(f32[8, 3, 28, 28]): a sum cannot be divided by 0 / divisor_override(1) gives the sums",
    );
    says(
        &[8, 3, 28, 28],
        |x| x.adaptive_avg_pool2d([0, 1]),
        "adaptive_avg_pool2d(f32[8, 3, 28, 28]): the output size must be positive / None keeps the size of the input",
    );
}

#[test]
fn layers_of_windows_name_their_scope() {
    let params = Params::seeded(0);
    let conv = Conv2d::with(&params.at("conv"), 6, 8, 3, Conv2dOptions::new().groups(4));
    let here = line!() + 1;
    let y = conv.forward(&float(&train(), "x", [8, 6, 28, 28]));
    assert_says(
        &compile_error(&params, &y),
        here,
        "
conv2d(f32[8, 6, 28, 28], f32[8, 6, 3, 3]): 4 groups do not divide 6 input and 8 output channels
  at HERE (in conv)
  fix: choose groups that divide both; 1 means no groups",
    );
    let conv =
        Conv2d::with(&params.at("mirror"), 3, 8, 3, Conv2dOptions::new().padding(2).padding_mode(PaddingMode::Reflect));
    let y = conv.forward(&float(&train(), "x", [8, 3, 28, 2]));
    assert_brief(
        &compile_error(&params, &y),
        "conv2d(f32[8, 3, 28, 2], f32[8, 3, 3, 3]): reflected padding of 2 needs more than the 2 elements of axis 3 / pad less, or use PaddingMode::Replicate",
    );
}

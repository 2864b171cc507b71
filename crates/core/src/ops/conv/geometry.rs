//! Sizes of a convolution, computed from shapes and options and checked.

use std::ops::Range;

use crate::ops::conv::options::{ConvOptions, ConvTransposeOptions, Padding};
use crate::ops::spatial::{check_span, images, name, two, zero};
use crate::{InvalidArgument, Shape};

/// All sizes of a convolution that maps images `[batch, groups·c, image]` to results `[batch, groups·o, result]`,
/// with a weight `[groups·o, c, kernel]`. Along each spatial axis, element `r` of the result reads the image
/// elements `r·stride − before + k·dilation`, for all kernel positions `k`; `before` is the padding in front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub batch: usize,
    pub groups: usize,
    pub c: usize,
    pub o: usize,
    pub image: [usize; 2],
    pub kernel: [usize; 2],
    pub result: [usize; 2],
    pub stride: [usize; 2],
    pub before: [usize; 2],
    pub dilation: [usize; 2],
}

fn channels(count: usize) -> String {
    if count == 1 { "1 channel".into() } else { format!("{count} channels") }
}

/// Returns the kernel sizes of a weight, or an error if the weight has the wrong rank, or a size or option is 0.
fn kernel<const D: usize>(
    weight: &Shape,
    groups: usize,
    steps: [(&str, [usize; D]); 2],
    form: &str,
) -> Result<[usize; 2], InvalidArgument> {
    if weight.rank() != D + 2 {
        return Err(InvalidArgument::new(format!("the weight must be {form}, not {weight}")));
    }
    if weight.dims().contains(&0) {
        return Err(InvalidArgument::new(format!("the weight {weight} has no elements")));
    }
    if let Some((_, invalid)) = zero(&steps) {
        return Err(invalid.fix("1 is PyTorch's default"));
    }
    if groups == 0 {
        return Err(InvalidArgument::new("there must be a group of channels, not 0 of them").fix("groups(1) is none"));
    }
    let mut kernel = [1; 2];
    kernel[2 - D..].copy_from_slice(&weight.dims()[2..]);
    Ok(kernel)
}

fn check_bias(bias: Option<&Shape>, channels: usize) -> Result<(), InvalidArgument> {
    match bias.filter(|bias| bias.dims() != [channels]) {
        None => Ok(()),
        Some(bias) => {
            Err(InvalidArgument::new(format!("the bias must be [{channels}], one per output channel, not {bias}")))
        }
    }
}

impl Geometry {
    pub fn of_conv<const D: usize>(
        x: &Shape,
        weight: &Shape,
        bias: Option<&Shape>,
        options: &ConvOptions<D>,
    ) -> Result<Self, InvalidArgument> {
        let ConvOptions { stride, padding, dilation, groups } = *options;
        let (batch, inputs, image) = images::<D>(x)?;
        let form = format!("[O, C/groups, {}]", if D == 1 { "K" } else { "KH, KW" });
        let kernel = kernel(weight, groups, [("stride", stride), ("dilation", dilation)], &form)?;
        let (outputs, c) = (weight.dims()[0], weight.dims()[1]);
        if c * groups != inputs {
            let (takes, has) = (channels(c * groups), channels(inputs));
            let split = if groups == 1 { String::new() } else { format!(" in {groups} groups") };
            let axis = x.rank() - D - 1;
            return Err(InvalidArgument::new(format!(
                "the weight {weight} takes {takes}{split}, axis {axis} of {x} has {has}"
            ))
            .fix(format!("make the layer for {has}, or the layer before it with {} outputs", c * groups)));
        }
        if outputs % groups != 0 {
            return Err(InvalidArgument::new(format!("{groups} groups do not divide {outputs} output channels"))
                .fix("choose a number that divides the input and the output channels"));
        }
        check_bias(bias, outputs)?;
        let (stride, dilation) = (two(stride, 1), two(dilation, 1));
        let reach = |axis: usize| dilation[axis] * (kernel[axis] - 1);
        let (before, after) = match padding {
            Padding::Sizes(sizes) => (two(sizes, 0), two(sizes, 0)),
            Padding::Same if stride != [1, 1] => {
                return Err(InvalidArgument::new(format!(
                    "padding to the same size needs a stride of 1, not {:?}",
                    options.stride
                ))
                .fix("give the padding as a number: half of dilation · (kernel − 1)"));
            }
            Padding::Same => {
                let half = |axis| reach(axis) / 2;
                ([half(0), half(1)], [reach(0) - half(0), reach(1) - half(1)])
            }
        };
        let mut result = [1; 2];
        for axis in 0..2 {
            let padded = image[axis] + before[axis] + after[axis];
            check_span(reach(axis) + 1, padded, name::<D>(axis))?;
            result[axis] = (padded - reach(axis) - 1) / stride[axis] + 1;
        }
        Ok(Self { batch, groups, c, o: outputs / groups, image, kernel, result, stride, before, dilation })
    }

    pub fn of_conv_transpose<const D: usize>(
        x: &Shape,
        weight: &Shape,
        bias: Option<&Shape>,
        options: &ConvTransposeOptions<D>,
    ) -> Result<Self, InvalidArgument> {
        let ConvTransposeOptions { stride, padding, output_padding, dilation, groups } = *options;
        let (batch, inputs, result) = images::<D>(x)?;
        let form = format!("[C, O/groups, {}]", if D == 1 { "K" } else { "KH, KW" });
        let kernel = kernel(weight, groups, [("stride", stride), ("dilation", dilation)], &form)?;
        if weight.dims()[0] != inputs {
            let (takes, has) = (channels(weight.dims()[0]), channels(inputs));
            let axis = x.rank() - D - 1;
            return Err(InvalidArgument::new(format!(
                "the weight {weight} takes {takes}, axis {axis} of {x} has {has}"
            ))
            .fix("the weight of a transposed convolution is that of the convolution: input channels come first"));
        }
        if inputs % groups != 0 {
            return Err(InvalidArgument::new(format!("{groups} groups do not divide {inputs} input channels"))
                .fix("choose a number that divides the input and the output channels"));
        }
        check_bias(bias, weight.dims()[1] * groups)?;
        if let Some(axis) = (0..D).find(|&axis| output_padding[axis] >= stride[axis].max(dilation[axis])) {
            return Err(InvalidArgument::new(format!(
                "output_padding {} must be smaller than the stride {} or the dilation {}",
                output_padding[axis], stride[axis], dilation[axis]
            ))
            .fix("it chooses among the sizes that the convolution maps to that of the input; it does not pad"));
        }
        let (stride, before, dilation) = (two(stride, 1), two(padding, 0), two(dilation, 1));
        let more = two(output_padding, 0);
        let mut image = [1; 2];
        for axis in 0..2 {
            let full = (result[axis] - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + more[axis] + 1;
            if full <= 2 * before[axis] {
                return Err(InvalidArgument::new(format!(
                    "the padding {} cuts off all of {full} elements",
                    before[axis]
                ))
                .fix("the padding of a transposed convolution makes its result smaller: choose less"));
            }
            image[axis] = full - 2 * before[axis];
        }
        let (c, o) = (weight.dims()[1], inputs / groups);
        Ok(Self { batch, groups, c, o, image, kernel, result, stride, before, dilation })
    }

    pub fn image_shape(&self) -> [usize; 4] {
        [self.batch, self.groups * self.c, self.image[0], self.image[1]]
    }

    pub fn result_shape(&self) -> [usize; 4] {
        [self.batch, self.groups * self.o, self.result[0], self.result[1]]
    }

    pub fn weight_shape(&self) -> [usize; 4] {
        [self.groups * self.o, self.c, self.kernel[0], self.kernel[1]]
    }

    /// Returns the number of elements of a window in one channel.
    pub fn window(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Returns the position in the image, along `axis`, that result element 0 reads for kernel position `k`;
    /// negative in the padding.
    pub fn first(&self, axis: usize, k: usize) -> isize {
        (k * self.dilation[axis]).cast_signed() - self.before[axis].cast_signed()
    }

    /// Returns the range of result elements along `axis` for which kernel position `k` lies inside the image, not
    /// in the padding.
    pub fn reached(&self, axis: usize, k: usize) -> Range<usize> {
        let up = |x: isize| x.max(0).cast_unsigned().div_ceil(self.stride[axis]).min(self.result[axis]);
        let (low, high) = (up(-self.first(axis, k)), up(self.image[axis].cast_signed() - self.first(axis, k)));
        low..high.max(low)
    }
}

//! Pooling windows: their bounds, checks of the pooling options, and the constants that the pooling kernels need.

use crate::{InvalidArgument, Shape, Tensor};

use crate::host::cast::signed;
use crate::ops::spatial::{check_span, images, name, two, zero};

/// Pooling windows along one axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub input: usize,
    pub output: usize,
    pub kind: WindowKind,
}

/// Placement of windows along an axis.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WindowKind {
    /// Window `o` begins at `o·stride − before`.
    Sliding { kernel: usize, stride: usize, before: usize, dilation: usize },
    /// Window `o` contains the elements from `⌊o·input/output⌋` up to, but not including,
    /// `⌈(o + 1)·input/output⌉`.
    Adaptive,
}

impl Axis {
    /// Returns the first element of window `o` inside the input, the end of the window, and the step between its
    /// elements.
    pub fn window(&self, o: usize) -> (usize, usize, usize) {
        match self.kind {
            WindowKind::Sliding { kernel, stride, before, dilation } => {
                let begin = o * stride;
                let skipped = before.saturating_sub(begin).div_ceil(dilation) * dilation;
                let end = (begin + (kernel - 1) * dilation + 1).saturating_sub(before).min(self.input);
                (begin + skipped - before, end, dilation)
            }
            WindowKind::Adaptive => (o * self.input / self.output, ((o + 1) * self.input).div_ceil(self.output), 1),
        }
    }

    /// Returns the size of the windows if they are adjacent, without gaps or overlap, and inside the input.
    pub fn side_by_side(&self) -> Option<usize> {
        match self.kind {
            WindowKind::Sliding { kernel, stride, before: 0, dilation: 1 }
                if kernel == stride && self.output * kernel <= self.input =>
            {
                Some(kernel)
            }
            _ => None,
        }
    }

    /// Returns the constants of a pooling kernel for this axis.
    fn constants(&self) -> [i64; 7] {
        let (kernel, stride, before, dilation) = match self.kind {
            WindowKind::Sliding { kernel, stride, before, dilation } => (kernel, stride, before, dilation),
            WindowKind::Adaptive => (1, 1, 0, 1),
        };
        let adaptive = usize::from(matches!(self.kind, WindowKind::Adaptive));
        [self.input, self.output, kernel, stride, before, dilation, adaptive].map(signed)
    }
}

/// Windows along both axes of an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows(pub [Axis; 2]);

impl Windows {
    pub fn input(&self) -> usize {
        self.0[0].input * self.0[1].input
    }

    pub fn output(&self) -> usize {
        self.0[0].output * self.0[1].output
    }

    /// Returns, for each axis, an upper bound for the number of elements in a window and for the number of windows
    /// that cover an element.
    fn most(&self) -> [usize; 2] {
        self.0.map(|axis| match axis.kind {
            WindowKind::Sliding { kernel, .. } => kernel,
            WindowKind::Adaptive => axis.input.div_ceil(axis.output).max(axis.output.div_ceil(axis.input)) + 1,
        })
    }

    /// Returns an upper bound for the number of elements in a window and for the number of windows that cover an
    /// element.
    pub fn terms(&self) -> usize {
        self.most().iter().product()
    }

    /// Returns an upper bound for the number of iterations of a thread's loops over the rows and columns of a
    /// window.
    pub fn iterations(&self) -> usize {
        let [rows, columns] = self.most();
        rows * (columns + 1)
    }

    /// Returns whether there is a single window that covers the entire image (global pooling).
    pub fn whole(&self) -> bool {
        self.0.iter().all(|axis| match axis.kind {
            WindowKind::Sliding { kernel, before, dilation, .. } => {
                axis.output == 1 && kernel == axis.input && (before, dilation) == (0, 1)
            }
            WindowKind::Adaptive => axis.output == 1,
        })
    }

    /// Returns the constants of a pooling kernel.
    pub fn constants(&self) -> Vec<(&'static str, i64)> {
        let [y, x] = [self.0[0].constants(), self.0[1].constants()];
        let y = ["H", "OH", "KERNEL_Y", "STRIDE_Y", "BEFORE_Y", "DILATION_Y", "ADAPTIVE_Y"].into_iter().zip(y);
        y.chain(["W", "OW", "KERNEL_X", "STRIDE_X", "BEFORE_X", "DILATION_X", "ADAPTIVE_X"].into_iter().zip(x))
            .collect()
    }

    /// Returns the shape of `planes` with its last two axes replaced by `image`.
    pub fn with(planes: &Shape, image: [usize; 2]) -> Shape {
        let lead = &planes.dims()[..planes.rank() - 2];
        Shape::from([lead, &image].concat())
    }

    /// Returns windows that move by a stride, or an error if the options do not fit the input.
    pub fn sliding<const D: usize>(
        x: &Shape,
        kernel: [usize; D],
        stride: [usize; D],
        padding: [usize; D],
        dilation: [usize; D],
        ceil: bool,
    ) -> Result<Self, InvalidArgument> {
        let (_, _, image) = images::<D>(x)?;
        if let Some((name, invalid)) = zero(&[("kernel", kernel), ("stride", stride), ("dilation", dilation)]) {
            return Err(invalid.fix(format!("a {name} of 1 takes every element")));
        }
        let sizes = [two(kernel, 1), two(stride, 1), two(padding, 0), two(dilation, 1)];
        let mut axes = [Axis { input: 1, output: 1, kind: WindowKind::Adaptive }; 2];
        for (axis, made) in axes.iter_mut().enumerate() {
            let [kernel, stride, before, dilation] = sizes.map(|sizes| sizes[axis]);
            *made = Axis::sliding(image[axis], name::<D>(axis), [kernel, stride, before, dilation], ceil)?;
        }
        Ok(Self(axes))
    }

    /// Returns adaptive windows for these output sizes; `None` keeps the size of the input.
    pub fn adaptive<const D: usize>(x: &Shape, output: [Option<usize>; D]) -> Result<Self, InvalidArgument> {
        let (_, _, image) = images::<D>(x)?;
        if output.contains(&Some(0)) {
            return Err(
                InvalidArgument::new("the output size must be positive").fix("None keeps the size of the input")
            );
        }
        let mut sizes = image;
        for (axis, size) in output.into_iter().enumerate() {
            sizes[2 - D + axis] = size.unwrap_or(image[2 - D + axis]);
        }
        Ok(Self([0, 1].map(|axis| Axis { input: image[axis], output: sizes[axis], kind: WindowKind::Adaptive })))
    }

    /// Returns the shape of the input with two spatial axes, and the shape of the result with `spatial` spatial
    /// axes.
    pub fn shapes(&self, x: &Shape, spatial: usize) -> (Shape, Shape) {
        let lead = &x.dims()[..x.rank() - spatial];
        let planes = [lead, &self.0.map(|axis| axis.input)].concat();
        let result = [lead, &self.0.map(|axis| axis.output)[2 - spatial..]].concat();
        (planes.into(), result.into())
    }
}

impl Axis {
    fn sliding(input: usize, name: &str, sizes: [usize; 4], ceil: bool) -> Result<Self, InvalidArgument> {
        let [kernel, stride, before, dilation] = sizes;
        // On overflow the span saturates and is still larger than any input.
        let span = dilation.saturating_mul(kernel - 1).saturating_add(1);
        if before > kernel / 2 {
            return Err(InvalidArgument::new(format!(
                "the padding {before} is more than half of the kernel's {kernel} elements"
            ))
            .fix("a window must contain some of the input: pad less, or pad the input itself with `.pad`"));
        }
        let padded = input.saturating_add(before.saturating_mul(2));
        check_span(span, padded, name)?;
        let mut output = (padded - span + if ceil { stride - 1 } else { 0 }) / stride + 1;
        // The last window must begin inside the input or the padding before it.
        if ceil && (output - 1) * stride >= input + before {
            output -= 1;
        }
        let axis = Self { input, output, kind: WindowKind::Sliding { kernel, stride, before, dilation } };
        let empty = (0..output).find(|&o| {
            let (begin, end, _) = axis.window(o);
            begin >= end
        });
        match empty {
            None => Ok(axis),
            Some(o) => Err(InvalidArgument::new(format!(
                "window {o} along the {name} contains none of the input's {input} elements"
            ))
            .fix("pad less, or make the dilation smaller")),
        }
    }
}

/// Returns the input with two spatial axes, its windows, and the shape of the result, or an invalid tensor as
/// `Err` if the windows do not fit. The caller, and not a closure passed to this function, applies the op:
/// otherwise the op would be attributed to the source line of the closure.
#[track_caller]
pub(crate) fn planes<const D: usize>(
    op: &str,
    x: &Tensor,
    windows: Result<Windows, InvalidArgument>,
) -> Result<(Tensor, Windows, Shape), Tensor> {
    if x.is_valid() && !x.dtype().is_float() {
        let invalid =
            InvalidArgument::new(format!("only floats are pooled, not {}", x.spec())).fix("cast with `.to_f32()`");
        return Err(x.invalid(op, &[], invalid));
    }
    match windows {
        Err(invalid) => Err(x.invalid(op, &[], invalid)),
        Ok(windows) => {
            let (planes, result) = windows.shapes(&x.shape(), D);
            Ok((x.reshape(planes), windows, result))
        }
    }
}

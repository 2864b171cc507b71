//! Code shared by convolutions and pooling: sizes per axis, option setters, and shape checks.

use crate::{InvalidArgument, Shape};

/// One size per spatial axis. A single number means equal sizes along all axes.
///
/// ```
/// use wgrad_core::ops::Sizes;
/// assert_eq!(Sizes::<2>::from(3), Sizes([3, 3]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes<const D: usize>(pub [usize; D]);

impl<const D: usize> From<usize> for Sizes<D> {
    fn from(size: usize) -> Self {
        Self([size; D])
    }
}

impl<const D: usize> From<[usize; D]> for Sizes<D> {
    fn from(sizes: [usize; D]) -> Self {
        Self(sizes)
    }
}

impl<const D: usize> From<Sizes<D>> for [usize; D] {
    fn from(sizes: Sizes<D>) -> Self {
        sizes.0
    }
}

/// Output sizes of adaptive pooling: a single number for all axes, or one number per axis; `None` keeps the size
/// of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputSizes<const D: usize>(pub [Option<usize>; D]);

impl<const D: usize> From<usize> for OutputSizes<D> {
    fn from(size: usize) -> Self {
        Self([Some(size); D])
    }
}

impl<const D: usize> From<[usize; D]> for OutputSizes<D> {
    fn from(sizes: [usize; D]) -> Self {
        Self(sizes.map(Some))
    }
}

impl<const D: usize> From<[Option<usize>; D]> for OutputSizes<D> {
    fn from(sizes: [Option<usize>; D]) -> Self {
        Self(sizes)
    }
}

/// Defines option setters, each named after the field that it sets. A setter declared as `field: Type` accepts an
/// `impl Into<Type>`, a setter declared as `field = Type` accepts a `Type`.
macro_rules! setters {
    () => {};
    ($(#[$about:meta])* $field:ident: $takes:ty, $($rest:tt)*) => {
        $(#[$about])*
        pub fn $field(mut self, $field: impl Into<$takes>) -> Self {
            let given: $takes = $field.into();
            self.$field = given.into();
            self
        }
        $crate::ops::spatial::setters! { $($rest)* }
    };
    ($(#[$about:meta])* $field:ident = $takes:ty, $($rest:tt)*) => {
        $(#[$about])*
        pub fn $field(mut self, $field: $takes) -> Self {
            self.$field = $field;
            self
        }
        $crate::ops::spatial::setters! { $($rest)* }
    };
}
pub(crate) use setters;

/// Returns sizes for two axes. If there is only one axis, the height gets the size `missing`.
pub(crate) fn two<const D: usize>(sizes: [usize; D], missing: usize) -> [usize; 2] {
    let mut two = [missing; 2];
    two[2 - D..].copy_from_slice(&sizes);
    two
}

fn axes(spatial: usize) -> &'static str {
    if spatial == 1 { "L" } else { "H, W" }
}

/// Returns batch size, channels and spatial sizes of the input, whose batch axis is optional.
pub(crate) fn images<const D: usize>(x: &Shape) -> Result<(usize, usize, [usize; 2]), InvalidArgument> {
    let (batch, rest) = match x.dims() {
        dims if dims.len() == D + 1 => (1, dims),
        [batch, rest @ ..] if rest.len() == D + 1 => (*batch, rest),
        _ => {
            let axes = axes(D);
            let invalid = InvalidArgument::new(format!("expected [N, C, {axes}] or [C, {axes}], not {x}"));
            return Err(invalid.fix(format!("the channels come before the image: reshape to [N, C, {axes}]")));
        }
    };
    if let Some(empty) = rest.iter().position(|&size| size == 0) {
        return Err(InvalidArgument::new(format!("axis {} of {x} has no elements", empty + x.rank() - rest.len())));
    }
    let mut sizes = [1; 2];
    sizes[2 - D..].copy_from_slice(&rest[1..]);
    Ok((batch, rest[0], sizes))
}

/// Returns the name of a spatial axis for error messages; with two axes, axis 0 is the height.
pub(crate) fn name<const D: usize>(axis: usize) -> &'static str {
    if D == 1 { "length" } else { ["height", "width"][axis] }
}

/// Returns `None` if no option contains a size of 0, else the name of the first option that does and an error, to
/// which the caller may add a hint with `fix`.
pub(crate) fn zero<'a, const D: usize>(options: &[(&'a str, [usize; D])]) -> Option<(&'a str, InvalidArgument)> {
    let (name, sizes) = options.iter().find(|(_, sizes)| sizes.contains(&0))?;
    Some((name, InvalidArgument::new(format!("the {name} must be positive, not {sizes:?}"))))
}

/// Returns an error if a window spans more elements than an axis has with its padding.
pub(crate) fn check_span(span: usize, padded: usize, name: &str) -> Result<(), InvalidArgument> {
    if span <= padded {
        return Ok(());
    }
    let invalid = InvalidArgument::new(format!(
        "the window spans {span} elements, more than the {name} of {padded} with padding"
    ));
    Err(invalid.fix("pad more, or make the kernel or its dilation smaller"))
}

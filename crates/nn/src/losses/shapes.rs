//! Checks of the arguments of losses whose targets are numbers, not class indices.

use wgrad_core::{InvalidArgument, Tensor};

/// Returns an error unless predictions `x` and targets `y` are `f32` and have the same shape. `what` is the word
/// for `x` in the message, such as "predictions".
pub(super) fn invalid(x: &Tensor, y: &Tensor, what: &str) -> Option<InvalidArgument> {
    let (own, targets) = (x.shape(), y.shape());
    if !x.dtype().is_float() {
        return Some(
            InvalidArgument::new(format!("the {what} are f32, not u32"))
                .fix(format!("the {what} come first, then the targets; cast with `.to_f32()`")),
        );
    }
    if own != targets {
        let invalid = InvalidArgument::new(format!("targets {targets} must have the shape of the {what} {own}"));
        return Some(match (own.dims(), targets.dims()) {
            ([n, 1], [m]) if n == m => invalid
                .fix(format!("give the targets the shape {own}: `.unsqueeze(1)`"))
                .fix(format!("or drop the last axis of the {what}: `.squeeze(1)`"))
                .fix(format!("broadcast, they would be [{n}, {n}]: every row against every target")),
            ([n], [m, 1]) if n == m => invalid
                .fix("drop the last axis of the targets: `.squeeze(1)`")
                .fix(format!("or give the {what} the shape {targets}: `.unsqueeze(1)`")),
            _ => invalid
                .fix("shapes must be equal, they do not broadcast; if broadcasting is intended, `.expand(…)` one side"),
        });
    }
    (!y.dtype().is_float())
        .then(|| InvalidArgument::new("targets are numbers, f32, not u32").fix("cast with `.to_f32()`"))
}

/// Performs the checks of [`invalid`] for targets that must be −1 or 1; the error about `u32` targets suggests how
/// to convert labels 0 and 1.
pub(super) fn invalid_signs(x: &Tensor, y: &Tensor, what: &str) -> Option<InvalidArgument> {
    invalid(x, y, what).map(|invalid| {
        let zero_or_one = invalid.message.contains("not u32");
        if zero_or_one { invalid.fix("labels 0 and 1 become −1 and 1 by `y.to_f32() * 2.0 - 1.0`") } else { invalid }
    })
}

/// Returns an error unless `value`, the value of the option `name`, is finite and `fits` is `true`. `range`
/// describes the permitted numbers.
pub(super) fn invalid_option(name: &str, value: f64, fits: bool, range: &str) -> Option<InvalidArgument> {
    (!fits || !value.is_finite()).then(|| InvalidArgument::new(format!("{name} must be {range}, not {value}")))
}

/// Returns an error unless all `vectors` are `f32` and have the same shape, with at least one axis.
pub(super) fn invalid_vectors(vectors: &[&Tensor]) -> Option<InvalidArgument> {
    let shape = vectors[0].shape();
    if vectors.iter().any(|x| !x.dtype().is_float()) {
        return Some(InvalidArgument::new("vectors are f32, not u32").fix("cast with `.to_f32()`"));
    }
    if let Some(other) = vectors.iter().map(|x| x.shape()).find(|other| *other != shape) {
        return Some(
            InvalidArgument::new(format!("all vectors must have the same shape, not {shape} and {other}"))
                .fix("shapes must be equal, they do not broadcast; if broadcasting is intended, `.expand(…)` one side"),
        );
    }
    (shape.rank() == 0).then(|| InvalidArgument::new("a scalar is not a vector").fix("give vectors [N, D] or [D]"))
}

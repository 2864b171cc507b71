//! Flatten: the axes of a sample become one.

module! {
    /// One axis of all axes but the first: `[N, C, H, W]` becomes `[N, C·H·W]`, and `[N]` becomes `[N, 1]`.
    pub struct Flatten; |x| {
        if !x.is_valid() {
            return x.clone();
        }
        let shape = x.shape();
        match shape.dims() {
            [] => x.reshape([1]),
            [n, rest @ ..] => x.reshape([*n, rest.iter().product()]),
        }
    }
}

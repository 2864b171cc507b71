//! The flatten layer.

module! {
    /// Flattens all axes except the first: `[N, C, H, W]` becomes `[N, C·H·W]`, and `[N]` becomes `[N, 1]`;
    /// PyTorch's `Flatten`.
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

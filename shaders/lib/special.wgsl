// Functions that WGSL lacks or computes too coarsely.

// log(1 + u) for u > -1: 2·atanh(u / (2 + u)) as a series where the built-in logarithm loses the small digits.
fn special_log1p(u: f32) -> f32 {
    let s = u / (2.0 + u);
    let z = s * s;
    let series =
        1.0 + z * (1.0 / 3.0 + z * (0.2 + z * (1.0 / 7.0 + z * (1.0 / 9.0 + z * (1.0 / 11.0 + z / 13.0)))));
    return select(log(1.0 + u), 2.0 * s * series, abs(u) <= 1.0);
}

// log(1 + exp(x)), without overflow.
fn special_softplus(x: f32) -> f32 {
    return max(x, 0.0) + special_log1p(exp(-abs(x)));
}

// 1 / (1 + exp(-x)), accurate on both sides and without overflow.
fn special_sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

// Functions that WGSL lacks, or for which it allows large errors.
//
// They are log near 1, log1p, tanh, sigmoid, softplus, erf, erfc, pow with a negative base, expm1, sin and cos.
// They also work with compilers that assume that there is no NaN and no infinity: branches are `select`, exp never
// overflows, and the argument of `select` that is not chosen never affects the result. If a device preserves NaN,
// the functions return NaN for NaN.
//
// The coefficients of the polynomials were fitted for wgrad (minimax by Remez exchange in 40 digits, weighted for
// relative error). Errors are given in units in the last place (ULP) of f32; they were measured against 40-digit
// values, with a correctly rounded exp, log and division. On a device, the errors of these three are added; WGSL
// allows 3 + 2·|argument| ULP in exp, 3 ULP in log outside [0.5, 2], and 2.5 ULP in division.

// Returns whether x is NaN. Tests the bits, because compilers may assume that no operand of a comparison is NaN.
fn special_is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// log(1 + u) for u > -1, with an error of at most 1.8 ULP.
//
// Near 0 it is a series in s = u / (2 + u): log(1 + u) = 2·atanh(s) = 2s·(1 + s²/3 + s⁴/5 + …), where |s| ≤ 1/3.
fn special_log1p(u: f32) -> f32 {
    let near = min(max(u, -0.5), 1.0);
    let s = near / (2.0 + near);
    let q = s * s;
    let tail = q * (0.3333333775 + q * (0.1999944418 + q * (0.1430829842 + q * (0.1071536992 + q * 0.1214478052))));
    let series = 2.0 * s + 2.0 * s * tail;
    return select(log(1.0 + u), series, u == near);
}

// log(x) for x > 0, with an error of at most 1.9 ULP. In [0.5, 2], where WGSL allows log large relative errors, it
// is special_log1p(x − 1); x − 1 is exact there.
fn special_log(x: f32) -> f32 {
    return select(log(x), special_log1p(x - 1.0), x >= 0.5 && x <= 2.0);
}

// tanh(x), with an error of at most 1.3 ULP.
//
// It is an odd polynomial for |x| < 0.625, otherwise 1 - 2 / (exp(2|x|) + 1) with the sign of x; tanh(15) is 1 in
// f32.
fn special_tanh(x: f32) -> f32 {
    let s = x * x;
    let p = s * (-0.3333328194 + s * (0.1333144220 + s * (-0.05373971523 + s * (0.02063908768 - s * 0.00570498745))));
    let far = 1.0 - 2.0 / (exp(2.0 * min(abs(x), 15.0)) + 1.0);
    return select(x + x * p, select(-far, far, x > 0.0), abs(x) >= 0.625);
}

// sigmoid(x) = 1 / (1 + exp(-x)), with a relative error of at most 2.2 ULP for both signs of x.
fn special_sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

// softplus(x) = log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), with an error of at most 2.2 ULP.
fn special_softplus(x: f32) -> f32 {
    return max(x, 0.0) + special_log1p(exp(-abs(x)));
}

// erfc(z) for z ≥ 0.5, computed as exp(-z²)·P(t) / (1 + 2z) with t = (z - 2) / (z + 2).
//
// The polynomial P was fitted on [0.5, 10]; for larger z, erfc is below the smallest f32. Rounding z² adds an
// error of up to z² ULP.
fn special_erfc_far(z: f32) -> f32 {
    let near = min(z, 10.0);
    let t = (near - 2.0) / (near + 2.0);
    let p = 1.276978381 + t * (-0.09276357419 + t * (-0.1660304167 + t * (0.1640423651 + t * (-0.05421803136
        + t * (-0.007947598098 + t * (0.00869318409 + t * (0.0009491224552 - t * 0.001317060228)))))));
    return exp(-near * near) * p / (1.0 + 2.0 * near);
}

// erf(x) for |x| ≤ 1, computed with an odd polynomial.
fn special_erf_near(x: f32) -> f32 {
    let s = x * x;
    let p = 0.128379166 + s * (-0.3761262582 + s * (0.1128358515 + s * (-0.02685381194 + s * (0.005188327694
        + s * (-0.0008010193752 + s * 0.00007853861925)))));
    return x + x * p;
}

// erf(x), the error function, with an error of at most 1.0 ULP.
fn special_erf(x: f32) -> f32 {
    let far = 1.0 - special_erfc_far(max(abs(x), 1.0));
    return select(special_erf_near(x), select(-far, far, x > 0.0), abs(x) >= 1.0);
}

// erfc(x) = 1 - erf(x), with a relative error of at most 3 + x² ULP, also where the result is small.
fn special_erfc(x: f32) -> f32 {
    let far = special_erfc_far(max(abs(x), 0.5));
    return select(1.0 - special_erf_near(x), select(2.0 - far, far, x > 0.0), abs(x) >= 0.5);
}

// The distribution function of the standard normal distribution: erfc(-x/√2) / 2.
fn special_normal_cdf(x: f32) -> f32 {
    return 0.5 * special_erfc(-0.7071067812 * x);
}

// The density of the standard normal distribution: exp(-x²/2) / √(2π).
fn special_normal_pdf(x: f32) -> f32 {
    return 0.3989422804 * exp(-0.5 * x * x);
}

// Returns s(v) and x·s'(v)·v'(x) for the tanh approximation of GELU, which is x·s(v) with s = sigmoid, v = a·(x +
// b·x³), a = 2·√(2/π) and b = 0.044715. The sum of the two results is the derivative with respect to x. x is
// clamped to ±10, beyond which both results are constant in f32.
fn special_gelu_tanh(x: f32) -> vec2<f32> {
    let near = min(max(x, -10.0), 10.0);
    let square = near * near;
    let v = 1.5957691216 * near * (1.0 + 0.044715 * square);
    let s = special_sigmoid(v);
    let slope = 1.5957691216 * (1.0 + 0.134145 * square);
    return vec2(s, near * s * special_sigmoid(-v) * slope);
}

// x^p as in C: 0^p = 0 for p > 0, x^0 = 1; for negative x, the power if p is an integer, else NaN.
//
// WGSL computes pow as exp2(p·log2(x)), which is undefined for x ≤ 0. All numbers of 2²⁴ and above in f32 are even
// integers.
fn special_pow(x: f32, p: f32) -> f32 {
    let size = abs(x);
    let power = pow(select(size, 1.0, size == 0.0), p);
    let odd = floor(p) == p && abs(p) < 16777216.0 && floor(0.5 * p) != 0.5 * p;
    let nan = bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u);
    let signed = select(select(nan, power, floor(p) == p), -power, odd);
    let at_zero = select(1.0 / size, 0.0, p > 0.0);
    return select(select(select(power, signed, x < 0.0), at_zero, size == 0.0), 1.0, p == 0.0);
}

// The focal loss of a logit x with target y, mᵞ·L, and its derivative with respect to x, mᵞ·(L' + γ·L·m'/m). L is
// the binary cross-entropy, and m = (1 - y)·σ(x) + y·σ(-x) is the probability of the wrong answer.
//
// With e = exp(-|x|), the larger of σ(x) and σ(-x) is 1 / (1 + e), the smaller e / (1 + e); `big` and `small` are
// the factors of these two in m. If `big` is 0, log m is computed as log(small) - |x| - log(1 + e), which stays
// finite even if e is 0 in f32.
fn special_focal(x: f32, y: f32, gamma: f32) -> vec2<f32> {
    let size = abs(x);
    let e = exp(-size);
    let big = select(y, 1.0 - y, x >= 0.0);
    let small = select(1.0 - y, y, x >= 0.0);
    let only = big == 0.0;
    let mixed = select(big + small * e, 1.0, only);
    let log_1e = special_log1p(e);
    let log_m = select(special_log(mixed), special_log(select(1.0, small, only)) - size, only) - log_1e;
    let power = exp(gamma * log_m);
    let cost = big * size + log_1e;
    let bend = select((big - small) * e / mixed, -1.0, only);
    let slope = power * (big - small * e + gamma * cost * bend) / (1.0 + e);
    return vec2(power * cost, select(-slope, slope, x >= 0.0));
}

// The focal loss c·mᵞ for a cross-entropy c ≥ 0, and its derivative with respect to c, mᵞ·(1 + γ·exp(-c)·c/m).
// Here m = 1 - exp(-c), computed as (1 + exp(-c))·tanh(c/2), is the probability of the wrong answer.
fn special_focal_of(c: f32, gamma: f32) -> vec2<f32> {
    let p = exp(-c);
    let m = (1.0 + p) * special_tanh(0.5 * c);
    let certain = m == 0.0;
    let power = select(exp(gamma * special_log(select(m, 1.0, certain))), select(0.0, 1.0, gamma == 0.0), certain);
    let ratio = select(c / select(m, 1.0, certain), 1.0, certain);
    return vec2(c * power, power * (1.0 + gamma * p * ratio));
}

// exp(x) - 1 for x ≤ 0, computed as 2t / (1 - t) with t = tanh(x/2). The error is at most 6 ULP.
fn special_expm1(x: f32) -> f32 {
    let t = special_tanh(0.5 * x);
    return 2.0 * t / (1.0 - t);
}

// t = tanh(log(1 + exp(x))), which is Mish divided by x, and its derivative t' with respect to x. Both have a
// small relative error: t = s·(1 + q) / (1 + q²) and t' = 4·q²·s / (1 + q²)², with s = sigmoid(x) and q =
// sigmoid(-x).
fn special_mish(x: f32) -> vec2<f32> {
    let s = special_sigmoid(x);
    let q = special_sigmoid(-x);
    let below = 1.0 + q * q;
    return vec2(s * (1.0 + q) / below, 4.0 * (q / below) * (q / below) * s);
}

// sin(x) if `quadrants` is 0, cos(x) if it is 1. The error is at most 2 ULP, plus that of the argument reduction.
//
// k is x·2/π, rounded to an integer. To subtract k·π/2 from x, π/2 is split into three numbers, and k times each
// of them is subtracted in turn. The first two products are exact for |x| up to 25,000; for larger x, accuracy is
// lost. The remainder r, with |r| of at most π/4, is the argument of an odd polynomial for the sine and an even
// one for the cosine.
fn special_sin(x: f32, quadrants: u32) -> f32 {
    let k = round(min(max(x, -1e9), 1e9) * 0.6366197724);
    let r = ((x - k * 1.5703125) - k * 0.00048351287841796875) - k * 3.1391647865e-7;
    let s = r * r;
    let odd = r + r * s * (-0.1666665308 + s * (0.008332063874 - s * 0.0001950213474));
    let even = 1.0 - s * (0.5 - s * (0.04166664298 + s * (-0.00138871847 + s * 0.00002441812834)));
    let quadrant = bitcast<u32>(i32(k)) + quadrants;
    let value = select(odd, even, (quadrant & 1u) == 1u);
    return select(value, -value, (quadrant & 2u) == 2u);
}

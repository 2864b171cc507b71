//! Elementary functions in `f32` without branches, function calls or lookup tables, so that the compiler can
//! vectorise loops that use them. Every step is an addition, multiplication or division that is rounded by itself,
//! so the result has the same bits on every machine.
//!
//! The polynomials are minimax fits that minimise the relative error of the function. The approximation error is
//! below a tenth of a unit in the last place (ulp). With rounding, results are within 2 ulp, which the test below
//! checks.

/// Bits of 1 as an `f32`.
const ONE: u32 = 0x3f80_0000;
/// Bits of `√½` as an `f32`.
const ROOT: u32 = 0x3f35_04f3;
/// Two numbers whose sum is `ln 2`. The first has so few significant bits that its product with any exponent is
/// exact.
const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];

/// Returns `c[0] + c[1]·x + c[2]·x² + …`.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut sum = c[N - 1];
    for i in (0..N - 1).rev() {
        sum = sum * x + c[i];
    }
    sum
}

/// Returns `2ⁿ` for `-126 ≤ n ≤ 127`.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(ONE.wrapping_add_signed(n << 23))
}

/// Computes `eˣ = 2ⁿ·eʳ` with `x = n·ln 2 + r`, `|r| ≤ ln 2 / 2`, and `eʳ = 1 + r + r²·P(r)`, where `P` is a
/// polynomial.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ to a number rounds it to an integer, which the low bits of the sum then contain.
    const WHOLE: f32 = 12_582_912.0;
    const P: [f32; 5] = [0.499_999_94, 0.166_665_15, 0.041_668_456, 0.008_369_419, 0.001_381_314_2];
    // Beyond these bounds the result is 0 or infinity anyway. NaN fails both comparisons and stays NaN.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + WHOLE;
    let n = shifted.to_bits().wrapping_sub(WHOLE.to_bits()).cast_signed();
    let whole = shifted - WHOLE;
    let r = (x - whole * LN_2[0]) - whole * LN_2[1];
    let y = polynomial(r, P) * (r * r) + r + 1.0;
    // The result is scaled by 2ⁿ in two steps, because 2ⁿ itself may be out of range.
    let half = n >> 1;
    y * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// Computes `log(1 + f) - f = -f²/2 + f³·P(f)` for `√½ ≤ 1 + f ≤ √2`, where `P` is a polynomial.
#[inline(always)]
fn ln_near_one(f: f32) -> f32 {
    const P: [f32; 9] = [
        0.333_333_13,
        -0.250_000_1,
        0.200_021_19,
        -0.166_679_96,
        0.142_195_51,
        -0.124_055_92,
        0.118_881_78,
        -0.116_756_39,
        0.067_465_92,
    ];
    let square = f * f;
    polynomial(f, P) * (square * f) - 0.5 * square
}

/// Computes `log x = e·ln 2 + log(1 + f)` with `x = 2ᵉ·(1 + f)`, plus a small `correction`.
#[inline(always)]
fn ln_corrected(x: f32, correction: f32) -> f32 {
    // The exponent bits of a subnormal number are 0, so it is scaled up first.
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    // Subtracting the bits of √½ makes `e` the exponent of the power of two for which x / 2ᵉ is in [√½, √2).
    let above = scaled.to_bits().wrapping_sub(ROOT);
    let e = above.cast_signed() >> 23;
    let f = f32::from_bits((above & 0x007f_ffff) + ROOT) - 1.0;
    let e = e as f32 - if tiny { 23.0 } else { 0.0 };
    let y = (ln_near_one(f) + (e * LN_2[1] + correction)) + f + e * LN_2[0];
    let y = if x < f32::INFINITY { y } else { x };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x < 0.0 { f32::NAN } else { y }
}

/// Computes the natural logarithm.
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
    ln_corrected(x, 0.0)
}

/// Computes `log(1 + x) = log u + log((1 + x) / u)`, where `u` is the rounded sum `1 + x` and the second term is
/// `(x - (u - 1)) / u`.
#[inline(always)]
pub(crate) fn ln_1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let y = ln_corrected(u, (x - (u - 1.0)) / u);
    // Where |x| < 1e-10, log(1 + x) rounds to x. Returning x also preserves -0.
    if x.abs() < 1e-10 { x } else { y }
}

/// Computes the hyperbolic tangent: `x + x³·P(x²)` with a polynomial `P` for `|x| < 0.625`, else
/// `1 - 2 / (e^(2|x|) + 1)` with the sign of `x`.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    const P: [f32; 5] = [-0.333_332_63, 0.133_308_99, -0.053_692_963, 0.020_483_306, -0.005_528_624_6];
    let square = x * x;
    let near = polynomial(square, P) * (square * x) + x;
    let far = 1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0);
    (if x.abs() < 0.625 { near } else { far }).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the largest error, in units in the last place, over every `step`-th `f32` number of a range. With
    /// `both`, the negatives of these numbers are tested as well.
    fn worst(f: fn(f32) -> f32, truth: fn(f64) -> f64, positive: std::ops::Range<f32>, step: usize, both: bool) -> f64 {
        let mut worst = 0.0f64;
        for bits in (positive.start.to_bits()..positive.end.to_bits()).step_by(step) {
            let x = f32::from_bits(bits);
            for x in if both { vec![x, -x] } else { vec![x] } {
                let (got, exact) = (f64::from(f(x)), truth(f64::from(x)));
                let exponent = (exact.abs().log2().floor() as i32).max(-126);
                let error = (got - exact).abs() / 2.0f64.powi(exponent - 23);
                if exact.abs() < f64::from(f32::MAX) && exact != 0.0 {
                    assert!(error.is_finite(), "f({x:e}) is {got:e}, not {exact:e}");
                    worst = worst.max(error);
                }
            }
        }
        worst
    }

    #[test]
    fn functions_are_within_two_units_in_the_last_place() {
        let tiny = f32::from_bits(1);
        let errors = [
            ("exp", worst(exp, f64::exp, 1e-9..110.0, 97, true)),
            ("ln", worst(ln, f64::ln, tiny..f32::MAX, 397, false)),
            ("ln near 1", worst(ln, f64::ln, 0.5..2.0, 13, false)),
            ("ln_1p", worst(ln_1p, f64::ln_1p, tiny..f32::MAX, 397, false)),
            ("ln_1p below 0", worst(|x| ln_1p(-x), |x| f64::ln_1p(-x), tiny..1.0, 397, false)),
            ("tanh", worst(tanh, f64::tanh, tiny..20.0, 397, true)),
        ];
        assert!(errors.iter().all(|(_, error)| *error <= 2.0), "{errors:?}");
    }

    /// Function, argument, and expected result.
    type Case = (fn(f32) -> f32, f32, f32);

    #[test]
    fn functions_keep_their_limits() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        let cases: [Case; 19] = [
            (exp, inf, inf),
            (exp, -inf, 0.0),
            (exp, 0.0, 1.0),
            (exp, 88.73, inf),
            (exp, -104.0, 0.0),
            (exp, nan, nan),
            (ln, inf, inf),
            (ln, 0.0, -inf),
            (ln, -0.0, -inf),
            (ln, 1.0, 0.0),
            (ln, -1.0, nan),
            (ln, -inf, nan),
            (ln, nan, nan),
            (ln_1p, inf, inf),
            (ln_1p, -1.0, -inf),
            (ln_1p, -1.5, nan),
            (ln_1p, nan, nan),
            (tanh, -inf, -1.0),
            (tanh, nan, nan),
        ];
        for (i, (f, x, y)) in cases.into_iter().enumerate() {
            let got = f(x);
            assert!(got.to_bits() == y.to_bits() || got.is_nan() && y.is_nan(), "case {i}: f({x}) is {got}, not {y}");
        }
        assert_eq!(ln_1p(-0.0).to_bits(), (-0.0f32).to_bits());
        assert_eq!(tanh(-0.0).to_bits(), (-0.0f32).to_bits());
    }
}

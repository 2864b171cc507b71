//! Initial distributions of weights and biases, with the bounds of PyTorch's `torch.nn.init`.
//!
//! ```
//! use wgrad_core::{Init, Params};
//! use wgrad_nn::{init, layers::{Linear, LinearOptions}};
//! let p = Params::seeded(7);
//! let options = LinearOptions::new().weight_init(init::xavier_uniform(30, 64, 1.0));
//! let fc1 = Linear::with(&p.at("fc1"), 30, 64, options);
//! ```

use wgrad_core::Init;

/// Returns the gain of a leaky ReLU with negative slope `slope`: `sqrt(2 / (1 + slope²))`. For a ReLU (slope 0)
/// the gain is `sqrt(2)`.
///
/// Initial weights scaled with this gain keep the variance of activations constant from layer to layer.
pub fn leaky_relu_gain(slope: f64) -> f64 {
    (2.0 / (1.0 + slope * slope)).sqrt()
}

fn count(fan: usize) -> f64 {
    fan as f64
}

/// Returns the uniform distribution in ±`sqrt(3) · gain / sqrt(fan_in)`, where `gain` is [`leaky_relu_gain`] of
/// the negative slope `a`; PyTorch's `kaiming_uniform_`.
///
/// PyTorch's layers use `a = sqrt(5)`, for which the bound is `1 / sqrt(fan_in)`. If `fan_in` is 0, all values are
/// 0.
///
/// He et al.: "Delving deep into rectifiers", 2015.
pub fn kaiming_uniform(fan_in: usize, a: f64) -> Init {
    if fan_in == 0 {
        return Init::Constant(0.0);
    }
    let bound = 3.0f64.sqrt() * (leaky_relu_gain(a) / count(fan_in).sqrt());
    Init::Uniform(-bound, bound)
}

/// Returns the normal distribution with standard deviation `gain / sqrt(fan_in)`, where `gain` is
/// [`leaky_relu_gain`] of the negative slope `a`; PyTorch's `kaiming_normal_`.
///
/// If `fan_in` is 0, all values are 0.
pub fn kaiming_normal(fan_in: usize, a: f64) -> Init {
    if fan_in == 0 {
        return Init::Constant(0.0);
    }
    Init::Normal(0.0, leaky_relu_gain(a) / count(fan_in).sqrt())
}

/// Returns the uniform distribution in ±`gain · sqrt(6 / (fan_in + fan_out))`; PyTorch's `xavier_uniform_`.
///
/// If `fan_in` and `fan_out` are 0, all values are 0.
pub fn xavier_uniform(fan_in: usize, fan_out: usize, gain: f64) -> Init {
    if fan_in + fan_out == 0 {
        return Init::Constant(0.0);
    }
    // The order of operations is PyTorch's, so that this bound has the same bits as PyTorch's.
    let bound = 3.0f64.sqrt() * (gain * (2.0 / count(fan_in + fan_out)).sqrt());
    Init::Uniform(-bound, bound)
}

/// Returns the normal distribution with standard deviation `gain · sqrt(2 / (fan_in + fan_out))`; PyTorch's
/// `xavier_normal_`.
///
/// If `fan_in` and `fan_out` are 0, all values are 0.
pub fn xavier_normal(fan_in: usize, fan_out: usize, gain: f64) -> Init {
    if fan_in + fan_out == 0 {
        return Init::Constant(0.0);
    }
    Init::Normal(0.0, gain * (2.0 / count(fan_in + fan_out)).sqrt())
}

/// Returns the uniform distribution in ±`1 / sqrt(fan_in)`, which PyTorch's layers use for biases.
///
/// If `fan_in` is 0, all values are 0, as in PyTorch.
pub fn bias(fan_in: usize) -> Init {
    let bound = if fan_in == 0 { 0.0 } else { 1.0 / count(fan_in).sqrt() };
    Init::Uniform(-bound, bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_those_of_pytorch() {
        let Init::Uniform(low, high) = kaiming_uniform(4, 5.0f64.sqrt()) else { panic!() };
        // With PyTorch's order of operations, the bound is rounded to this number instead of 0.5.
        assert_eq!((low, high), (-0.499_999_999_999_999_94, 0.499_999_999_999_999_94));
        let Init::Uniform(_, high) = xavier_uniform(3, 3, 1.0) else { panic!() };
        assert!((high - 1.0).abs() < 1e-15);
        let Init::Normal(_, std) = kaiming_normal(8, 0.0) else { panic!() };
        assert!((std - 0.5).abs() < 1e-15);
        let Init::Uniform(_, high) = bias(0) else { panic!() };
        assert_eq!(high.to_bits(), 0);
    }
}

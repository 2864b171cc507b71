//! Activations as modules, for [`Sequential`](crate::Sequential); in a formula, call the op: `x.relu()`.

use wgrad_core::Tensor;
use wgrad_kernels::ops::ActivationOps;

use crate::Module;

macro_rules! activation {
    ($(#[$doc:meta])* $Name:ident => $op:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $Name;

        impl Module for $Name {
            #[track_caller]
            fn forward(&self, x: &Tensor) -> Tensor {
                x.$op()
            }
        }
    };
}

activation! {
    /// `max(x, 0)`.
    Relu => relu
}
activation! {
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid => sigmoid
}
activation! {
    /// The hyperbolic tangent.
    Tanh => tanh
}
activation! {
    /// `x · sigmoid(x)`.
    Silu => silu
}
activation! {
    /// `log(1 + eˣ)`.
    Softplus => softplus
}
activation! {
    /// `log(sigmoid(x))`.
    LogSigmoid => log_sigmoid
}

/// `x` above 0, `slope · x` below.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeakyRelu {
    /// The factor below 0.
    pub slope: f64,
}

impl Default for LeakyRelu {
    fn default() -> Self {
        Self { slope: 0.01 }
    }
}

impl Module for LeakyRelu {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.leaky_relu(self.slope)
    }
}

/// `x · Φ(x)` with the normal distribution function Φ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gelu {
    /// Whether to use the approximation by tanh (PyTorch's `approximate="tanh"`).
    pub tanh: bool,
}

impl Module for Gelu {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        if self.tanh { x.gelu_tanh() } else { x.gelu() }
    }
}

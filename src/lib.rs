//! Training of neural networks from Rust, on any GPU that wgpu supports, checked against a CPU reference.
//!
//! A model is a struct of layers. A training step is a graph that is planned once. If an op is invalid, an error
//! names its source line and suggests a fix before the first step runs.
//!
//! ```
//! use wgrad::prelude::*;
//!
//! struct Classifier { fc1: Linear, bn1: BatchNorm1d, fc2: Linear }
//!
//! impl Classifier {
//!     fn new(p: &Params, features: usize) -> Self {
//!         Self {
//!             fc1: Linear::new(&p.at("fc1"), features, 64),
//!             bn1: BatchNorm1d::new(&p.at("bn1"), 64),
//!             fc2: Linear::new(&p.at("fc2"), 64, 1),
//!         }
//!     }
//! }
//!
//! impl Module for Classifier {
//!     fn forward(&self, x: &Tensor) -> Tensor {
//!         self.fc2.forward(&self.bn1.forward(&self.fc1.forward(x)).relu())
//!     }
//! }
//!
//! # let file: String = (0..60).map(|i| format!("{},{},{}\n", i % 7, (i * 5) % 11, u8::from(i % 7 > 3))).collect();
//! # let read = || Table::parse("tumours.csv", format!("radius,texture,malignant\n{file}").as_bytes());
//! # /*
//! let table = Table::read_csv("tumours.csv")?.target("malignant")?;
//! # */
//! # let table = read()?.target("malignant")?;
//! let (train, test) = table.split(0.8, Seed(7))?;
//! let params = Params::seeded(7);
//! let model = Classifier::new(&params, train.features());
//! let loss = BceWithLogitsLoss::new().pos_weight(train.pos_weight());
//!
//! let mut trainer = Trainer::new(Device::cpu(), &params).optimizer(AdamW::new(1e-2)).batch_size(16);
//! # let mut trainer = trainer.progress(wgrad::train::Silent);
//! trainer.fit(&train, 5, |x, y| loss.forward(&model.forward(x), y))?;
//! println!("{}", trainer.evaluate(&test, |x| model.forward(x))?);
//! # let folder = std::env::temp_dir().join(format!("wgrad-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder).unwrap();
//! # let path = folder.join("model.safetensors");
//! # /*
//! params.save("model.safetensors")?;
//! # */
//! # params.save(&path)?;
//! # Ok::<(), wgrad::Error>(())
//! ```
//!
//! Start with [`prelude`]. The other modules are [`core`] (graphs, plans, sessions, the CPU reference), [`ops`]
//! (all ops), [`gpu`] (devices), [`nn`] (layers, losses, optimizers), [`data`], [`metrics`] and [`train`] (the
//! trainer). With the feature `parity`, the module `parity` tests whether a device computes what the reference
//! computes.

pub use wgrad_core as core;
#[cfg(not(target_arch = "wasm32"))]
pub use wgrad_core::audit;
pub use wgrad_core::ops;
pub use wgrad_core::{Error, Result};
pub use wgrad_data as data;
pub use wgrad_kernels as gpu;
#[cfg(feature = "fault-injection")]
pub use wgrad_kernels::fault_injection;
pub use wgrad_metrics as metrics;
pub use wgrad_nn as nn;
#[cfg(feature = "parity")]
pub use wgrad_parity as parity;
#[cfg(not(target_arch = "wasm32"))]
pub use wgrad_train as train;

/// Names that most programs need, imported with `use wgrad::prelude::*;`.
pub mod prelude {
    pub use wgrad_core::ops::{
        AvgPool, ConvOptions, ConvTransposeOptions, MaxPool, OutputSizes, Padding, Sizes, cat, einsum, stack,
    };
    pub use wgrad_core::{
        Array, CpuBackend, DType, Error, Graph, Init, Kind, Mode, Params, Result, Session, Shape, Step, Tensor,
        Variable, gradients, vjp,
    };
    #[cfg(not(target_arch = "wasm32"))]
    pub use wgrad_core::{Audit, Lockstep, audit};
    pub use wgrad_data::{Augment, Batches, Dataset, KFold, Missing, Preprocess, Sampler, Seed, Split, Table};
    pub use wgrad_kernels::Device;
    pub use wgrad_metrics::{Calibrate, Decision, Report, Rule};
    pub use wgrad_nn::layers::*;
    pub use wgrad_nn::losses::*;
    pub use wgrad_nn::optim::schedule::{
        ChainedScheduler, ConstantLr, CosineAnnealingLr, CosineAnnealingWarmRestarts, CyclicLr, ExponentialLr,
        LambdaLr, LinearLr, MultiStepLr, MultiplicativeLr, OneCycleLr, PolynomialLr, ReduceLrOnPlateau, Scheduler,
        SequentialLr, StepLr,
    };
    pub use wgrad_nn::optim::{
        Adadelta, Adagrad, Adam, AdamW, Adamax, Ema, LearningRate, Lion, NAdam, Optimizer, RAdam, RmsProp, Select, Sgd,
    };
    pub use wgrad_nn::{Load, Module, Sequential, StateDict, lints};
    pub use wgrad_train::prior::Prior;
    #[cfg(not(target_arch = "wasm32"))]
    pub use wgrad_train::report::{RunReport, Scores};
    #[cfg(not(target_arch = "wasm32"))]
    pub use wgrad_train::{Callback, Checkpoints, EarlyStopping, LrFinder, Recording, Targets, Trainer};
}

/// Code blocks of the README and of the guide, compiled and, where possible, run as doctests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/checkpoints.md")]
    struct Checkpoints;
    #[doc = include_str!("../docs/custom-ops.md")]
    struct CustomOps;
    #[doc = include_str!("../docs/data.md")]
    struct Data;
    #[doc = include_str!("../docs/decisions.md")]
    struct Decisions;
    #[doc = include_str!("../docs/drivers.md")]
    struct Drivers;
    #[doc = include_str!("../docs/errors.md")]
    struct Errors;
    #[doc = include_str!("../docs/from-burn.md")]
    struct FromBurn;
    #[doc = include_str!("../docs/from-candle.md")]
    struct FromCandle;
    #[doc = include_str!("../docs/from-pytorch.md")]
    struct FromPytorch;
    #[doc = include_str!("../docs/lockstep.md")]
    struct Lockstep;
    #[doc = include_str!("../docs/rare-classes.md")]
    struct RareClasses;
    #[doc = include_str!("../docs/reports.md")]
    struct Reports;
    #[doc = include_str!("../docs/training.md")]
    struct Training;
}

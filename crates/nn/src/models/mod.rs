//! Whole models under the names of their published weights.

mod resnet;

pub use resnet::{ResNet, ResNetOptions, Stem};

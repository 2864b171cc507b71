//! Complete models, with the variable names of their published weights.

mod resnet;

pub use resnet::{ResNet, ResNetOptions, Stem};

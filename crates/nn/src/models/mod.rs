//! Complete models, whose variables have the names that are used in their published weights.

mod resnet;

pub use resnet::{ResNet, ResNetOptions, Stem};

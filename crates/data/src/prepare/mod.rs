//! Preprocessing: conversion of a table's columns to features and classes, learned from training rows and applied
//! to others.

mod apply;
mod categories;
pub(crate) mod features;
pub(crate) mod labels;
mod learn;
mod missing;
mod preprocess;

pub(crate) use apply::transform;
pub use categories::Categories;
pub(crate) use learn::{EncodingOptions, LearnOptions, learn};
pub use missing::Missing;
pub use preprocess::{Preprocess, Span};

#[cfg(test)]
mod categories_tests;
#[cfg(test)]
mod preprocess_tests;

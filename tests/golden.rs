//! Tests of layers, losses, optimizers and training curves against PyTorch, through the public API on the CPU
//! backend.
//!
//! `tests/golden/README.md` describes the fixtures. Every case runs twice:
//!
//! - in `f64`, where wgrad and PyTorch agree to 1e-11 of `max(1, |value|)`, except for the entries of `LOOSER`;
//! - in `f32`, where wgrad's distance from PyTorch's `f64` is at most four times that of PyTorch's own `f32` run (the
//!   largest in the tensor), or `64 · 2⁻²⁴` of `max(1, |value|)` if that is more: PyTorch is often exact by chance.
//!
//! Differences of meaning, not of rounding, are asserted where they occur and listed here:
//!
//! - cross-entropy over one class is always 0 in PyTorch; here it is an error that suggests the binary loss.

#[path = "golden/fixture.rs"]
mod fixture;
#[path = "golden/interop.rs"]
mod interop;
#[path = "golden/layers.rs"]
mod layers;
#[path = "golden/losses.rs"]
mod losses;
#[path = "golden/resnet.rs"]
mod resnet;
#[path = "golden/seeds.rs"]
mod seeds;
#[path = "golden/training.rs"]
mod training;
#[path = "golden/windows.rs"]
mod windows;

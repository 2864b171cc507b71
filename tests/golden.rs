//! Tests that compare layers, losses, optimizers and training curves with PyTorch, through the public API on the
//! CPU.
//!
//! `tests/golden/README.md` describes the fixtures (recorded results of PyTorch). Every case runs twice:
//!
//! - in `f64`, where wgrad and PyTorch agree to 1e-11 of `max(1, |value|)`, except for the entries of `LOOSER`;
//! - in `f32`, where wgrad's largest distance from PyTorch's `f64` results is at most four times that of PyTorch's
//!   own `f32` run, or `64 · 2⁻²⁴` of `max(1, |value|)` if that is more, because PyTorch is often exact by chance.
//!
//! Where wgrad differs from PyTorch on purpose, the difference is asserted in a test and listed here:
//!
//! - cross-entropy over one class is always 0 in PyTorch; in wgrad it is an invalid op, with a message that
//!   suggests the binary loss.

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

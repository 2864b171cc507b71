//! What the table tests share: the cases, and how to run one on a device.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "small numbers")]

pub mod bound;
pub mod cases;
pub mod fused;
mod indexing;
mod layers;
mod losses;
mod norms;
pub mod products;
pub mod run;
mod units;
mod windows;

//! Adapters of this machine, the self-test of their drivers, and devices.

mod adapter;
mod device;
mod named;
mod probe;
mod self_test;

pub(crate) use adapter::OPTIONAL_FEATURES;
pub use adapter::{Adapter, adapters};
pub use device::Device;
pub use self_test::{Probe, ProbeVerdict, SelfTest};

//! From a plan to results: buffers, a loaded program, its submission to the device, and the way back to the host.

mod backend;
mod buffers;
mod choices;
mod load;
mod profile;
mod program;
mod queue;
mod readback;
mod tune;

pub use backend::GpuBackend;
pub use choices::{load_choices, save_choices};

//! Execution of plans: buffers, loading, submission to the device, and transfer of results to the host.

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

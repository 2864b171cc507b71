//! Progress observers, which write the progress of a fit to standard error.

#[cfg(feature = "progress")]
mod bar;
mod clock;
mod log;
mod observer;

#[cfg(feature = "progress")]
use std::io::{IsTerminal, stderr};

#[cfg(feature = "progress")]
pub use bar::Bar;
pub use log::Log;
pub use observer::{FitInfo, Lines, Progress, Silent};

/// Returns a progress bar if standard error is a terminal and the feature `progress` is enabled. Otherwise returns
/// an observer that writes log lines.
pub fn automatic() -> Box<dyn Progress> {
    #[cfg(feature = "progress")]
    if stderr().is_terminal() {
        return Box::new(Bar::default());
    }
    Box::new(Log::default())
}

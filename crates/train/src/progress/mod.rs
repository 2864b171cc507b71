//! What a training shows while it runs.

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
pub use observer::{Lines, Progress, Run, Silent};

/// Returns a progress bar on stderr, if that is a terminal and the feature `progress` is on; lines otherwise.
pub fn automatic() -> Box<dyn Progress> {
    #[cfg(feature = "progress")]
    if stderr().is_terminal() {
        return Box::new(Bar::default());
    }
    Box::new(Log::default())
}

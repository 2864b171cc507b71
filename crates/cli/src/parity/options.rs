//! The options of `wgrad parity`.

use std::path::PathBuf;

use wgrad_core::Result;
use wgrad_parity::DeviceSetting;

use crate::args::whole;

/// The arguments of `wgrad parity`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every kernel runs forward and backward and is compared with the reference in f64. The error of each number \
    must be within a bound, which is derived from the number of operations behind it and the accuracy that WGSL requires of \
    them. A failure names the kernel, the case, the element and its inputs.

A software adapter also runs the kernels that a real GPU would get, and those for six storage buffers instead of eight.

Examples:
  wgrad parity
  wgrad parity --device vulkan:nvidia --full --report parity.html
  wgrad parity --filter softmax --seconds 60 --seed 4
  wgrad parity --full --junit parity.xml --json

Exit codes: 0 all numbers are within their bounds, 1 some are not or a device cannot be used, 2 wrong usage."
)]
pub struct Args {
    /// The device to check: `cpu`, or an adapter's name (see `wgrad devices`); may be repeated. [default: all]
    #[arg(long, value_name = "NAME")]
    pub device: Vec<String>,
    /// Run all cases at all sizes, instead of the fewest that run every kernel once.
    #[arg(long)]
    pub full: bool,
    /// Run only the cases whose name contains this text.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Print the names of the cases and run none.
    #[arg(long)]
    pub list: bool,
    /// Run random cases for this many seconds after the others.
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = whole(1, "at least 1"))]
    pub seconds: Option<usize>,
    /// The seed of the random cases.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Print the result as one JSON object, as the last line of standard output; everything else goes to standard
    /// error.
    #[arg(long)]
    pub json: bool,
    /// Write the result as `JUnit` XML for test systems: one suite per device.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write the result as one HTML page that opens from disk: devices, limits, kernels, failures.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Inject a known fault into the kernels, to see it detected.
    #[cfg(feature = "fault-injection")]
    #[arg(long, value_name = "NAME")]
    pub inject: Option<String>,
}

impl Args {
    /// Returns whether a case with this name is requested.
    pub fn fits(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|text| name.to_lowercase().contains(&text.to_lowercase()))
    }

    #[cfg(not(feature = "fault-injection"))]
    /// Returns the configurations in which the requested devices are checked.
    ///
    /// # Errors
    /// If there is no device with a requested name.
    pub fn settings(&self) -> Result<Vec<DeviceSetting>> {
        DeviceSetting::all(&self.device)
    }

    #[cfg(feature = "fault-injection")]
    /// Returns the configurations in which the requested devices are checked.
    ///
    /// # Errors
    /// If there is no device with a requested name.
    pub fn settings(&self) -> Result<Vec<DeviceSetting>> {
        use wgrad_kernels::testing::DeviceHooks;
        let settings = DeviceSetting::all(&self.device)?;
        let Some(name) = &self.inject else { return Ok(settings) };
        let kernels = settings.into_iter().filter(|setting| setting.adapter.is_some());
        kernels.map(|setting| Ok(DeviceSetting { device: setting.device.with_fault(name)?, ..setting })).collect()
    }
}

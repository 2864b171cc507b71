//! Errors of devices and of the kernels that run on them.

use std::fmt;

use super::memory::{MemoryFix, memory_fixes};
use super::{Site, SourceError};
use crate::DeviceInfo;
use crate::host::text::human_bytes;

/// Error: a device is missing, was lost, or cannot run a plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No device has this name.
    #[error("{name}; {available}")]
    NotFound {
        /// The name that was looked up.
        name: DeviceName,
        /// The devices of this machine.
        available: AvailableDevices,
    },
    /// The name selects a device, but is not an adapter's name, which is required here.
    #[error(fmt = fmt_not_an_adapter)]
    NotAnAdapter {
        /// The name that was looked up.
        name: String,
    },
    /// The driver could not open the adapter.
    #[error("{device} could not be opened: {source}")]
    NotOpened {
        /// The device.
        device: DeviceInfo,
        /// The driver's error.
        source: SourceError,
    },
    /// The driver's self-test found wrong results.
    #[error(fmt = fmt_self_test)]
    SelfTest {
        /// The device.
        device: DeviceInfo,
        /// The probes that failed.
        failures: Vec<FailedProbe>,
    },
    /// The device was lost, for the reason that the driver reports.
    #[error(fmt = fmt_lost)]
    Lost {
        /// The device.
        device: DeviceInfo,
        /// The reason that the driver reports.
        reason: String,
    },
    /// The device was lost while a buffer was read.
    #[error("{device}: the device was lost while reading from it")]
    LostWhileReading {
        /// The device.
        device: DeviceInfo,
    },
    /// The device had already been lost in an earlier error.
    #[error("the device was lost by an earlier error")]
    LostBefore,
    /// The driver or wgpu's validation reported an error.
    #[error("{device}: {message}")]
    Driver {
        /// The device.
        device: DeviceInfo,
        /// The error's text.
        message: String,
    },
    /// A call to the device failed.
    #[error("{device}: {call} failed: {source}")]
    Call {
        /// The device.
        device: DeviceInfo,
        /// The call that failed.
        call: DeviceCall,
        /// The driver's error.
        source: SourceError,
    },
    /// The device cannot measure the time of kernels.
    #[error("{device} has no timestamps; profile on another device")]
    NoTimestamps {
        /// The device.
        device: DeviceInfo,
    },
    /// A fault (a deliberate bug in a kernel, for tests) cannot be injected, because the device does not run
    /// kernels.
    #[error("`{fault}` is a fault of a kernel, and {device} has none")]
    NoKernels {
        /// The device.
        device: DeviceInfo,
        /// The fault's name.
        fault: String,
    },
    /// A buffer is larger than the device's largest binding.
    #[error("{device}: a buffer of {bytes} bytes exceeds the largest binding, {limit}")]
    BufferTooLarge {
        /// The device.
        device: DeviceInfo,
        /// The buffer's size.
        bytes: u64,
        /// The largest binding in bytes.
        limit: u64,
    },
    /// The values fed for all steps of a run need a buffer larger than the device allows.
    #[error(
        "{device}: {steps} steps need a buffer of {bytes} bytes, the largest has {limit}: {fitting} steps of {step_bytes} \
         bytes fit\n  fix: run fewer steps at once"
    )]
    TooManySteps {
        /// The device.
        device: DeviceInfo,
        /// The number of steps.
        steps: usize,
        /// The bytes that one step needs.
        step_bytes: u64,
        /// The bytes that all steps need, with alignment.
        bytes: u64,
        /// The size of the largest possible buffer, in bytes.
        limit: u64,
        /// The number of steps that fit.
        fitting: u64,
    },
    /// A buffer of a plan has more elements than a 32-bit index can address.
    #[error(fmt = fmt_too_many_elements)]
    TooManyElements {
        /// The device.
        device: DeviceInfo,
        /// The number of elements.
        elements: usize,
        /// The description of the buffer in messages.
        buffer: String,
        /// The place of the op that computes or reads the buffer.
        site: Option<Site>,
    },
    /// A buffer of a plan is larger than the device's largest binding.
    #[error(fmt = fmt_binding_too_large)]
    BindingTooLarge {
        /// The device.
        device: DeviceInfo,
        /// The buffer's size.
        bytes: usize,
        /// The largest binding in bytes.
        limit: u64,
        /// The description of the buffer in messages.
        buffer: String,
        /// The place of the op that computes or reads the buffer.
        site: Option<Site>,
        /// The plan, as text.
        plan: String,
    },
    /// A loop of a kernel has more iterations than the driver executes.
    #[error(
        "a thread of the kernel `{kernel}` runs {iterations} iterations, and {device} ends loops after {limit}: the result \
         would be wrong{}\n  fix: use another device (the CPU backend among them), or cut the operation into several",
        at(Some(site))
    )]
    LoopTooLong {
        /// The device.
        device: DeviceInfo,
        /// The kernel's name.
        kernel: String,
        /// The number of iterations of one thread.
        iterations: usize,
        /// The number of iterations after which the driver ends loops.
        limit: u32,
        /// The place of the op.
        site: Site,
    },
    /// A kernel is invalid, or its launch does not match its source.
    #[error("kernel `{kernel}`: {problem}")]
    Kernel {
        /// The kernel's name.
        kernel: String,
        /// The problem.
        problem: KernelProblem,
    },
}

/// Fix that an error message suggests. The command line and the library describe the same fix in different words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceFix {
    /// Listing the devices of this machine.
    ListDevices,
    /// Continuing from the last checkpoint.
    Resume,
    /// Reducing the memory that a step needs.
    Memory(MemoryFix),
}

impl fmt::Display for DeviceFix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ListDevices => f.write_str("`adapters()`"),
            Self::Resume => f.write_str("Trainer::resume"),
            Self::Memory(fix) => fix.fmt(f),
        }
    }
}

fn not_an_adapter(name: &str, list: &str) -> String {
    format!("`{name}` is not the name of an adapter\n  fix: use a name that {list} lists, or `cpu`")
}

fn self_test(device: &DeviceInfo, failures: &[FailedProbe], list: &str) -> String {
    format!(
        "{device} fails its self-test:\n{}\n  fix: update the driver, or use another device ({list} lists them); with \
         WGRAD_FORCE=1 in the environment it is used all the same",
        failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    )
}

fn lost(device: &DeviceInfo, reason: &str, resume: &str) -> String {
    format!(
        "{device}: the device was lost: {reason}\n  what it held is gone; parameters have the values that they were last \
         synchronised with\n  fix: open a device anew and go on from the last checkpoint ({resume}), which gives the same \
         bits; if the driver resets a busy device, use a smaller batch"
    )
}

fn fmt_not_an_adapter(name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&not_an_adapter(name, &DeviceFix::ListDevices.to_string()))
}

fn fmt_self_test(device: &DeviceInfo, failures: &[FailedProbe], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&self_test(device, failures, &DeviceFix::ListDevices.to_string()))
}

fn fmt_lost(device: &DeviceInfo, reason: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&lost(device, reason, &DeviceFix::Resume.to_string()))
}

type Say<'a> = &'a dyn Fn(DeviceFix) -> String;

fn too_many_elements(device: &DeviceInfo, elements: usize, buffer: &str, site: Option<&Site>, say: Say<'_>) -> String {
    let fixes = memory_fixes(&|fix| say(DeviceFix::Memory(fix)));
    format!("{elements} elements are more than kernels on {device} count, 4294967295: {buffer}{}\n{fixes}", at(site))
}

fn binding_too_large(
    device: &DeviceInfo,
    [bytes, limit]: [usize; 2],
    buffer: &str,
    site: Option<&Site>,
    plan: &str,
    say: Say<'_>,
) -> String {
    let [bytes, limit] = [bytes, limit].map(human_bytes);
    let fixes = memory_fixes(&|fix| say(DeviceFix::Memory(fix)));
    format!(
        "the plan's largest buffer has {bytes}, but {device} binds at most {limit}: {buffer}{}\n{fixes}\n{plan}",
        at(site)
    )
}

fn saturated(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "thiserror passes references to fields")]
fn fmt_too_many_elements(
    device: &DeviceInfo,
    elements: &usize,
    buffer: &str,
    site: &Option<Site>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.write_str(&too_many_elements(device, *elements, buffer, site.as_ref(), &|fix| fix.to_string()))
}

#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "thiserror passes references to fields")]
fn fmt_binding_too_large(
    device: &DeviceInfo,
    bytes: &usize,
    limit: &u64,
    buffer: &str,
    site: &Option<Site>,
    plan: &str,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let sizes = [*bytes, saturated(*limit)];
    f.write_str(&binding_too_large(device, sizes, buffer, site.as_ref(), plan, &|fix| fix.to_string()))
}

impl DeviceError {
    /// Returns the message, in which `say` formats each suggested fix. `Display` formats fixes as Rust calls.
    pub fn message(&self, say: &dyn Fn(DeviceFix) -> String) -> String {
        match self {
            Self::NotAnAdapter { name } => not_an_adapter(name, &say(DeviceFix::ListDevices)),
            Self::SelfTest { device, failures } => self_test(device, failures, &say(DeviceFix::ListDevices)),
            Self::Lost { device, reason } => lost(device, reason, &say(DeviceFix::Resume)),
            Self::TooManyElements { device, elements, buffer, site } => {
                too_many_elements(device, *elements, buffer, site.as_ref(), say)
            }
            Self::BindingTooLarge { device, bytes, limit, buffer, site, plan } => {
                binding_too_large(device, [*bytes, saturated(*limit)], buffer, site.as_ref(), plan, say)
            }
            other => other.to_string(),
        }
    }

    /// Returns a [`DeviceError::Kernel`].
    pub fn kernel(kernel: impl Into<String>, problem: KernelProblem) -> Self {
        Self::Kernel { kernel: kernel.into(), problem }
    }
}

fn at(site: Option<&Site>) -> String {
    site.map_or_else(String::new, |site| format!("\n  at {site}"))
}

/// Name under which a device was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceName {
    /// An empty name.
    Blank,
    /// Any GPU that is not a software adapter.
    RealGpu,
    /// Part of an adapter's name, with or without the API.
    Adapter(String),
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("the device's name is empty"),
            Self::RealGpu => f.write_str("no real GPU was found"),
            Self::Adapter(name) => write!(f, "no device matches `{name}`"),
        }
    }
}

/// Names of a machine's GPU adapters, formatted as `api:name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvailableDevices(pub Vec<String>);

impl fmt::Display for AvailableDevices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(
                "there is no GPU adapter on this machine; use `cpu`, or install a driver (on Debian or Ubuntu \
                 `mesa-vulkan-drivers` has a software one)",
            );
        }
        let names: Vec<_> = self.0.iter().map(|name| format!("`{name}`")).collect();
        write!(f, "there are `cpu`, `cpu-f64` and {}", names.join(", "))
    }
}

/// Device operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceCall {
    /// Waiting for submitted work.
    Wait,
    /// Reading a buffer.
    Read,
    /// Reading timestamps.
    Profile,
}

impl fmt::Display for DeviceCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wait => "waiting",
            Self::Read => "reading",
            Self::Profile => "profiling",
        })
    }
}

/// Failed check of a driver's self-test.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("  {name}: {found}\n    {consequence}")]
pub struct FailedProbe {
    /// The check's name.
    pub name: String,
    /// The result that the driver computed.
    pub found: String,
    /// The effect on kernels.
    pub consequence: String,
}

/// Reason why a kernel cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelProblem {
    /// The source cannot be parsed or is not valid WGSL.
    #[error("{message}")]
    Invalid {
        /// The explanation, which quotes the source lines.
        message: String,
    },
    /// The driver cannot compile the kernel.
    #[error("{device}: {source}")]
    NotCompiled {
        /// The device.
        device: DeviceInfo,
        /// The driver's error.
        source: SourceError,
    },
    /// A variable is in a bind group other than 0.
    #[error("`{variable}` is in bind group {group}; only group 0 is used")]
    BindGroup {
        /// The variable's name.
        variable: String,
        /// The bind group.
        group: u32,
    },
    /// A member of the uniform struct `params` is not a scalar.
    #[error("member `{member}` of the uniform is not a scalar")]
    NotScalar {
        /// The member's name.
        member: String,
    },
    /// The kernel has no entry point of this name.
    #[error("there is no entry point `{entry}`")]
    NoEntryPoint {
        /// The entry point's name.
        entry: String,
    },
    /// The kernel lacks a function that its op declares.
    #[error("there is no function `{function}`, which its op promises")]
    NoFunction {
        /// The function's name.
        function: String,
    },
    /// The uniform struct `params` has no member of this name.
    #[error("there is no `params.{member}`")]
    NoParam {
        /// The member's name.
        member: String,
    },
    /// The launch does not set a member of the uniform struct `params`.
    #[error("nothing sets `params.{member}`")]
    UnsetParam {
        /// The member's name.
        member: String,
    },
    /// The launch sets a member of the uniform struct `params` to a value of another type.
    #[error("`params.{member}` is {expected}, not {found}")]
    ParamType {
        /// The member's name.
        member: String,
        /// The member's type.
        expected: String,
        /// The value's type.
        found: String,
    },
    /// The launch binds no buffer to a variable.
    #[error("nothing is bound to `{variable}`")]
    Unbound {
        /// The variable's name.
        variable: String,
    },
    /// A launch needs more workgroups than the device can dispatch.
    #[error("it needs {groups:?} workgroups, {device} launches at most {limit} per axis")]
    TooManyWorkgroups {
        /// The workgroups along each axis.
        groups: [u32; 3],
        /// The device.
        device: DeviceInfo,
        /// The maximum number of workgroups along an axis.
        limit: usize,
    },
    /// The source lines that an injected fault (a deliberate bug, for tests) replaces do not occur exactly once in
    /// the kernel.
    #[error(
        "the lines that the fault `{fault}` replaces occur {count} times, not once\n  fix: write them into the fault as they \
         are now"
    )]
    FaultLines {
        /// The fault's name.
        fault: String,
        /// The number of occurrences.
        count: usize,
    },
}

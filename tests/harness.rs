//! Tests that the parity harness detects known faults that are injected into kernels, and that it names the faulty
//! kernel and no other.

use std::collections::BTreeSet;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use wgrad::gpu::testing::DeviceHooks;
use wgrad::gpu::{Device, adapters};
use wgrad_kernels::fault_injection::faults;
use wgrad_parity::{self as parity, Check, DeviceSetting, ParityReport, family};

/// Names of cases that together use all families of kernels. Every fault must make at least one case fail.
const CASES: [&str; 20] = [
    "batch_norm [64, 33]",
    "sum of [257, 33] over [0, 1]",
    "sum of [2, 300, 40] over [1]",
    "mean of [9000, 2] over [0]",
    "gather_rows of wide rows",
    "edge: softmax of logits up to ±1000",
    "softmax [64, 257] -1",
    "max_pool2d overlapping and padded",
    "linear 64x30x64",
    "matmul 65x63x33",
    "avg_pool2d without padding in the count",
    "dropout",
    "bernoulli",
    "log1p of small",
    "softplus",
    "conv2d 3x3 padded",
    "layer_norm [64, 63] over [63]",
    "sort [5, 63] 1 up",
    "concat of columns",
    "cumsum over rows",
];

/// Returns the families of kernels that contain a fault, under the names that the parity report uses.
fn culprits(fault: &str) -> &'static [&'static str] {
    match fault {
        "wrong sign" => &["batch_norm_backward", "batch_norm_backward_serial"],
        "missing barrier" => &["sum"],
        "one row too few" => &["gather"],
        "biased variance" => &["batch_norm", "batch_norm_serial"],
        "exp without max" => &["softmax"],
        "dropped upstream gradient" => &["max_pool"],
        "f16 where f32" => &["matmul_direct", "matmul_tiled", "matmul_tree"],
        "swapped strides" => &["avg_pool"],
        "seed off by one" => &["pointwise dropout", "pointwise bernoulli"],
        "log for log1p" => &["pointwise log1p", "pointwise softplus", "softmax"],
        _ => &[],
    }
}

fn report(device: Device) -> Result<ParityReport, Failed> {
    let mut checks = parity::all().into_iter().chain(parity::edges()).filter(|case| CASES.contains(&case.name()));
    let checks: Vec<Check> = checks.by_ref().map(Check::from).collect();
    if checks.len() != CASES.len() {
        return Err(format!("{} of {} cases are in the table", checks.len(), CASES.len()).into());
    }
    let settings = [DeviceSetting { device, ..setting_with_gpu_kernels()?.ok_or("there is an adapter")? }];
    let mut checks = checks.into_iter();
    Ok(ParityReport::run(&settings, || checks.next(), |_, _| true))
}

/// Returns a device configuration whose kernels use workgroups and barriers, even on a software adapter. Returns
/// `None` if there is no adapter.
fn setting_with_gpu_kernels() -> Result<Option<DeviceSetting>, Failed> {
    let Some(adapter) = adapters().iter().find(|adapter| adapter.info().api != "gl") else { return Ok(None) };
    let mut settings = DeviceSetting::of(adapter)?;
    let position = settings.iter().position(|setting| setting.change.contains("real GPU"));
    Ok(Some(settings.swap_remove(position.unwrap_or(0))))
}

fn a_device_without_faults_passes() -> Result<(), Failed> {
    let device = setting_with_gpu_kernels()?.ok_or("there is an adapter")?.device;
    let all = report(device)?;
    if all.passed() { Ok(()) } else { Err(all.failures[0].to_string().into()) }
}

fn is_detected(fault: &str) -> Result<(), Failed> {
    let device = setting_with_gpu_kernels()?.ok_or("there is an adapter")?.device;
    let all = report(device.with_fault(fault)?)?;
    if all.passed() {
        return Err("the fault was not detected".into());
    }
    if let Some(failure) = all.failures.iter().find(|failure| failure.error.is_some()) {
        return Err(failure.to_string().into());
    }
    let kernels: BTreeSet<&str> = all.failures.iter().flat_map(|f| &f.kernels).map(|kernel| family(kernel)).collect();
    let others: Vec<_> = kernels.iter().filter(|kernel| !culprits(fault).contains(kernel)).collect();
    if others.is_empty() {
        return Ok(());
    }
    let texts: Vec<_> = all.failures.iter().map(|failure| format!("{:?}: {failure}", failure.kernels)).collect();
    Err(format!("{others:?} are named although they have no fault\n{}", texts.join("\n")).into())
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let available = adapters().iter().any(|adapter| adapter.info().api != "gl");
    let trial = |name: String, test: Box<dyn FnOnce() -> Result<(), Failed> + Send>| {
        Trial::test(name, test).with_ignored_flag(!available)
    };
    let mut trials = vec![trial("a device without faults passes".into(), Box::new(a_device_without_faults_passes))];
    for fault in faults() {
        let name = format!("the harness detects: {}", fault.name);
        trials.push(trial(name, Box::new(|| is_detected(fault.name))));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

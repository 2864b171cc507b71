//! Assertion for use in tests: [`assert_parity`].

use std::sync::OnceLock;

use wgrad_core::Result;

use crate::case::Case;
use crate::case_result::CaseResult;
use crate::harness::Harness;
use crate::setting::DeviceSetting;

/// Asserts that a case agrees with its reference on all devices of this machine, and that its gradients agree with
/// finite differences.
///
/// The case runs on the CPU in `f32` and on every GPU adapter. If a driver fails to open its adapter, a message is
/// printed to standard error and the adapter is skipped. On a machine without an adapter, the returned results are
/// only those of the CPU, so no kernel was tested; see [`adapters`](wgrad_kernels::adapters).
///
/// ```
/// use wgrad_parity::{Case, Fill, assert_parity};
///
/// // As the body of a `#[test]`:
/// let case = Case::new("softsign", &[(&[257], Fill::Uniform(-9.0, 9.0))], |x| &x[0] / (x[0].abs() + 1.0));
/// for case_result in assert_parity(&case) {
///     println!("{case_result}");
/// }
/// ```
///
/// Panics if an error exceeds its bound, a gradient rule is wrong, or the case does not run. The message names the
/// case, the device and the wrong element, with its inputs, its error and the error bound.
#[track_caller]
#[allow(clippy::must_use_candidate, reason = "most tests do not read the results")]
pub fn assert_parity(case: &Case) -> Vec<CaseResult> {
    let (case_results, faults) = match parity(case) {
        Ok(found) => found,
        Err(error) => panic!("{}: {error}", case.name()),
    };
    assert!(faults.is_empty(), "{} differs from its reference\n{}", case.name(), faults.join("\n"));
    case_results
}

/// Returns the result on each device on which the case passed, and a message for each failure.
fn parity(case: &Case) -> Result<(Vec<CaseResult>, Vec<String>)> {
    let harness = Harness::new(case)?;
    let audit = case.check_gradients()?;
    let mut faults: Vec<_> = audit.iter().filter(|audit| !audit.passes()).map(ToString::to_string).collect();
    let mut case_results = vec![];
    for setting in settings() {
        match harness.check(setting.device.clone()) {
            Ok(case_result) if case_result.passed() => case_results.push(case_result),
            Ok(case_result) => faults.push(format!("{}: {case_result}", setting.name)),
            Err(error) => faults.push(format!("{}: {error}", setting.name)),
        }
    }
    Ok((case_results, faults))
}

/// Returns all device configurations of this machine. The devices are opened once per process.
fn settings() -> &'static [DeviceSetting] {
    static SETTINGS: OnceLock<Vec<DeviceSetting>> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let mut settings = vec![DeviceSetting::cpu()];
        for adapter in wgrad_kernels::adapters() {
            match DeviceSetting::of(adapter) {
                Ok(some) => settings.extend(some),
                Err(error) => eprintln!("left out: {error}"),
            }
        }
        settings
    })
}

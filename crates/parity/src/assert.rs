//! Assertion for `cargo test`.

use std::sync::OnceLock;

use wgrad_core::Result;

use crate::case::Case;
use crate::harness::Harness;
use crate::setting::Setting;
use crate::verdict::Verdict;

/// Compares a case with its reference on everything at hand, and its gradients with finite differences, and panics with what
/// was wrong: the case, the device, the element with what was fed there, the error and its bound.
///
/// Runs on the CPU in `f32` and on every adapter; one whose driver refuses to open is named on standard error and left
/// out. On a machine without an adapter a kernel does not run, so the verdicts that are returned are of the CPU only; see
/// [`adapters`](wgrad_kernels::adapters).
///
/// ```
/// use wgrad_parity::{Case, Values, assert_parity};
///
/// // As the body of a `#[test]`:
/// let case = Case::new("softsign", &[(&[257], Values::Uniform(-9.0, 9.0))], |x| &x[0] / (x[0].abs() + 1.0));
/// for verdict in assert_parity(&case) {
///     println!("{verdict}");
/// }
/// ```
///
/// # Panics
/// When a result is beyond its bound, a gradient rule is not the derivative, or the case does not run.
#[track_caller]
#[allow(clippy::must_use_candidate, reason = "what passed is seldom looked at")]
pub fn assert_parity(case: &Case) -> Vec<Verdict> {
    let (verdicts, faults) = match parity(case) {
        Ok(found) => found,
        Err(error) => panic!("{}: {error}", case.name()),
    };
    assert!(faults.is_empty(), "{} is not what its reference is\n{}", case.name(), faults.join("\n"));
    verdicts
}

/// Returns the verdict of each device, and what is wrong.
fn parity(case: &Case) -> Result<(Vec<Verdict>, Vec<String>)> {
    let harness = Harness::new(case)?;
    let audit = case.check_gradients()?;
    let mut faults: Vec<_> = audit.iter().filter(|audit| !audit.passes()).map(ToString::to_string).collect();
    let mut verdicts = vec![];
    for setting in settings() {
        match harness.check(setting.device.clone()) {
            Ok(verdict) if verdict.passed() => verdicts.push(verdict),
            Ok(verdict) => faults.push(format!("{}: {verdict}", setting.name)),
            Err(error) => faults.push(format!("{}: {error}", setting.name)),
        }
    }
    Ok((verdicts, faults))
}

/// Returns what there is, opened once per process.
fn settings() -> &'static [Setting] {
    static SETTINGS: OnceLock<Vec<Setting>> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let mut settings = vec![Setting::cpu()];
        for adapter in wgrad_kernels::adapters() {
            match Setting::of(adapter) {
                Ok(some) => settings.extend(some),
                Err(error) => eprintln!("left out: {error}"),
            }
        }
        settings
    })
}

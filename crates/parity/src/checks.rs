//! Selections of cases: all, or as few as run every kernel and every variant.

use std::collections::BTreeSet;

use wgrad_core::{Limits, Result, TuningChoices};
use wgrad_kernels::Device;

use crate::case::Case;
use crate::cases::{all, edges, sizes_with_other, variants};
use crate::kernels;
use crate::setting::{DeviceSetting, limit_kinds};

/// Lengths around powers of two, workgroup sizes, and the amount of work of a thread or a workgroup.
const SIZES: [usize; 11] = [1, 63, 64, 65, 255, 256, 257, 32_767, 32_768, 32_769, 65_537];
/// Lengths of the quick selection: above and below one workgroup.
const QUICK: [usize; 2] = [257, 65];

/// A case to run, with the variant of the matrix product and a case to run in between.
#[derive(Clone, Debug)]
pub struct Check {
    /// The case.
    pub case: Case,
    /// Variant of the matrix product to run; `None` for the one that the device chooses.
    pub variant: Option<&'static str>,
    /// Case that runs in the same session before this case is repeated: the same call with another size.
    pub between: Option<Case>,
}

impl From<Case> for Check {
    fn from(case: Case) -> Self {
        Self { case, variant: None, between: None }
    }
}

impl Check {
    /// Returns the device to run on, with the requested variant. `None` if the check is redundant: the CPU and OpenGL
    /// do not run requested variants, and changed limits do not affect them.
    pub fn device(&self, setting: &DeviceSetting) -> Option<Device> {
        let Some(variant) = self.variant else { return Some(setting.device.clone()) };
        let adapter = setting.adapter.as_ref()?;
        let fits = setting.change.is_empty() && adapter.info().api != "gl";
        let mut choices = TuningChoices::default();
        choices.set("matmul", variant);
        fits.then(|| setting.device.choosing(choices))
    }
}

/// Returns all cases and edge cases, all sizes, each with a run at another size in between, and all variants.
pub fn full() -> Vec<Check> {
    let mut checks: Vec<Check> = all().into_iter().chain(edges()).map(Check::from).collect();
    checks.extend(variant_checks());
    for (i, &n) in SIZES.iter().enumerate() {
        checks.extend(at_size(n, SIZES[(i + 3) % 7]));
    }
    checks
}

/// Returns the quick selection: as few cases as run every kernel, every pointwise op and every variant, for hardware
/// and software adapters and for few bindings; all edge cases; and every family at two sizes.
///
/// # Errors
/// Returns an error if a case has no valid plan.
pub fn quick() -> Result<Vec<Check>> {
    let limit_kinds = limit_kinds();
    let mut covered = BTreeSet::new();
    let mut checks = vec![];
    for check in edges().into_iter().map(Check::from).chain(at_size(QUICK[0], QUICK[1])) {
        covered.extend(runs(&check, &limit_kinds)?);
        checks.push(check);
    }
    let mut rest: Vec<Check> = all().into_iter().map(Check::from).collect();
    rest.extend(variant_checks());
    // Prefers cases of about 2,000 elements: small ones miss errors at the ends of workgroups, large ones take long.
    rest.sort_by_key(|check| (check.case.elements().max(1).ilog2().abs_diff(11), check.case.elements()));
    for check in rest {
        let new: BTreeSet<_> =
            runs(&check, &limit_kinds)?.into_iter().filter(|kernel| !covered.contains(kernel)).collect();
        if !new.is_empty() {
            covered.extend(new);
            checks.push(check);
        }
    }
    Ok(checks)
}

/// Returns a check for each variant, including those that the device would not choose.
fn variant_checks() -> impl Iterator<Item = Check> {
    variants().into_iter().map(|(variant, case)| Check { variant: Some(variant), ..case.into() })
}

/// Returns the cases of all families at size `n`, each with the case at size `other` to run in between.
fn at_size(n: usize, other: usize) -> impl Iterator<Item = Check> {
    sizes_with_other(n, other).into_iter().map(|(case, between)| Check { between, ..case.into() })
}

/// Returns the kernels that a check runs on each kind of device, as pairs of the kind's index and the kernel.
fn runs(check: &Check, limit_kinds: &[Limits]) -> Result<BTreeSet<(usize, String)>> {
    let mut found = BTreeSet::new();
    for (i, kind) in limit_kinds.iter().enumerate() {
        let mut limits = kind.clone();
        if let Some(variant) = check.variant {
            limits.choices.set("matmul", variant);
        }
        found.extend(kernels::all(&check.case.plan(&limits)?)?.into_iter().map(|kernel| (i, kernel)));
    }
    Ok(found)
}

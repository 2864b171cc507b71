//! Selections of cases to run: all of them, or a small number that still runs every kernel and every variant.

use std::collections::BTreeSet;

use wgrad_core::{Limits, Result, TuningChoices};
use wgrad_kernels::Device;

use crate::case::Case;
use crate::cases::{all, edges, sizes_with_other, variants};
use crate::kernels;
use crate::setting::{DeviceSetting, limit_kinds};

/// Lengths around powers of two, workgroup sizes, and the number of elements that a thread or a workgroup
/// processes.
const SIZES: [usize; 11] = [1, 63, 64, 65, 255, 256, 257, 32_767, 32_768, 32_769, 65_537];
/// Lengths in the quick selection: one above and one below a workgroup of 256 threads.
const QUICK: [usize; 2] = [257, 65];

/// A case to run, optionally with a certain variant of the matrix product, or with another case to run in between.
#[derive(Clone, Debug)]
pub struct Check {
    /// The case.
    pub case: Case,
    /// Variant of the matrix product to run; `None` if the device chooses the variant.
    pub variant: Option<&'static str>,
    /// Second case, with the same call at another size. If it is set, the first case runs, then the second in the
    /// same session, then the first again.
    pub between: Option<Case>,
}

impl From<Case> for Check {
    fn from(case: Case) -> Self {
        Self { case, variant: None, between: None }
    }
}

impl Check {
    /// Returns the device to run on, set to the requested variant. Returns `None` if the check is redundant: the
    /// CPU and OpenGL do not run requested variants, and changed limits do not affect them.
    pub fn device(&self, setting: &DeviceSetting) -> Option<Device> {
        let Some(variant) = self.variant else { return Some(setting.device.clone()) };
        let adapter = setting.adapter.as_ref()?;
        let fits = setting.change.is_empty() && adapter.info().api != "gl";
        let mut choices = TuningChoices::default();
        choices.set("matmul", variant);
        fits.then(|| setting.device.choosing(choices))
    }
}

/// Returns checks of all cases, edge cases, sizes and variants. Cases at a given size run again after the same
/// call at another size.
pub fn full() -> Vec<Check> {
    let mut checks: Vec<Check> = all().into_iter().chain(edges()).map(Check::from).collect();
    checks.extend(variant_checks());
    for (i, &n) in SIZES.iter().enumerate() {
        checks.extend(at_size(n, SIZES[(i + 3) % 7]));
    }
    checks
}

/// Returns the quick selection: all edge cases, every family at two sizes, and further cases until every kernel,
/// every pointwise op and every variant runs. This covers the kernels for hardware adapters, for software
/// adapters, and for devices that allow few bindings.
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
    // Prefer cases of about 2,000 elements: smaller cases miss errors at the ends of workgroups, larger ones take
    // long.
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

/// Returns the cases of all families at size `n`. Each check also runs the same case at size `other` in between.
fn at_size(n: usize, other: usize) -> impl Iterator<Item = Check> {
    sizes_with_other(n, other).into_iter().map(|(case, between)| Check { between, ..case.into() })
}

/// Returns the kernels that a check runs on each kind of device, as pairs of the index of the kind and the
/// kernel's name.
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

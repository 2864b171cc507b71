//! Checks: a choice of cases that runs every kernel and every variant, or all there is.

use std::collections::BTreeSet;

use wgrad_core::{Limits, Result, TuningChoices};
use wgrad_kernels::Device;

use crate::case::Case;
use crate::cases::{all, edges, sizes_beside, variants};
use crate::kernels;
use crate::setting::{Setting, kinds};

/// Lengths around powers of two, around workgroups, and around what a thread or a workgroup takes.
const SIZES: [usize; 11] = [1, 63, 64, 65, 255, 256, 257, 32_767, 32_768, 32_769, 65_537];
/// Of these, what the quick choice takes: on both sides of one workgroup.
const QUICK: [usize; 2] = [257, 65];

/// Case to be run, and how.
#[derive(Clone, Debug)]
pub struct Check {
    /// The case.
    pub case: Case,
    /// The variant of the matrix product that is to run; none for what the device would choose.
    pub variant: Option<&'static str>,
    /// A case to be run in the same session before this one is run again: the same at another batch size.
    pub between: Option<Case>,
}

impl From<Case> for Check {
    fn from(case: Case) -> Self {
        Self { case, variant: None, between: None }
    }
}

impl Check {
    /// Returns the device to run on, with the wanted variant; none where there is nothing to be learned: the CPU and OpenGL run
    /// no chosen variants, and changed limits do not matter to them.
    pub fn device(&self, setting: &Setting) -> Option<Device> {
        let Some(variant) = self.variant else { return Some(setting.device.clone()) };
        let adapter = setting.adapter.as_ref()?;
        let fits = setting.change.is_empty() && adapter.info().api != "gl";
        let mut choices = TuningChoices::default();
        choices.set("matmul", variant);
        fits.then(|| setting.device.choosing(choices))
    }
}

/// Returns every case of the table and of the edges, every size, each with a run at another size in between, and every variant.
pub fn full() -> Vec<Check> {
    let mut checks: Vec<Check> = all().into_iter().chain(edges()).map(Check::from).collect();
    checks.extend(chosen());
    for (i, &n) in SIZES.iter().enumerate() {
        checks.extend(around(n, SIZES[(i + 3) % 7]));
    }
    checks
}

/// Returns as few cases as run every kernel, every row of the pointwise table and every variant, on real and on software
/// adapters, and with few bindings; the edges; and every family at two sizes.
///
/// # Errors
/// When a case of the table does not plan.
pub fn quick() -> Result<Vec<Check>> {
    let kinds = kinds();
    let mut covered = BTreeSet::new();
    let mut checks = vec![];
    for check in edges().into_iter().map(Check::from).chain(around(QUICK[0], QUICK[1])) {
        covered.extend(runs(&check, &kinds)?);
        checks.push(check);
    }
    let mut rest: Vec<Check> = all().into_iter().map(Check::from).collect();
    rest.extend(chosen());
    // First those of a few thousand elements: a small one hides what is wrong at edges, a large one takes long.
    rest.sort_by_key(|check| (check.case.elements().max(1).ilog2().abs_diff(11), check.case.elements()));
    for check in rest {
        let new: BTreeSet<_> = runs(&check, &kinds)?.into_iter().filter(|kernel| !covered.contains(kernel)).collect();
        if !new.is_empty() {
            covered.extend(new);
            checks.push(check);
        }
    }
    Ok(checks)
}

/// Returns every variant, also where the device would take another one.
fn chosen() -> impl Iterator<Item = Check> {
    variants().into_iter().map(|(variant, case)| Check { variant: Some(variant), ..case.into() })
}

/// Returns the families at one size, each with a run at another one in between.
fn around(n: usize, other: usize) -> impl Iterator<Item = Check> {
    sizes_beside(n, other).into_iter().map(|(case, between)| Check { between, ..case.into() })
}

/// Returns what a check runs on these kinds of devices: the number of the kind, and a kernel.
fn runs(check: &Check, kinds: &[Limits]) -> Result<BTreeSet<(usize, String)>> {
    let mut found = BTreeSet::new();
    for (i, kind) in kinds.iter().enumerate() {
        let mut limits = kind.clone();
        if let Some(variant) = check.variant {
            limits.choices.set("matmul", variant);
        }
        found.extend(kernels::all(&check.case.plan(&limits)?)?.into_iter().map(|kernel| (i, kernel)));
    }
    Ok(found)
}

//! Kernels that are compiled without runtime checks: which of them, and why they may be.

use wgrad_core::{Kernel, Pointwise, ops};

/// Marks a kernel of `wgrad-shaders`, or one that fusion made of such a kernel, to be compiled without runtime checks.
#[allow(unsafe_code, reason = "the promise for the kernels of wgrad-shaders")]
pub(crate) fn trusted(kernel: Kernel) -> Kernel {
    // SAFETY: the kernels of wgrad-shaders guard their stores and loads by `params` and loop over sizes from it. The rows
    // that `joined` adds compute with registers only.
    unsafe { kernel.trusted() }
}

/// Returns a kernel after clusters of these rows were written into it: a user's row may name any buffer, so with one
/// among them the checks come back.
pub(crate) fn joined<'a>(
    kernel: &Kernel,
    name: String,
    source: String,
    mut added: impl Iterator<Item = &'a Pointwise>,
) -> Kernel {
    let ours = added.all(|row| ops::pointwise_ops().contains(&row));
    let joined = Kernel::generated(name, source);
    if kernel.is_trusted() && ours { trusted(joined) } else { joined }
}

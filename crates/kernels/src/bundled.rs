//! The kernels that come with wgrad.

use wgrad_core::{ARITHMETIC, Kernel, Pointwise};

use crate::ops::rows;

/// A kernel of this crate, to be compiled without runtime checks: they cost up to half of its speed (every loop gets
/// a counter of its own and is not unrolled).
#[allow(unsafe_code, reason = "the one promise for all kernels of `shaders/`")]
pub(crate) fn bundled(kernel: Kernel) -> Kernel {
    // SAFETY: every kernel of `shaders/` compares its position with the size in `params` before it stores, clamps or
    // guards the positions that it loads, and loops over sizes from `params`. The backend binds buffers at least as
    // long as their specs. Held to by `tests/parity.rs` at ragged, single-row and odd sizes, and by
    // `tests/shaders.rs`, which matches the parameters of every launch.
    unsafe { kernel.trusted() }
}

/// A kernel after clusters of these rows were written into it: a user's row may name any buffer, so with one among them
/// the checks come back.
pub(crate) fn joined<'a>(
    kernel: &Kernel,
    name: String,
    source: String,
    mut added: impl Iterator<Item = &'a Pointwise>,
) -> Kernel {
    let ours = added.all(|row| ARITHMETIC.contains(&row) || rows().contains(&row));
    let joined = Kernel::generated(name, source);
    if kernel.is_trusted() && ours { bundled(joined) } else { joined }
}

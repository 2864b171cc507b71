//! Trusted kernels, which are compiled without runtime checks, and the reasons why this is sound.

use wgrad_core::{Kernel, Pointwise, ops};

/// Marks a kernel of `wgrad-shaders`, or one that fusion made of such a kernel, to be compiled without runtime checks.
#[allow(unsafe_code, reason = "the promise for the kernels of wgrad-shaders")]
pub(crate) fn trusted(kernel: Kernel) -> Kernel {
    // SAFETY: the kernels of wgrad-shaders guard their loads and stores by `params`, and the bounds of their loops
    // come from it. The pointwise ops that `joined` adds compute in registers only.
    unsafe { kernel.trusted() }
}

/// Returns a kernel with clusters of these pointwise ops fused into it. It is trusted only if all ops are wgrad's
/// own: the WGSL of a user's op may access any buffer.
pub(crate) fn joined<'a>(
    kernel: &Kernel,
    name: String,
    source: String,
    mut added: impl Iterator<Item = &'a Pointwise>,
) -> Kernel {
    let ours = added.all(|op| ops::pointwise_ops().contains(&op));
    let joined = Kernel::generated(name, source);
    if kernel.is_trusted() && ours { trusted(joined) } else { joined }
}

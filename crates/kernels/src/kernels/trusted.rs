//! Trusted kernels, which are compiled without runtime checks, and the reasons why that is sound.

use wgrad_core::{Kernel, Pointwise, ops};

/// Marks a kernel to be compiled without runtime checks. It must be a kernel of `wgrad-shaders`, or result from
/// fusing such a kernel with pointwise ops.
#[allow(unsafe_code, reason = "the promise for the kernels of wgrad-shaders")]
pub(crate) fn trusted(kernel: Kernel) -> Kernel {
    // SAFETY: the kernels of wgrad-shaders check the positions of loads and stores against `params`, which also
    // bounds their loops. The pointwise ops that `joined` adds compute in registers only.
    unsafe { kernel.trusted() }
}

/// Returns a kernel into which clusters of these pointwise ops have been fused. It is trusted only if all ops are
/// wgrad's own, because the WGSL of a user's op could access any buffer.
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

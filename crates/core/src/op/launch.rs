//! Launches of kernels as data, independent of a backend's API.

use std::borrow::Cow;

use crate::host::cast::wide;
use crate::{Limits, Spec, TuningChoice};

/// WGSL module whose parts are joined into one source: usually library functions, then the op's own file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// The name, as in profiles and errors: usually the stem of the shader file.
    pub name: Cow<'static, str>,
    /// The source, in parts.
    pub parts: Vec<Cow<'static, str>>,
    /// True if a backend may compile it without bounds checks and bounded loops.
    trusted: bool,
}

impl Kernel {
    /// Makes a kernel of fixed sources. Backends compile it with bounds checks and bounded loops.
    pub fn new(name: &'static str, parts: &[&'static str]) -> Self {
        Self { name: name.into(), parts: parts.iter().map(|&p| p.into()).collect(), trusted: false }
    }

    /// Makes a kernel of a generated source. Backends compile it with bounds checks and bounded loops.
    pub fn generated(name: impl Into<String>, source: String) -> Self {
        Self { name: Cow::Owned(name.into()), parts: vec![source.into()], trusted: false }
    }

    /// Lets backends compile the kernel without bounds checks and bounded loops.
    ///
    /// # Safety
    /// With the parameters that its op sets, every access must be within its buffer and every loop must end.
    #[allow(unsafe_code, reason = "a promise that only the author of the kernel can make")]
    pub unsafe fn trusted(mut self) -> Self {
        self.trusted = true;
        self
    }

    /// Marks a kernel of `wgrad-shaders` as trusted: runtime checks cost up to half of its speed, because every loop
    /// gets a counter of its own and is not unrolled.
    ///
    /// Each of these kernels compares its position with the size in `params` before it stores, clamps or guards the
    /// positions that it loads, and loops over sizes from `params`; the backend binds buffers at least as long as their
    /// specs. `tests/parity.rs` runs them at ragged, single-row and odd sizes, and `tests/shaders.rs` matches the
    /// parameters of every launch.
    pub(crate) fn bundled(mut self) -> Self {
        self.trusted = true;
        self
    }

    /// Returns whether the kernel may be compiled without checks.
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// Returns the whole source.
    pub fn source(&self) -> String {
        self.parts.join("\n")
    }
}

/// Buffer of an op, as its launch names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// Input `i`.
    Input(usize),
    /// Output `i`.
    Output(usize),
    /// Scratch space `i`, as reserved by [`Launch::scratch`].
    Scratch(usize),
}

/// Value of a member of a kernel's uniform `params` struct.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Param {
    /// An unsigned integer.
    U32(u32),
    /// A float.
    F32(f32),
}

impl From<u32> for Param {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}

impl From<f32> for Param {
    fn from(value: f32) -> Self {
        Self::F32(value)
    }
}

impl From<usize> for Param {
    /// Converts a size; those of buffers within binding limits always fit.
    fn from(value: usize) -> Self {
        Self::U32(u32::try_from(value).unwrap_or(u32::MAX))
    }
}

/// Value of a WGSL `override`: a number, a size, or a flag as 1 or 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant(pub f64);

impl From<f64> for Constant {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

impl From<usize> for Constant {
    fn from(value: usize) -> Self {
        Self(wide(value))
    }
}

impl From<bool> for Constant {
    fn from(value: bool) -> Self {
        Self(f64::from(u8::from(value)))
    }
}

/// Number of threads or workgroups of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grid {
    /// Threads per axis: the backend divides by the kernel's own workgroup size and rounds up.
    Threads([usize; 3]),
    /// Workgroups per axis.
    Groups([usize; 3]),
    /// One workgroup per block of `elements` elements of each of the op's inputs, which are side by side in a buffer
    /// ([`Op::side_by_side`](crate::Op::side_by_side)). The WGSL variable `x` is bound to that buffer, `table` to three
    /// numbers per workgroup: the block's first element in `x`, its number of elements, and its index among the blocks
    /// of all inputs. The member `blocks` of the parameters is the number of blocks. If the inputs need several
    /// buffers, there is a launch per buffer.
    Blocks {
        /// The WGSL variable of the buffer.
        x: &'static str,
        /// The WGSL variable of the table.
        table: &'static str,
        /// Number of elements of a block.
        elements: usize,
    },
}

/// Launch of one kernel. Buffers, parameters and constants have the names that the WGSL gives them.
///
/// A grid with only an x axis may be folded into y if it has more workgroups than a dimension allows: a kernel
/// computes its linear position as `group.x + group.y * num_workgroups.x`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Dispatch {
    /// The module.
    pub kernel: Kernel,
    /// The entry point.
    pub entry: &'static str,
    /// WGSL variable → buffer.
    pub bindings: Vec<(&'static str, Operand)>,
    /// Member of the uniform `params` → value.
    pub params: Vec<(&'static str, Param)>,
    /// WGSL `override` → value.
    pub constants: Vec<(&'static str, f64)>,
    /// The threads or workgroups.
    pub grid: Grid,
    /// Maximum iterations of the loops of one thread, if they grow with the data; 0 if not. See [`Limits::iterations`].
    pub iterations: usize,
    /// Number of threads that divide the loops counted by `iterations`: those of a workgroup, or 1.
    pub shared_by: usize,
}

impl Dispatch {
    /// Makes a dispatch without bindings, parameters and constants.
    pub fn new(kernel: Kernel, entry: &'static str, grid: Grid) -> Self {
        let (bindings, params, constants) = (vec![], vec![], vec![]);
        Self { kernel, entry, bindings, params, constants, grid, iterations: 0, shared_by: 1 }
    }

    /// Binds a buffer to the WGSL variable `name`.
    pub fn bind(mut self, name: &'static str, operand: Operand) -> Self {
        self.bindings.push((name, operand));
        self
    }

    /// Sets a member of the uniform `params`.
    pub fn param(mut self, name: &'static str, value: impl Into<Param>) -> Self {
        self.params.push((name, value.into()));
        self
    }

    /// Declares the maximum iterations of all loops of one thread together.
    pub fn iterations(self, iterations: usize) -> Self {
        Self { iterations, ..self }
    }

    /// Declares `loops` loops of `each` iterations that `threads` neighbouring threads of a workgroup divide evenly.
    ///
    /// `threads` is the kernel's `@workgroup_size`, or its override `THREADS`; `tests/shaders.rs` compares them.
    pub fn iterations_shared(self, loops: usize, each: usize, threads: usize) -> Self {
        Self { iterations: loops * each.div_ceil(threads), shared_by: threads, ..self }
    }

    /// Sets a WGSL `override`.
    pub fn constant(mut self, name: &'static str, value: impl Into<Constant>) -> Self {
        self.constants.push((name, value.into().0));
        self
    }
}

/// Dispatches and scratch buffers of an op, as its [`Op::launch`](crate::Op::launch) adds them.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The inputs, in order.
    pub inputs: &'a [Spec],
    /// The outputs, in order.
    pub outputs: &'a [Spec],
    /// The device's limits.
    pub limits: &'a Limits,
    /// The dispatches so far, in order of execution.
    pub dispatches: Vec<Dispatch>,
    /// The scratch buffers so far.
    pub scratch: Vec<Spec>,
    /// The choices among variants so far.
    pub choices: Vec<TuningChoice>,
}

impl<'a> Launch<'a> {
    /// Starts the launch of an op with these inputs and outputs.
    pub fn new(inputs: &'a [Spec], outputs: &'a [Spec], limits: &'a Limits) -> Self {
        Self { inputs, outputs, limits, dispatches: vec![], scratch: vec![], choices: vec![] }
    }

    /// Adds a dispatch.
    pub fn dispatch(&mut self, dispatch: Dispatch) {
        self.dispatches.push(dispatch);
    }

    /// Reserves a buffer for the time in which this op runs.
    pub fn scratch(&mut self, spec: Spec) -> Operand {
        self.scratch.push(spec);
        Operand::Scratch(self.scratch.len() - 1)
    }

    /// Returns the index of the variant that [`Limits::choices`] has for the tuning key, else `default`.
    ///
    /// A tuning key is the op's name and the sizes that its speed depends on, such as `matmul 512x1024x2048 nt`. The
    /// choice is added to [`Self::choices`], for tuning.
    pub fn choose(&mut self, key: &str, variants: &[&'static str], default: usize) -> usize {
        let wanted = self.limits.choices.get(key);
        let chosen = wanted.and_then(|name| variants.iter().position(|variant| *variant == name)).unwrap_or(default);
        self.choices.push(TuningChoice { key: key.into(), variants: variants.to_vec(), chosen });
        chosen
    }
}

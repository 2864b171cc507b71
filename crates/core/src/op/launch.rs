//! Launches of kernels as data: what a backend needs to know, without naming its API.

use std::borrow::Cow;

use crate::host::cast::wide;
use crate::{Choice, Limits, Spec};

/// A WGSL module: its parts are joined into one source. Usually library functions, then the op's own file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// The name, as in profiles and errors: the stem of the shader file, or what the file does for an op.
    pub name: Cow<'static, str>,
    /// The source, in parts.
    pub parts: Vec<Cow<'static, str>>,
    /// Whether a backend may compile it without bounds checks and bounded loops.
    trusted: bool,
}

impl Kernel {
    /// A kernel from fixed sources. Backends compile it with bounds checks and bounded loops.
    pub fn new(name: &'static str, parts: &[&'static str]) -> Self {
        Self { name: name.into(), parts: parts.iter().map(|&p| p.into()).collect(), trusted: false }
    }

    /// A kernel whose source was generated.
    pub fn generated(name: impl Into<String>, source: String) -> Self {
        Self { name: Cow::Owned(name.into()), parts: vec![source.into()], trusted: false }
    }

    /// The same kernel, compiled without bounds checks and bounded loops.
    ///
    /// # Safety
    /// With the parameters that its op gives it, every access must be within its buffer and every loop must end.
    #[allow(unsafe_code, reason = "a promise that only the author of the kernel can make")]
    pub unsafe fn trusted(mut self) -> Self {
        self.trusted = true;
        self
    }

    /// A kernel of `wgrad-shaders`, to be compiled without runtime checks: they cost up to half of its speed, because every
    /// loop gets a counter of its own and is not unrolled.
    ///
    /// Each of them compares its position with the size in `params` before it stores, clamps or guards the positions that
    /// it loads, and loops over sizes from `params`; the backend binds buffers at least as long as their specs.
    /// `tests/parity.rs` runs them at ragged, single-row and odd sizes, `tests/shaders.rs` matches the parameters of every
    /// launch.
    pub(crate) fn bundled(mut self) -> Self {
        self.trusted = true;
        self
    }

    /// Whether the kernel may be compiled without checks.
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The whole source.
    pub fn source(&self) -> String {
        self.parts.join("\n")
    }
}

/// A buffer of an op, seen from its launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// Input `i`.
    Input(usize),
    /// Output `i`.
    Output(usize),
    /// Scratch space `i`, as reserved by [`Launch::scratch`].
    Scratch(usize),
}

/// A member of a kernel's uniform `params` struct.
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
    /// Sizes of buffers within binding limits always fit.
    fn from(value: usize) -> Self {
        Self::U32(u32::try_from(value).unwrap_or(u32::MAX))
    }
}

/// The value of a WGSL `override`: a number, a size, or a flag as 1 or 0.
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

/// How much to launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grid {
    /// Threads per axis: the backend divides by the kernel's own workgroup size and rounds up.
    Threads([usize; 3]),
    /// Workgroups per axis.
    Groups([usize; 3]),
    /// A workgroup per so many elements of each of the op's inputs, which lie side by side ([`Op::side_by_side`](crate::Op::side_by_side)). The
    /// WGSL variable `x` is bound to the device's buffer that they lie in, `table` to three numbers per workgroup: the
    /// block's first element in `x`, its elements, and its number among the blocks of all inputs. The member `blocks` of
    /// the parameters is how many there are; there is a launch per buffer if the inputs need several.
    Blocks {
        /// The variable of the buffer.
        x: &'static str,
        /// The variable of the table.
        table: &'static str,
        /// Elements of a block.
        elements: usize,
    },
}

/// One kernel launch as data. Buffers, parameters and constants are named as the WGSL names them.
///
/// A grid with only an x axis may be folded into y when it has more workgroups than a dimension allows: a kernel
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
    /// How much.
    pub grid: Grid,
    /// Iterations that one thread's loops have at most, if they grow with the data; 0 if not. See
    /// [`Limits::iterations`].
    pub iterations: usize,
    /// Threads that share the loops behind `iterations`: those of a workgroup, or 1.
    pub shared_by: usize,
}

impl Dispatch {
    /// A dispatch without bindings yet.
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

    /// Declares how many iterations the loops of one thread have at most, all of them together.
    pub fn iterations(self, iterations: usize) -> Self {
        Self { iterations, ..self }
    }

    /// Declares `loops` loops of `each` iterations that `threads` neighbouring threads of a workgroup share evenly.
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

/// Where an op describes its launch.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The inputs, in order.
    pub inputs: &'a [Spec],
    /// The outputs, in order.
    pub outputs: &'a [Spec],
    /// The device's limits.
    pub limits: &'a Limits,
    /// The launches so far, in order of execution.
    pub dispatches: Vec<Dispatch>,
    /// Scratch buffers so far.
    pub scratch: Vec<Spec>,
    /// The choices among variants so far.
    pub choices: Vec<Choice>,
}

impl<'a> Launch<'a> {
    /// A launch of an op with these inputs and outputs.
    pub fn new(inputs: &'a [Spec], outputs: &'a [Spec], limits: &'a Limits) -> Self {
        Self { inputs, outputs, limits, dispatches: vec![], scratch: vec![], choices: vec![] }
    }

    /// Adds a dispatch.
    pub fn dispatch(&mut self, dispatch: Dispatch) {
        self.dispatches.push(dispatch);
    }

    /// Reserves a buffer that lives as long as this op runs.
    pub fn scratch(&mut self, spec: Spec) -> Operand {
        self.scratch.push(spec);
        Operand::Scratch(self.scratch.len() - 1)
    }

    /// Chooses among the `variants` of a kernel, by what [`Limits::choices`] says of this `site`; else the `default`.
    ///
    /// A site is the op's name and what its speed depends on, such as `matmul 512x1024x2048 nt`. That the choice
    /// existed is kept in [`Self::choices`], for tuning.
    pub fn choose(&mut self, site: &str, variants: &[&'static str], default: usize) -> usize {
        let wanted = self.limits.choices.get(site);
        let chosen = wanted.and_then(|name| variants.iter().position(|variant| *variant == name)).unwrap_or(default);
        self.choices.push(Choice { site: site.into(), variants: variants.to_vec(), chosen });
        chosen
    }
}

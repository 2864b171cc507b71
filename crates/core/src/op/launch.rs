//! Kernel launches as plain data, independent of a backend's API.

use std::borrow::Cow;

use crate::host::cast::wide;
use crate::{Limits, Spec, TuningChoice};

/// WGSL module. The source is joined from parts, usually library functions followed by the op's shader file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// The name in profiles and error messages, usually that of the shader file without the extension.
    pub name: Cow<'static, str>,
    /// The parts of the source.
    pub parts: Vec<Cow<'static, str>>,
    /// True if a backend may compile the kernel without bounds checks and without code that stops endless loops.
    trusted: bool,
}

impl Kernel {
    /// Creates a kernel from constant sources. Backends compile it with bounds checks and with code that stops
    /// endless loops.
    pub fn new(name: &'static str, parts: &[&'static str]) -> Self {
        Self { name: name.into(), parts: parts.iter().map(|&p| p.into()).collect(), trusted: false }
    }

    /// Creates a kernel from a generated source. Backends compile it with bounds checks and with code that stops
    /// endless loops.
    pub fn generated(name: impl Into<String>, source: String) -> Self {
        Self { name: Cow::Owned(name.into()), parts: vec![source.into()], trusted: false }
    }

    /// Allows backends to compile the kernel without bounds checks and without code that stops endless loops.
    ///
    /// # Safety
    /// With the parameters that its op sets, every access must be within its buffer and every loop must end.
    #[allow(unsafe_code, reason = "a promise that only the author of the kernel can make")]
    pub unsafe fn trusted(mut self) -> Self {
        self.trusted = true;
        self
    }

    /// Marks a kernel of `wgrad-shaders` as trusted. Runtime checks would cost up to half of its speed, because
    /// they add a counter to every loop and prevent unrolling.
    ///
    /// Each kernel of that crate compares a position with the size in `params` before it stores an element, clamps
    /// or checks the positions that it loads from, and bounds its loops with sizes from `params`. The backend
    /// binds buffers that are at least as long as their specs. `tests/parity.rs` runs the kernels with single rows
    /// and with sizes that are odd or not multiples of a block, and `tests/shaders.rs` compares the parameters of
    /// every launch with the shader.
    pub(crate) fn bundled(mut self) -> Self {
        self.trusted = true;
        self
    }

    /// Returns whether the kernel may be compiled without runtime checks.
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// Returns the complete source.
    pub fn source(&self) -> String {
        self.parts.join("\n")
    }
}

/// Buffer that a launch of an op binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// Input `i`.
    Input(usize),
    /// Output `i`.
    Output(usize),
    /// Temporary buffer `i`, reserved with [`Launch::scratch`].
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
    /// Converts a size. The sizes of buffers within the binding limits always fit into 32 bits.
    fn from(value: usize) -> Self {
        Self::U32(u32::try_from(value).unwrap_or(u32::MAX))
    }
}

/// Value of a WGSL `override`. A boolean is stored as 1 or 0.
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
    /// Threads per axis. The backend divides by the kernel's workgroup size and rounds up.
    Threads([usize; 3]),
    /// Workgroups per axis.
    Groups([usize; 3]),
    /// One workgroup per block of `elements` elements of an input. The op's inputs are placed next to each other
    /// in one buffer ([`Op::side_by_side`](crate::Op::side_by_side)), which is bound to the WGSL variable `x`. The
    /// variable `table` is bound to three numbers per workgroup: the position of the block's first element in `x`,
    /// the number of elements of the block, and the index of the block among the blocks of all inputs. The backend
    /// sets `params.blocks` to the number of blocks. If the inputs need several buffers, the kernel is launched
    /// once per buffer.
    Blocks {
        /// The name of the WGSL variable that the inputs' buffer is bound to.
        x: &'static str,
        /// The name of the WGSL variable that the table of blocks is bound to.
        table: &'static str,
        /// The number of elements of a block.
        elements: usize,
    },
}

/// Launch of one kernel. Buffers, parameters and constants are identified by their names in the WGSL source.
///
/// If a grid has only an x axis, but needs more workgroups than the device can launch along one axis, the backend
/// distributes them over x and y. Kernels therefore compute the linear workgroup index as
/// `group.x + group.y * num_workgroups.x`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Dispatch {
    /// The module.
    pub kernel: Kernel,
    /// The entry point.
    pub entry: &'static str,
    /// The buffer of each WGSL variable.
    pub bindings: Vec<(&'static str, Operand)>,
    /// The value of each member of the uniform struct `params`.
    pub params: Vec<(&'static str, Param)>,
    /// The value of each WGSL `override`.
    pub constants: Vec<(&'static str, f64)>,
    /// The number of threads or workgroups.
    pub grid: Grid,
    /// Maximum total number of iterations of a thread's loops, if this number grows with the data, else 0. See
    /// [`Limits::iterations`].
    pub iterations: usize,
    /// Number of threads that share the iterations of a loop: all threads of a workgroup, or 1.
    pub shared_by: usize,
}

impl Dispatch {
    /// Creates a dispatch without bindings, parameters and constants.
    pub fn new(kernel: Kernel, entry: &'static str, grid: Grid) -> Self {
        let (bindings, params, constants) = (vec![], vec![], vec![]);
        Self { kernel, entry, bindings, params, constants, grid, iterations: 0, shared_by: 1 }
    }

    /// Binds a buffer to the WGSL variable `name`.
    pub fn bind(mut self, name: &'static str, operand: Operand) -> Self {
        self.bindings.push((name, operand));
        self
    }

    /// Sets a member of the uniform struct `params`.
    pub fn param(mut self, name: &'static str, value: impl Into<Param>) -> Self {
        self.params.push((name, value.into()));
        self
    }

    /// Declares the maximum number of iterations that the loops of one thread execute in total.
    pub fn iterations(self, iterations: usize) -> Self {
        Self { iterations, ..self }
    }

    /// Declares `loops` loops of `each` iterations, which `threads` neighbouring threads of a workgroup share
    /// evenly.
    ///
    /// `threads` is the kernel's `@workgroup_size` or its override `THREADS`, which `tests/shaders.rs` verifies.
    pub fn iterations_shared(self, loops: usize, each: usize, threads: usize) -> Self {
        Self { iterations: loops * each.div_ceil(threads), shared_by: threads, ..self }
    }

    /// Sets a WGSL `override`.
    pub fn constant(mut self, name: &'static str, value: impl Into<Constant>) -> Self {
        self.constants.push((name, value.into().0));
        self
    }
}

/// Dispatches and temporary buffers of an op, which [`Op::launch`](crate::Op::launch) adds.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The inputs, in order.
    pub inputs: &'a [Spec],
    /// The outputs, in order.
    pub outputs: &'a [Spec],
    /// The device's limits.
    pub limits: &'a Limits,
    /// The dispatches added so far, in order of execution.
    pub dispatches: Vec<Dispatch>,
    /// The temporary buffers reserved so far.
    pub scratch: Vec<Spec>,
    /// The choices made so far among variants of the op's kernel.
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

    /// Reserves a temporary buffer, which exists only while this op runs.
    pub fn scratch(&mut self, spec: Spec) -> Operand {
        self.scratch.push(spec);
        Operand::Scratch(self.scratch.len() - 1)
    }

    /// Returns the index of the variant that [`Limits::choices`] contains for the tuning key `key`, else
    /// `default`.
    ///
    /// A tuning key consists of the op's name and the sizes that its speed depends on, such as
    /// `matmul 512x1024x2048 nt`. The choice is added to [`Self::choices`], which tuning reads.
    pub fn choose(&mut self, key: &str, variants: &[&'static str], default: usize) -> usize {
        let wanted = self.limits.choices.get(key);
        let chosen = wanted.and_then(|name| variants.iter().position(|variant| *variant == name)).unwrap_or(default);
        self.choices.push(TuningChoice { key: key.into(), variants: variants.to_vec(), chosen });
        chosen
    }
}

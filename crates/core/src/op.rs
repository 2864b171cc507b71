//! What an op must tell: its shape rule, its gradient, its CPU reference and its launch, all as data.

use std::any::TypeId;
use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::OnceLock;

use crate::autodiff::Backward;
use crate::reference::Reference;
use crate::{Accuracy, Choice, Choices, DType, Misfit, Shape, View};

/// Shape and element type of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    /// The shape.
    pub shape: Shape,
    /// The element type.
    pub dtype: DType,
}

impl Spec {
    /// A spec of any shape and type.
    pub fn new(shape: impl Into<Shape>, dtype: DType) -> Self {
        Self { shape: shape.into(), dtype }
    }

    /// A floating-point spec.
    pub fn f32(shape: impl Into<Shape>) -> Self {
        Self::new(shape, DType::F32)
    }

    /// A spec of unsigned integers.
    pub fn u32(shape: impl Into<Shape>) -> Self {
        Self::new(shape, DType::U32)
    }

    /// Bytes on a device.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shape.numel() * self.dtype.size()
    }
}

impl std::fmt::Display for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

/// A structured op: one that reads more of its inputs than the one element that it writes.
///
/// An op is plain data (its attributes); `Debug` must print all of them, because two nodes whose ops print alike and
/// have the same inputs are merged. An op is either a *view* (it implements [`Op::view`] and nothing runs) or has a
/// reference and a launch.
pub trait Op: Debug + Send + Sync + 'static {
    /// The name, as in error messages and plans.
    fn name(&self) -> &'static str;

    /// The Rust type: two ops are the same only if this agrees, too. Not to be overridden.
    fn kind(&self) -> TypeId {
        TypeId::of::<Self>()
    }

    /// The shape rule.
    ///
    /// # Errors
    /// A [`Misfit`] when the op cannot take these inputs, with the fixes to suggest.
    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, Misfit>;

    /// The gradient rule, in graph terms: reads cotangents, gives one gradient per input that needs it.
    fn backward(&self, at: &mut Backward);

    /// Whether the gradient rule is by design an estimate and not the derivative, as that of a straight-through estimator:
    /// finite differences do not judge it.
    fn estimated(&self) -> bool {
        false
    }

    /// The reading of the input that this op is, if it only relabels elements. Must succeed on a contiguous input.
    fn view(&self, _of: &View) -> Option<View> {
        None
    }

    /// The outputs that take an *epilogue*: pointwise readers that run where the kernel stores an element, so that
    /// they cost no dispatch of their own.
    ///
    /// A kernel that binds such an output to the WGSL variable `y` stores each of its elements exactly once, by calling
    /// `store_y(at, value)` with the linear position, never reads it back, and defines
    ///
    /// ```wgsl
    /// fn store_y(at: u32, value: f32) {
    ///     y[at] = value;
    /// }
    /// ```
    ///
    /// which the planner replaces by the epilogue. Of several dispatches, those that bind the output do so.
    fn epilogues(&self) -> &'static [usize] {
        &[]
    }

    /// Whether kernels read all inputs as one: the planner lays them side by side where it can. See [`Grid::Blocks`].
    fn side_by_side(&self) -> bool {
        false
    }

    /// The inputs that take a *prologue*: pointwise producers that run where the kernel loads an element.
    ///
    /// A kernel that binds such an input to the WGSL variable `x` reads each of its elements exactly once, by calling
    /// `load_x(at)` with the linear position, and defines
    ///
    /// ```wgsl
    /// fn load_x(at: u32) -> f32 {
    ///     return x[at];
    /// }
    /// ```
    fn prologues(&self) -> &'static [usize] {
        &[]
    }

    /// Whether the sum of an output over `axes` is zero by construction, so that nobody needs to compute it.
    ///
    /// Such is the gradient that a batch norm sends back: a constant added to a channel does not change the result.
    fn vanishes(&self, _output: usize, _of: &Shape, _axes: &[usize]) -> bool {
        false
    }

    /// How exact a result in `f32` is, on inputs like these: what [`crate::bound`] makes a bound of.
    ///
    /// The longest sum matters most. Unless the op says it, it is taken to be all of its largest input, which no op
    /// exceeds and which forgives most.
    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().steps(4.0).terms(inputs.iter().map(|spec| spec.shape.numel()).max().unwrap_or(1))
    }

    /// The CPU reference; sums in `f64`. See [`crate::both`].
    fn reference(&self, _at: Reference<'_>) {
        unreachable!("{} is a view and has no reference", self.name())
    }

    /// Which kernels to dispatch.
    fn launch(&self, _at: &mut Launch<'_>) {
        unreachable!("{} is a view and has no kernel", self.name())
    }
}

/// What a planner and an op may know about the device that a plan is made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Storage buffers that one dispatch may bind.
    pub storage_buffers: usize,
    /// Bytes that one binding may span.
    pub binding_bytes: u64,
    /// Bytes that one plan may take in all: of a device in the host's memory, what the machine has. GPUs do not tell
    /// theirs, so there is no limit unless one is set: an allocation that fails tells.
    pub memory_bytes: u64,
    /// Workgroups per dimension.
    pub workgroups: u32,
    /// Invocations per workgroup.
    pub invocations: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Turns of all loops of one thread: Mesa's software drivers go on without a word after 65,535.
    pub turns: u32,
    /// A software adapter, on which barriers are dear and wide threads are cheap.
    pub software: bool,
    /// Whether the backend runs dispatches at all; the CPU backend runs references.
    pub dispatches: bool,
    /// The variants of kernels that were found to be fastest on the device, or that a test asks for.
    pub choices: Choices,
}

impl Default for Limits {
    /// WebGPU's default limits.
    fn default() -> Self {
        Self {
            storage_buffers: 8,
            binding_bytes: 128 << 20,
            memory_bytes: u64::MAX,
            workgroups: 65_535,
            invocations: 256,
            workgroup_bytes: 16 << 10,
            turns: u32::MAX,
            software: false,
            dispatches: true,
            choices: Choices::default(),
        }
    }
}

impl Limits {
    /// The memory and swap of this machine, or the limit of this process's control group if that is less, in bytes: for
    /// devices that compute on its processors. A plan beyond it would not fail, but be killed. `u64::MAX` where Linux does
    /// not say it.
    #[must_use]
    pub fn memory_of_host() -> u64 {
        static MEMORY: OnceLock<u64> = OnceLock::new();
        *MEMORY.get_or_init(|| {
            let read = |path| std::fs::read_to_string(path).unwrap_or_default();
            let machine = memory_and_swap(&read("/proc/meminfo"));
            let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
            let group = group.into_iter().filter_map(|path| read(path).trim().parse().ok());
            group.chain(machine).min().unwrap_or(u64::MAX)
        })
    }
}

/// What `/proc/meminfo` says, in bytes.
fn memory_and_swap(text: &str) -> Option<u64> {
    let line =
        |name| text.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix("kB")?.trim().parse::<u64>().ok());
    Some((line("MemTotal:")? + line("SwapTotal:").unwrap_or(0)) << 10)
}

/// A WGSL module: its parts are joined into one source. Usually library functions, then the op's own file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// The name: the stem of the shader file.
    pub name: Cow<'static, str>,
    /// The source, in parts.
    pub parts: Vec<Cow<'static, str>>,
    /// Whether a backend may compile it without bounds checks and bounded loops.
    trusted: bool,
}

impl Kernel {
    /// A kernel from fixed sources. Backends compile it with bounds checks and bounded loops.
    #[must_use]
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
    #[must_use]
    #[allow(unsafe_code, reason = "a promise that only the author of the kernel can make")]
    pub unsafe fn trusted(mut self) -> Self {
        self.trusted = true;
        self
    }

    /// [`Self::trusted`] for the kernels of this crate: `shaders/sum.wgsl` guards its loads and stores by `params`.
    pub(crate) fn own(mut self) -> Self {
        self.trusted = true;
        self
    }

    /// Whether the kernel may be compiled without checks.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The whole source.
    #[must_use]
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

/// How much to launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grid {
    /// Threads per axis: the backend divides by the kernel's own workgroup size and rounds up.
    Threads([usize; 3]),
    /// Workgroups per axis.
    Groups([usize; 3]),
    /// A workgroup per so many elements of each of the op's inputs, which lie side by side ([`Op::side_by_side`]). The
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
    /// How often one thread turns its loops at most, if that grows with the data: see [`Limits::turns`].
    pub turns: usize,
}

impl Dispatch {
    /// A dispatch without bindings yet.
    #[must_use]
    pub fn new(kernel: Kernel, entry: &'static str, grid: Grid) -> Self {
        Self { kernel, entry, bindings: vec![], params: vec![], constants: vec![], grid, turns: 0 }
    }

    /// Binds a buffer to the WGSL variable `name`.
    #[must_use]
    pub fn bind(mut self, name: &'static str, operand: Operand) -> Self {
        self.bindings.push((name, operand));
        self
    }

    /// Sets a member of the uniform `params`.
    #[must_use]
    pub fn param(mut self, name: &'static str, value: impl Into<Param>) -> Self {
        self.params.push((name, value.into()));
        self
    }

    /// Says how often one thread turns its loops at most, all of them together.
    #[must_use]
    pub fn turns(mut self, turns: usize) -> Self {
        self.turns = turns;
        self
    }

    /// Sets a WGSL `override`.
    #[must_use]
    pub fn constant(mut self, name: &'static str, value: f64) -> Self {
        self.constants.push((name, value));
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
    #[must_use]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_linux_writes_it() {
        let text = "MemTotal:       24684096 kB\nMemFree:        20000 kB\nSwapTotal:       1024 kB\n";
        assert_eq!(memory_and_swap(text), Some((24_684_096 + 1024) << 10));
        assert_eq!(memory_and_swap("MemTotal:  16 kB\n"), Some(16 << 10));
        assert_eq!(memory_and_swap("MemTotal:  many\n"), None);
        assert_eq!(memory_and_swap(""), None);
    }
}

//! Fuses clusters (groups of pointwise ops) into the kernels of other ops: the clusters' code replaces the
//! functions `load_x` and `store_y` through which an op's kernel loads and stores elements.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use wgrad_core::plan::{BufferIndex, Cluster, ClusterInput, Plan, Role, TaskStage, Work};
use wgrad_core::{DeviceError, Kernel, KernelProblem, Result};

use super::bound::{BoundDispatch, Physical, Target};
use super::print::{Access, BodyPosition, Declared, body, declare, dtype_of, functions, store, wgsl};
use super::reflect::{Outline, Outlines};
use super::trusted::joined;

/// Number of the first binding that fused pointwise ops add to a kernel. The bindings of the kernel before fusion
/// have lower numbers.
const FIRST: usize = 100;

/// Bindings that clusters (fused pointwise ops) add to an op's kernel.
struct Added<'a> {
    plan: &'a Plan,
    /// Buffers that the op's kernel already reads as arrays of scalars, with the names of their variables.
    own: Vec<(BufferIndex, String)>,
    declared: BTreeMap<BufferIndex, Declared>,
    targets: Vec<(String, Target)>,
}

impl Added<'_> {
    /// Returns the name of the WGSL variable for a buffer of the plan, and declares the variable on first use.
    /// Returns `None` if the buffer has no memory because its values stay in registers.
    fn name(&mut self, buffer: BufferIndex, element: &str, written: bool) -> Option<String> {
        if matches!(self.plan.buffers[buffer].role, Role::Passed) {
            return None;
        }
        if let (Some((_, name)), false) = (self.own.iter().find(|(own, _)| *own == buffer), written) {
            return Some(name.clone());
        }
        let number = self.declared.len();
        let entry = self.declared.entry(buffer).or_insert_with(|| {
            let name = format!("e{number}");
            self.targets.push((name.clone(), Target::Buffer(buffer)));
            Declared { name, element: element.to_owned(), binding: FIRST + number, written }
        });
        entry.written |= written;
        Some(entry.name.clone())
    }

    /// Returns how the kernel accesses each input of a cluster. If `passed` is set, it is the input that the op
    /// has just computed; its element is not loaded, because the kernel's variable `value` contains it.
    fn reads(&mut self, cluster: &Cluster, inputs: &[BufferIndex], passed: Option<BufferIndex>) -> Vec<Access> {
        let read = |(&buffer, ClusterInput { view, dtype }): (&BufferIndex, &ClusterInput)| {
            if passed == Some(buffer) {
                return Access::Local("value");
            }
            match self.name(buffer, wgsl(*dtype), false) {
                Some(name) if view.is_splat() => Access::Splat(format!("{name}[{}u]", view.offset)),
                Some(name) => Access::Strided(name),
                None => unreachable!("only what is passed on has no memory"),
            }
        };
        inputs.iter().zip(&cluster.inputs).map(read).collect()
    }

    fn writes(&mut self, cluster: &Cluster, outputs: &[BufferIndex]) -> Vec<Access> {
        let write = |(&buffer, &arg)| {
            let name = self.name(buffer, wgsl(dtype_of(cluster, arg)), true);
            name.map_or(Access::NoMemory, Access::Strided)
        };
        outputs.iter().zip(&cluster.outputs).map(write).collect()
    }
}

/// Functions `load_…` and `store_…` of an op's kernel that clusters replace.
struct Replaced<'a> {
    kernel: &'a Kernel,
    outline: &'a Outline,
    functions: Vec<String>,
}

impl Replaced<'_> {
    fn add(&mut self, function: String) -> Result<()> {
        if !self.outline.has(&function) {
            let problem = KernelProblem::NoFunction { function };
            return Err(DeviceError::kernel(self.kernel.name.to_string(), problem).into());
        }
        self.functions.push(function);
        Ok(())
    }
}

/// Fuses clusters (groups of pointwise ops) into a dispatch of the op at stage `op` of a task: the clusters that
/// compute what the dispatch reads (prologues), and the clusters that read what the dispatch writes (epilogues).
pub(super) fn attach(
    plan: &Plan,
    bound: BoundDispatch,
    stages: &[TaskStage],
    op: usize,
    physical: &Physical<'_>,
    outlines: &Outlines,
) -> Result<BoundDispatch> {
    let (prologues, epilogues) = (&stages[..op], &stages[op + 1..]);
    if prologues.is_empty() && epilogues.is_empty() {
        return Ok(bound);
    }
    let BoundDispatch { mut dispatch, mut targets } = bound;
    let binds = |buffer: BufferIndex| targets.iter().find(|(_, target)| *target == Target::Buffer(buffer));
    let source = dispatch.kernel.source();
    let outline = outlines.of(&dispatch.kernel.name, &source)?;
    let mut replaced = Replaced { kernel: &dispatch.kernel, outline: &outline, functions: vec![] };
    let written: Vec<BufferIndex> = stages.iter().flat_map(|stage| &stage.outputs).copied().collect();
    let scalars = |(name, target): &(String, Target)| match target {
        Target::Buffer(buffer) if !written.contains(buffer) => {
            outline.reads_scalars(name).then(|| (*buffer, name.clone()))
        }
        _ => None,
    };
    let own = targets.iter().filter_map(scalars).collect();
    let mut added = Added { plan, own, declared: BTreeMap::new(), targets: vec![] };
    let mut code = String::new();
    let mut label = dispatch.kernel.name.to_string();
    // Names of the bindings whose elements a prologue computes, so that the kernel does not load them.
    let mut computed: Vec<String> = vec![];
    for (i, stage) in prologues.iter().enumerate() {
        let Work::Cluster(cluster) = &stage.work else { unreachable!("a prologue is a cluster") };
        let fed = stage.outputs.iter().enumerate().find_map(|(k, &buffer)| Some((k, binds(buffer)?.0.clone())));
        let Some((fed, name)) = fed else { continue };
        let function = format!("load_{name}");
        replaced.add(function.clone())?;
        let prefix = format!("p{i}_");
        code += &functions(cluster, &prefix, &format!("{source}{code}"));
        writeln!(code, "fn {function}(at: u32) -> f32 {{").expect("strings grow");
        let reads = added.reads(cluster, &stage.inputs, None);
        let writes = added.writes(cluster, &stage.outputs);
        let values = body(cluster, &reads, &BodyPosition { prefix: &prefix, at: "at", quad: None }, &mut code);
        store(cluster, &writes, &values, "at", &mut code);
        writeln!(code, "    return {};\n}}", values[fed][0]).expect("strings grow");
        label += "_p";
        computed.push(name);
    }
    // Several epilogues may read the same output of the op; all of them go into the store function of that output.
    let mut stores: BTreeMap<String, (BufferIndex, String)> = BTreeMap::new();
    for (i, stage) in epilogues.iter().enumerate() {
        let Work::Cluster(cluster) = &stage.work else { unreachable!("an epilogue is a cluster") };
        let mut made = stage.inputs.iter().filter(|buffer| stages[op].outputs.contains(buffer));
        let Some((passed, name)) = made.find_map(|&buffer| Some((buffer, binds(buffer)?.0.clone()))) else { continue };
        let prefix = format!("e{i}_");
        code += &functions(cluster, &prefix, &format!("{source}{code}"));
        let reads = added.reads(cluster, &stage.inputs, Some(passed));
        let writes = added.writes(cluster, &stage.outputs);
        let mut text = String::from("    {\n");
        let values = body(cluster, &reads, &BodyPosition { prefix: &prefix, at: "at", quad: None }, &mut text);
        store(cluster, &writes, &values, "at", &mut text);
        text += "    }\n";
        stores.entry(name).or_insert_with(|| (passed, String::new())).1 += &text;
        label += "_e";
    }
    for (name, (passed, text)) in &stores {
        let function = format!("store_{name}");
        replaced.add(function.clone())?;
        writeln!(code, "fn {function}(at: u32, value: f32) {{").expect("strings grow");
        if !matches!(plan.buffers[*passed].role, Role::Passed) {
            writeln!(code, "    {name}[at] = value;").expect("strings grow");
        }
        code += text;
        code += "}\n";
    }
    if !code.is_empty() {
        // wgpu tracks complete device buffers: if one binding of a device buffer is writable, all its bindings
        // must be.
        let written = added.declared.iter().filter(|(_, declared)| declared.written);
        let written: Vec<usize> = written.map(|(&buffer, _)| physical(buffer).0).collect();
        for (&buffer, declared) in &mut added.declared {
            declared.written = written.contains(&physical(buffer).0);
        }
        let mut source = outline.without(&source, &replaced.functions);
        declare(&added.declared, &mut source);
        source += &code;
        let clusters = prologues.iter().chain(epilogues).filter_map(|stage| match &stage.work {
            Work::Cluster(cluster) => Some(&cluster.instructions),
            _ => None,
        });
        let ops = clusters.flatten().map(|instruction| instruction.op);
        dispatch.kernel = joined(&dispatch.kernel, label, source, ops);
    }
    let passed = |buffer: BufferIndex| matches!(plan.buffers[buffer].role, Role::Passed);
    targets.retain(|(name, target)| match target {
        Target::Buffer(buffer) => !passed(*buffer) && !computed.contains(name),
        _ => true,
    });
    targets.extend(added.targets);
    Ok(BoundDispatch { dispatch, targets })
}

//! Prints a cluster of pointwise rows as one WGSL kernel.
//!
//! A thread computes four neighbouring elements: buffers that are read in step are loaded and stored as `vec4`, other
//! views element by element. Buffers are a multiple of 16 bytes long, so the last thread needs no special case: what
//! it writes behind the last element is padding.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use wgrad_core::plan::{Arg, Cluster};
use wgrad_core::{DType, Dispatch, Grid, Kernel, Operand, Pointwise, View};

const GROUP: usize = 64;
const LANES: [char; 4] = ['x', 'y', 'z', 'w'];

/// How the kernel reaches a buffer of the task.
struct Buffer {
    /// The buffer's name in the WGSL.
    name: String,
    /// Loaded and stored as `vec4`.
    vector: bool,
}

fn wgsl(dtype: DType) -> &'static str {
    if dtype.is_float() { "f32" } else { "u32" }
}

/// A number as a WGSL literal; infinities become the largest finite number.
fn literal(value: f64, dtype: DType) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "graphs are f32 and u32")]
    if dtype.is_float() {
        let value = (value as f32).clamp(f32::MIN, f32::MAX);
        if value.abs() >= f32::MAX {
            format!("{}0x1.fffffep+127f", if value < 0.0 { "-" } else { "" })
        } else {
            format!("{value:e}f")
        }
    } else {
        format!("{}u", value as u32)
    }
}

/// The launch of a cluster whose inputs and outputs live in these buffers of the plan.
///
/// # Panics
/// Never for a cluster made by the planner, which gives each input and output its buffer.
#[must_use]
pub fn print(cluster: &Cluster, inputs: &[usize], outputs: &[usize]) -> Dispatch {
    // Several inputs may read one buffer, and an input may be an output: each buffer is bound once.
    let mut buffers: BTreeMap<usize, Buffer> = BTreeMap::new();
    let mut source = String::new();
    let mut bindings = vec![];
    for (i, &buffer) in inputs.iter().chain(outputs).enumerate() {
        if buffers.contains_key(&buffer) {
            continue;
        }
        let (operand, dtype) = if i < inputs.len() {
            (Operand::Input(i), cluster.inputs[i].1)
        } else {
            let output = i - inputs.len();
            (Operand::Output(output), dtype_of(cluster, cluster.outputs[output]))
        };
        let written = outputs.contains(&buffer);
        let in_step = |(_, (view, _)): (&usize, &(View, DType))| view.is_contiguous();
        let reads: Vec<_> = inputs.iter().zip(&cluster.inputs).filter(|(other, _)| **other == buffer).collect();
        let vector = reads.into_iter().all(in_step);
        let k = buffers.len();
        let name: &'static str = NAMES[k];
        let access = if written { "read_write" } else { "read" };
        let element = if vector { format!("vec4<{}>", wgsl(dtype)) } else { wgsl(dtype).into() };
        writeln!(source, "@group(0) @binding({k}) var<storage, {access}> {name}: array<{element}>;")
            .expect("strings grow");
        bindings.push((name, operand));
        buffers.insert(buffer, Buffer { name: name.into(), vector });
    }
    let mut text = format!(
        "struct Params {{ n: u32 }}\n{source}@group(0) @binding({}) var<uniform> params: Params;\n",
        buffers.len()
    );
    text += &functions(cluster);
    write!(
        text,
        "\n@compute @workgroup_size({GROUP})\nfn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {{\n    \
         let quad = id.x + id.y * groups.x * {GROUP}u;\n    if quad * 4u >= params.n {{\n        return;\n    }}\n"
    )
    .expect("strings grow");
    body(cluster, inputs, outputs, &buffers, &mut text);
    text += "}\n";
    let n = cluster.shape.numel();
    let mut dispatch =
        Dispatch::new(Kernel::generated("cluster", text), "forward", Grid::Threads([n.div_ceil(4), 1, 1]));
    dispatch.bindings = bindings;
    dispatch.param("n", n)
}

/// Names for buffers; a plan binds at most eight, the CPU's plans are never printed.
const NAMES: [&str; 32] = [
    "b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9", "b10", "b11", "b12", "b13", "b14", "b15", "b16", "b17",
    "b18", "b19", "b20", "b21", "b22", "b23", "b24", "b25", "b26", "b27", "b28", "b29", "b30", "b31",
];

fn dtype_of(cluster: &Cluster, arg: Arg) -> DType {
    match arg {
        Arg::Input(input) => cluster.inputs[input].1,
        Arg::Result(result) => cluster.instructions[result].row.out,
        Arg::Number(_, dtype) => dtype,
        Arg::Index => DType::U32,
    }
}

/// One function per row in use, after the library functions that they call.
fn functions(cluster: &Cluster) -> String {
    let mut text = String::new();
    let mut libraries: Vec<&str> = vec![];
    for instruction in &cluster.instructions {
        let row = instruction.row;
        if !row.library.is_empty() && !libraries.contains(&row.library) {
            libraries.push(row.library);
            text += row.library;
        }
    }
    for (i, instruction) in cluster.instructions.iter().enumerate() {
        let row = instruction.row;
        if function(cluster, row) != i {
            continue;
        }
        let args = row.args.iter().zip(row.types).map(|(arg, &dtype)| format!("{arg}: {}", wgsl(dtype)));
        let attributes = row.attributes.iter().map(|attribute| format!("{attribute}: f32"));
        let args: Vec<_> = args.chain(attributes).collect();
        writeln!(text, "fn row{i}_{}({}) -> {} {{ return {}; }}", row.name, args.join(", "), wgsl(row.out), row.wgsl)
            .expect("strings grow");
    }
    text
}

/// The first instruction with this row: its function's number. Names alone may clash, a user's with ours.
fn function(cluster: &Cluster, row: &'static Pointwise) -> usize {
    let first = cluster.instructions.iter().position(|instruction| instruction.row == row);
    first.expect("the row of one of the instructions")
}

fn body(cluster: &Cluster, inputs: &[usize], outputs: &[usize], buffers: &BTreeMap<usize, Buffer>, text: &mut String) {
    let mut line = |line: String| {
        text.push_str("    ");
        text.push_str(&line);
        text.push('\n');
    };
    let lanes = cluster.inputs.iter().any(|(view, _)| !view.is_contiguous() && !view.is_splat());
    let index = cluster.instructions.iter().flat_map(|i| &i.args).chain(&cluster.outputs).any(|arg| *arg == Arg::Index);
    for (k, lane) in LANES.iter().enumerate() {
        if index {
            line(format!("let index_{lane} = quad * 4u + {k}u;"));
        }
        if lanes {
            line(format!("let at_{lane} = min(quad * 4u + {k}u, params.n - 1u);"));
        }
    }
    for (i, ((view, _), buffer)) in cluster.inputs.iter().zip(inputs).enumerate() {
        let Buffer { name, vector } = &buffers[buffer];
        if *vector {
            line(format!("let i{i} = {name}[quad];"));
        } else if view.is_splat() {
            line(format!("let i{i} = {name}[{}u];", view.offset));
        } else {
            for lane in LANES {
                // A buffer read in step beside another view of it is declared as scalars.
                line(format!("let i{i}_{lane} = {name}[{}];", locate(view, &format!("at_{lane}"))));
            }
        }
    }
    let value = |arg: Arg, lane: char| match arg {
        Arg::Input(i) => match (&buffers[&inputs[i]], cluster.inputs[i].0.is_splat()) {
            (Buffer { vector: true, .. }, _) => format!("i{i}.{lane}"),
            (_, true) => format!("i{i}"),
            _ => format!("i{i}_{lane}"),
        },
        Arg::Result(result) => format!("r{result}_{lane}"),
        Arg::Number(value, dtype) => literal(value, dtype),
        Arg::Index => format!("index_{lane}"),
    };
    for (j, instruction) in cluster.instructions.iter().enumerate() {
        for lane in LANES {
            let args = instruction.args.iter().map(|&arg| value(arg, lane));
            let attributes = instruction.attributes.iter().map(|&value| literal(value, DType::F32));
            let args: Vec<_> = args.chain(attributes).collect();
            let (number, row) = (function(cluster, instruction.row), instruction.row.name);
            line(format!("let r{j}_{lane} = row{number}_{row}({});", args.join(", ")));
        }
    }
    for (&arg, buffer) in cluster.outputs.iter().zip(outputs) {
        let Buffer { name, .. } = &buffers[buffer];
        let values: Vec<_> = LANES.iter().map(|&lane| value(arg, lane)).collect();
        line(format!("{name}[quad] = vec4<{}>({});", wgsl(dtype_of(cluster, arg)), values.join(", ")));
    }
}

/// The buffer position of linear position `at` of a view, with adjacent axes that step alike taken as one.
fn locate(view: &View, at: &str) -> String {
    let mut axes: Vec<(usize, usize)> = vec![];
    for (&size, &stride) in view.shape.dims().iter().zip(&view.strides).rev() {
        if size == 1 {
            continue;
        }
        match axes.last_mut() {
            Some((inner, step)) if stride == *step * *inner || (stride == 0 && *step == 0) => *inner *= size,
            _ => axes.push((size, stride)),
        }
    }
    let mut terms: Vec<String> = vec![];
    let mut below = 1;
    for (k, &(size, stride)) in axes.iter().enumerate() {
        if stride > 0 {
            let position = if below == 1 { at.to_string() } else { format!("({at} / {below}u)") };
            let position = if k + 1 == axes.len() { position } else { format!("({position} % {size}u)") };
            terms.push(if stride == 1 { position } else { format!("{position} * {stride}u") });
        }
        below *= size;
    }
    if view.offset > 0 || terms.is_empty() {
        terms.push(format!("{}u", view.offset));
    }
    terms.join(" + ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_core::Shape;

    #[test]
    fn adjacent_axes_are_indexed_as_one() {
        let contiguous = View::contiguous(&Shape::from([2, 3, 4]));
        assert_eq!(locate(&contiguous.broadcast(&[5, 2, 3, 4].into()), "i"), "(i % 24u)");
        let column = View::contiguous(&Shape::from([3])).reshape(&[3].into()).unwrap();
        assert_eq!(locate(&column.broadcast(&[7, 3].into()), "i"), "(i % 3u)");
        assert_eq!(locate(&View::contiguous(&Shape::from([2, 3])).permute(&[1, 0]), "i"), "(i % 2u) * 3u + (i / 2u)");
    }

    #[test]
    fn literals_are_valid_wgsl() {
        assert_eq!(literal(0.1, DType::F32), "1e-1f");
        assert_eq!(literal(f64::INFINITY, DType::F32), "0x1.fffffep+127f");
        assert_eq!(literal(3.0, DType::U32), "3u");
        assert_eq!(literal(-0.0, DType::F32), "-0e0f");
    }
}

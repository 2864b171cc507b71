//! Prints clusters (fused groups of pointwise ops) as WGSL: declarations, functions, loads, calls and stores. The
//! code computes either one element or four neighbouring ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use wgrad_core::plan::{Arg, Cluster, ClusterInput};
use wgrad_core::{DType, Pointwise, View};

/// Components of a `vec4`.
pub(super) const LANES: [&str; 4] = ["x", "y", "z", "w"];

/// Way in which a kernel accesses an input or output of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Access {
    /// The element is already in this variable of the kernel.
    Local(&'static str),
    /// WGSL expression for a `vec4` of four neighbouring elements.
    Vector(String),
    /// WGSL expression for a single element, which is used at every position.
    Splat(String),
    /// Name of an array of scalars; positions are computed from the strides of the input's view.
    Strided(String),
    /// The output is not stored, only passed to another stage in a register.
    NoMemory,
}

/// Returns the WGSL type for elements of this type.
pub(super) fn wgsl(dtype: DType) -> &'static str {
    if dtype.is_float() { "f32" } else { "u32" }
}

/// Returns a number as a WGSL literal. Infinities, which WGSL cannot write, become the largest finite number.
fn literal(value: f64, dtype: DType) -> String {
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

/// Returns the element type of an instruction's argument.
pub(super) fn dtype_of(cluster: &Cluster, arg: Arg) -> DType {
    match arg {
        Arg::Input(input) => cluster.inputs[input].dtype,
        Arg::Result(result) => cluster.instructions[result].op.out,
        Arg::Number(_, dtype) => dtype,
        Arg::Index => DType::U32,
    }
}

/// Prints a function for each pointwise op of a cluster, preceded by the library functions that these functions
/// call, except those that the text `present` already contains. Names begin with `prefix`, because a kernel may
/// contain several clusters.
pub(super) fn functions(cluster: &Cluster, prefix: &str, present: &str) -> String {
    let mut text = String::new();
    for instruction in &cluster.instructions {
        let library = instruction.op.library;
        if !library.is_empty() && !present.contains(library) && !text.contains(library) {
            text += library;
        }
    }
    for (i, instruction) in cluster.instructions.iter().enumerate() {
        let op = instruction.op;
        if function(cluster, op) != i {
            continue;
        }
        let args = op.args.iter().zip(op.types).map(|(arg, &dtype)| format!("{arg}: {}", wgsl(dtype)));
        let attributes = op.attributes.iter().map(|attribute| format!("{attribute}: f32"));
        let args: Vec<_> = args.chain(attributes).collect();
        let (name, out) = (op.name, wgsl(op.out));
        writeln!(text, "fn {prefix}op{i}_{name}({}) -> {out} {{ return {}; }}", args.join(", "), op.wgsl)
            .expect("strings grow");
    }
    text
}

/// Returns a number that identifies a pointwise op in a cluster: the index of the first instruction with this op.
/// The number is part of the WGSL function's name, because users' ops may have the same names as wgrad's.
fn function(cluster: &Cluster, op: &'static Pointwise) -> usize {
    let first = cluster.instructions.iter().position(|instruction| instruction.op == op);
    first.expect("the op of one of the instructions")
}

/// WGSL expressions for the position of the element, or of the four elements, that the printed statements compute.
pub(super) struct BodyPosition<'a> {
    /// Prefix of the names of the ops' functions.
    pub prefix: &'a str,
    /// Expression for the linear position of the element. If four elements are computed, that position divided by
    /// four.
    pub at: &'a str,
    /// Expression for the total number of elements if four elements are computed, else `None`. Positions beyond
    /// the total read the last element.
    pub quad: Option<&'a str>,
}

/// Prints the statements that compute a cluster. Returns the expressions of each output, one per computed element.
pub(super) fn body(
    cluster: &Cluster,
    inputs: &[Access],
    place: &BodyPosition<'_>,
    text: &mut String,
) -> Vec<Vec<String>> {
    let lanes: &[&str] = if place.quad.is_some() { &LANES } else { &[""] };
    let mut line = |line: String| {
        text.push_str("    ");
        text.push_str(&line);
        text.push('\n');
    };
    let named = |name: String, lane: &str| if lane.is_empty() { name } else { format!("{name}_{lane}") };
    let strided = inputs.iter().any(|access| matches!(access, Access::Strided(_)));
    let index = cluster.instructions.iter().flat_map(|i| &i.args).chain(&cluster.outputs).any(|arg| *arg == Arg::Index);
    let at = |lane: &str| if lane.is_empty() { place.at.to_owned() } else { format!("at_{lane}") };
    if let Some(n) = place.quad {
        for (k, lane) in LANES.iter().enumerate() {
            if index {
                line(format!("let index_{lane} = {} * 4u + {k}u;", place.at));
            }
            if strided {
                line(format!("let at_{lane} = min({} * 4u + {k}u, {n} - 1u);", place.at));
            }
        }
    }
    for (i, (ClusterInput { view, .. }, access)) in cluster.inputs.iter().zip(inputs).enumerate() {
        match access {
            Access::Local(_) | Access::NoMemory => {}
            Access::Vector(element) | Access::Splat(element) => line(format!("let i{i} = {element};")),
            Access::Strided(name) => {
                for lane in lanes {
                    let element = locate(view, &at(lane));
                    line(format!("let {} = {name}[{element}];", named(format!("i{i}"), lane)));
                }
            }
        }
    }
    let value = |arg: Arg, lane: &str| match arg {
        Arg::Input(i) => match &inputs[i] {
            Access::Local(name) => (*name).to_owned(),
            Access::Vector(..) => format!("i{i}.{lane}"),
            Access::Splat(..) => format!("i{i}"),
            Access::Strided(_) => named(format!("i{i}"), lane),
            Access::NoMemory => unreachable!("inputs have memory or a variable"),
        },
        Arg::Result(result) => named(format!("r{result}"), lane),
        Arg::Number(value, dtype) => literal(value, dtype),
        Arg::Index if lane.is_empty() => place.at.to_owned(),
        Arg::Index => format!("index_{lane}"),
    };
    for (j, instruction) in cluster.instructions.iter().enumerate() {
        for lane in lanes {
            let args = instruction.args.iter().map(|&arg| value(arg, lane));
            let attributes = instruction.attributes.iter().map(|&value| literal(value, DType::F32));
            let args: Vec<_> = args.chain(attributes).collect();
            let (number, name) = (function(cluster, instruction.op), instruction.op.name);
            let result = named(format!("r{j}"), lane);
            line(format!("let {result} = {}op{number}_{name}({});", place.prefix, args.join(", ")));
        }
    }
    cluster.outputs.iter().map(|&arg| lanes.iter().map(|lane| value(arg, lane)).collect()).collect()
}

/// Prints the statements that store the outputs of a cluster.
pub(super) fn store(cluster: &Cluster, outputs: &[Access], values: &[Vec<String>], at: &str, text: &mut String) {
    for ((&arg, access), values) in cluster.outputs.iter().zip(outputs).zip(values) {
        let line = match access {
            Access::NoMemory => continue,
            Access::Vector(element) => {
                let dtype = wgsl(dtype_of(cluster, arg));
                format!("{element} = vec4<{dtype}>({});", values.join(", "))
            }
            Access::Strided(name) => format!("{name}[{at}] = {};", values[0]),
            Access::Local(_) | Access::Splat(..) => unreachable!("outputs are stored contiguously"),
        };
        writeln!(text, "    {line}").expect("strings grow");
    }
}

/// Prints the declarations of storage buffers.
pub(super) fn declare<K>(buffers: &BTreeMap<K, Declared>, text: &mut String) {
    for Declared { name, element, binding, written } in buffers.values() {
        let access = if *written { "read_write" } else { "read" };
        writeln!(text, "@group(0) @binding({binding}) var<storage, {access}> {name}: array<{element}>;")
            .expect("strings grow");
    }
}

/// Storage buffer that a printed kernel declares.
pub(super) struct Declared {
    /// Name of the variable.
    pub name: String,
    /// WGSL type of the array's elements.
    pub element: String,
    /// Binding number.
    pub binding: usize,
    /// True if the kernel may write to the buffer.
    pub written: bool,
}

/// Returns the WGSL expression that converts `at`, a linear position in a view, to an index into the buffer behind
/// the view. Adjacent axes are treated as one axis if one stride covers them.
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

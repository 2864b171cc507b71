//! Tests every kernel of the dense ops (matrix products, softmax, cross-entropy and batch norm), in every variant:
//! it must be valid WGSL, and its bindings, parameters and constants must be exactly those that its launch names.

#![allow(clippy::many_single_char_names, reason = "formulas as they are written")]

use std::collections::BTreeSet;

use naga::valid::{Capabilities, ValidationFlags, Validator};
use wgrad_core::ops::*;
use wgrad_core::plan::Work;
use wgrad_core::{DType, Dispatch, Graph, Limits, Mode, Plan, Tensor, vjp};

fn software() -> Limits {
    Limits { software: true, ..Limits::default() }
}

/// Returns the dispatches of a graph. `build` returns the tensors to fetch, and the tensors for which the gradient
/// of the first one is computed.
fn dispatches(limits: &Limits, build: impl Fn(&Graph) -> (Vec<Tensor>, Vec<Tensor>)) -> Vec<Dispatch> {
    let graph = Graph::new(Mode::Train);
    let (outputs, wrt) = build(&graph);
    let cotangent = graph.input("cotangent", outputs[0].shape(), DType::F32);
    let gradients = vjp(&[(&outputs[0], &cotangent)], &wrt);
    let fetches: Vec<_> = outputs.iter().chain(gradients.iter().flatten()).collect();
    let plan = Plan::new(&graph, &fetches, limits).unwrap();
    let ops = plan.tasks.into_iter().flat_map(|task| task.stages).filter_map(|stage| match stage.work {
        Work::Op { dispatches, .. } => Some(dispatches),
        Work::Cluster(_) | Work::Group(_) => None,
    });
    ops.flatten().collect()
}

fn matmul(limits: &Limits, [m, n, k]: [usize; 3], ta: bool, tb: bool, bias: bool) -> Vec<Dispatch> {
    dispatches(limits, |graph| {
        let f32 = |name, dims: [usize; 2]| graph.input(name, dims, DType::F32);
        if bias {
            let bias = graph.input("bias", [n], DType::F32);
            let (x, w) = (f32("x", [m, k]), f32("w", [n, k]));
            return (vec![x.linear(&w, Some(&bias))], vec![x, w, bias]);
        }
        let a = f32("a", if ta { [k, m] } else { [m, k] });
        let b = f32("b", if tb { [n, k] } else { [k, n] });
        (vec![a.matmul_t(&b, ta, tb)], vec![a, b])
    })
}

fn class_ops(limits: &Limits, classes: usize, inner: &[usize]) -> Vec<Dispatch> {
    let shape = [&[4, classes], inner].concat();
    let rows = [&[4], inner].concat();
    let x = |graph: &Graph| graph.input("x", &shape[..], DType::F32);
    let vector = |graph: &Graph, name: &str| graph.input(name, [classes], DType::F32);
    let mut all = dispatches(limits, |graph| {
        let (x, y) = (x(graph), graph.input("y", &rows[..], DType::U32));
        (vec![x.softmax_cross_entropy(&y, None, 0.1, Some(1)).0], vec![x])
    });
    all.extend(dispatches(limits, |graph| {
        let (x, y) = (x(graph), graph.input("y", &shape[..], DType::F32));
        (vec![x.softmax_cross_entropy(&y, Some(&vector(graph, "w")), 0.0, None).0], vec![x, y])
    }));
    all.extend(dispatches(limits, |graph| {
        let y = graph.input("y", &rows[..], DType::U32);
        (vec![x(graph).softmax_cross_entropy(&y, None, 0.1, None).0], vec![])
    }));
    all.extend(dispatches(limits, |graph| (vec![x(graph).softmax(1), x(graph).log_softmax(1)], vec![])));
    all.extend(dispatches(limits, |graph| {
        let x = x(graph);
        (vec![x.batch_norm_train(None, None, 1e-5).0], vec![x])
    }));
    all.extend(dispatches(limits, |graph| {
        let (x, w, b) = (x(graph), vector(graph, "w"), vector(graph, "b"));
        (vec![x.batch_norm_train(Some(&w), Some(&b), 1e-5).0], vec![x, w, b])
    }));
    all
}

fn all() -> Vec<Dispatch> {
    let mut all = vec![];
    for variant in matmul_variants() {
        let mut limits = Limits::default();
        limits.choices.set("matmul", variant);
        for size in [[65, 33, 17], [130, 66, 18], [132, 140, 36], [256, 256, 64]] {
            for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
                all.extend(matmul(&limits, size, ta, tb, false));
            }
            all.extend(matmul(&limits, size, false, true, true));
        }
    }
    for limits in [Limits::default(), software()] {
        for size in [[5, 3, 2], [65, 33, 17], [64, 30, 4096], [600, 700, 40], [8, 12, 16], [2048, 1024, 16]] {
            for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
                all.extend(matmul(&limits, size, ta, tb, false));
            }
            all.extend(matmul(&limits, size, false, true, true));
        }
        all.extend(matmul(&limits, [10, 1, 10_000], false, true, true));
        all.extend(dispatches(&limits, |graph| {
            let x = graph.input("x", [5000, 6], DType::F32);
            (vec![x.batch_norm_train(None, None, 1e-5).0], vec![x])
        }));
        for classes in [3, 100] {
            all.extend(class_ops(&limits, classes, &[]));
            all.extend(class_ops(&limits, classes, &[2, 3]));
        }
    }
    all
}

/// Parses and validates a kernel, and compares the names in `dispatch` with what the entry point uses.
fn check(dispatch: &Dispatch) {
    let source = dispatch.kernel.source();
    let name = format!("{}::{}", dispatch.kernel.name, dispatch.entry);
    let module = naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(&source)));
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(&source)));
    let entry = module.entry_points.iter().position(|entry| entry.name == dispatch.entry).expect("an entry point");
    let uses = info.get_entry_point(entry);
    let bound: BTreeSet<&str> = dispatch.bindings.iter().map(|(name, _)| *name).collect();
    let storage =
        |(_, variable): &(_, &naga::GlobalVariable)| matches!(variable.space, naga::AddressSpace::Storage { .. });
    let name_of = |variable: &naga::GlobalVariable| variable.name.clone().expect("globals have names");
    let declared: BTreeSet<_> = module.global_variables.iter().filter(storage).map(|(_, v)| name_of(v)).collect();
    let bindings =
        module.global_variables.iter().filter(|(handle, v)| storage(&(*handle, v)) && !uses[*handle].is_empty());
    assert!(bindings.count() <= 8, "{name} uses more than 8 storage buffers");
    for bound in &bound {
        assert!(declared.contains(*bound), "{name} binds {bound}, which it does not declare");
    }
    for (handle, variable) in module.global_variables.iter() {
        if storage(&(handle, variable)) && !uses[handle].is_empty() {
            assert!(bound.contains(&name_of(variable)[..]), "{name} does not bind {:?}", variable.name);
        }
        if variable.space == naga::AddressSpace::Uniform {
            let naga::TypeInner::Struct { members, .. } = &module.types[variable.ty].inner else {
                panic!("{name}: params is a struct")
            };
            let members: BTreeSet<_> = members.iter().filter_map(|member| member.name.as_deref()).collect();
            let given: BTreeSet<_> = dispatch.params.iter().map(|(name, _)| *name).collect();
            assert_eq!(members, given, "{name}");
        }
    }
    for (constant, _) in &dispatch.constants {
        let known = module.overrides.iter().any(|(_, o)| o.name.as_deref() == Some(constant));
        assert!(known, "{name} has no override {constant}");
    }
}

#[test]
fn every_kernel_is_valid_and_matches_its_launch() {
    let mut checked = BTreeSet::new();
    for dispatch in all() {
        if checked.insert(format!("{}::{}", dispatch.kernel.name, dispatch.entry)) {
            check(&dispatch);
        }
    }
    let expected = "
        batch_norm::forward batch_norm::partial batch_norm::finish batch_norm_serial::forward
         batch_norm_serial::partial batch_norm_serial::finish batch_norm_backward::backward
         batch_norm_backward::partial batch_norm_backward::finish batch_norm_backward_serial::backward
         batch_norm_backward_serial::partial batch_norm_backward_serial::finish matmul_sum::forward
         matmul_sum::forward_biased softmax::serial softmax::tree softmax_cross_entropy::serial
         softmax_cross_entropy::tree softmax_cross_entropy::serial_with_gradient
         softmax_cross_entropy::tree_with_gradient";
    let mut expected: BTreeSet<String> = expected.split_whitespace().map(String::from).collect();
    for variant in matmul_variants() {
        // These forms cover aligned and unaligned sizes, transposed operands, complete and partial tiles, and a
        // bias.
        let forms = ["nn_11_ragged", "nn_44_rows_columns", "tn_44_rows_columns", "nt_44_rows_columns_biased"];
        expected.extend(forms.map(|form| format!("{variant}_{form}::forward")));
    }
    let missing: Vec<_> = expected.iter().filter(|&name| !checked.contains(name)).collect();
    assert!(missing.is_empty(), "never launched: {missing:?}");
}

#[test]
fn templates_are_valid_without_changes() {
    let shared = wgrad_shaders::lib::MATMUL;
    let block = wgrad_shaders::lib::MATMUL_OPERAND;
    let loads = [wgrad_shaders::lib::MATMUL_BY_4, wgrad_shaders::lib::MATMUL_BY_2, wgrad_shaders::lib::MATMUL_BY_1];
    let templates = [wgrad_shaders::MATMUL_DIRECT, wgrad_shaders::MATMUL_TREE, wgrad_shaders::MATMUL_TILED];
    for load in loads {
        let operand =
            |name: &str| format!("{load}\n{block}").replace("operand", name).replace("OPERAND", &name.to_uppercase());
        let b = operand("b").replace("@binding(0)", "@binding(1)");
        for template in templates {
            let source = format!("{shared}\n{}\n{b}\n{template}", operand("a"));
            let module = naga::front::wgsl::parse_str(&source).unwrap();
            Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module).unwrap();
        }
    }
}

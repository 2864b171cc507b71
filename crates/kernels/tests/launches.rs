//! Tests of a user-defined op: its launch is described only once per plan, and pointwise ops after it (an
//! epilogue) are fused into its kernel, whatever the formatting of the WGSL.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wgrad_core::{
    Backward, DType, Dispatch, Graph, Grid, InvalidArgument, Kernel, Launch, Limits, Mode, Op, Operand, Plan, Spec,
};
use wgrad_kernels::testing::{launches, reflect};

const DOUBLE: &str = "
// y[i] = 2 x[i]; not fn store_y(at: u32
struct Params { n: u32 }
@group(0) @binding(0) var<storage,read> x : array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;
fn store_y( at: u32, value: f32 )
{
    y[at] = value; // }
}
@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < params.n {
        store_y(id.x, 2.0 * x[id.x]);
    }
}
";

/// Op that computes `y = 2 x` and counts how often it is asked to describe its launch.
#[derive(Debug)]
struct Double(Arc<AtomicUsize>);

impl Op for Double {
    fn name(&self) -> &'static str {
        "double"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![inputs[0].clone()])
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn backward(&self, _: &mut Backward) {}

    fn launch(&self, at: &mut Launch<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        let n = at.inputs[0].shape.numel();
        let dispatch = Dispatch::new(Kernel::new("double", &[DOUBLE]), "forward", Grid::Threads([n, 1, 1]));
        at.dispatch(dispatch.bind("x", Operand::Input(0)).bind("y", Operand::Output(0)).param("n", n));
    }
}

#[test]
fn an_op_describes_its_launch_once_per_plan() {
    let described = Arc::new(AtomicUsize::new(0));
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [8, 3], DType::F32);
    let y = graph.apply(Double(described.clone()), &[&x]).get(0);
    // These pointwise ops can be fused into the op's kernel. Before the plan fuses ops, it counts the bindings of
    // the kernel, for which it needs the op's launch.
    let z = y.square() + &x;
    let plan = Plan::new(&graph, &[&z], &Limits::default()).expect("the graph is sound");
    assert_eq!(plan.dispatches(), 1, "{plan}");
    let bounds = launches(&plan, &plan.tasks[0], &|buffer| (buffer.0, 0)).expect("the kernel keeps the op's promise");
    assert_eq!(described.load(Ordering::Relaxed), 1);
    let kernel = &bounds[0].dispatch.kernel;
    assert_eq!(kernel.name, "double_e");
    let module = reflect(&kernel.name, &kernel.source()).expect("the joined kernel is valid");
    let bindings: Vec<_> = module.entries["forward"].bindings.iter().map(|binding| &binding.name[..]).collect();
    // The fused ops read `x` through the kernel's own binding, and do not load `y` from memory.
    assert_eq!(bindings, ["x", "params", "e0"]);
}

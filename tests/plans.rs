//! Tests of the printed plans of small models. A plan shows which ops are dropped, merged, fused or updated in
//! place, and how much memory they use.
//!
//! An improvement of the planner changes these texts. Read the new text, then replace the old one.

#[path = "plans/losses.rs"]
mod losses;

use wgrad::core::plan::{Role, Task, Work};
use wgrad::core::{Limits, Plan};
use wgrad::prelude::*;

/// Plans a graph for a GPU with WebGPU's default limits.
fn plan(graph: &Graph, fetches: &[&Tensor]) -> Plan {
    Plan::new(graph, fetches, &Limits::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn assert_prints(plan: &Plan, expected: &str) {
    let lines = |text: &str| text.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>().join("\n");
    let now = lines(&plan.to_string());
    assert!(now == lines(expected.trim_start_matches('\n')), "the plan is now\n{now}\n");
}

fn x(graph: &Graph, shape: impl Into<Shape>) -> Tensor {
    graph.input("x", shape, DType::F32)
}

struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    fn new(p: &Params) -> Self {
        Self { fc1: Linear::new(&p.at("fc1"), 30, 64), fc2: Linear::new(&p.at("fc2"), 64, 1) }
    }
}

impl Module for Mlp {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.fc2.forward(&self.fc1.forward(x).relu())
    }
}

/// Creates a model for tabular data with layers 30-64-64-1 and batch norm.
fn tabular(p: &Params) -> Sequential {
    Sequential::new(p)
        .add(|p| Linear::new(p, 30, 64))
        .add(|p| BatchNorm1d::new(p, 64))
        .add(|_| Relu)
        .add(|p| Linear::new(p, 64, 64))
        .add(|p| BatchNorm1d::new(p, 64))
        .add(|_| Relu)
        .add(|p| Linear::new(p, 64, 1))
}

fn step(model: &impl Module, mode: Mode, optimizer: Option<&dyn Optimizer>) -> Plan {
    let graph = Graph::new(mode);
    let (x, y) = (x(&graph, [64, 30]), graph.input("y", [64, 1], DType::F32));
    let loss = BceWithLogitsLoss::new().forward(&model.forward(&x), &y);
    if let Some(optimizer) = optimizer {
        optimizer.minimize(&loss);
    }
    plan(&graph, &[&loss])
}

/// Returns the number of ops with this name in a plan.
fn count(plan: &Plan, name: &str) -> usize {
    let stages = plan.tasks.iter().flat_map(|task| &task.stages);
    stages.filter(|stage| matches!(&stage.work, Work::Op { op, .. } if op.name() == name)).count()
}

/// Returns the names of the variables that a plan writes.
fn written(plan: &Plan) -> Vec<&str> {
    let tasks = plan.tasks.iter().flat_map(Task::outputs);
    let mut names: Vec<_> = tasks
        .filter_map(|buffer| match plan.buffers[buffer].role {
            Role::Variable(i) => Some(plan.variables[i].variable.name()),
            _ => None,
        })
        .collect();
    names.sort_unstable();
    let flagged = plan.variables.iter().filter(|used| used.written).count();
    assert_eq!(flagged, names.len(), "a plan says which variables it writes");
    names
}

#[test]
fn a_training_step_is_forward_backward_and_updates_in_place() {
    let plan = step(&Mlp::new(&Params::seeded(0)), Mode::Train, Some(&Sgd::new(0.1)));
    assert_prints(
        &plan,
        "
plan: 9 tasks, 9 dispatches (17 unfused)
memory: variables 8.0 KiB, inputs 7.8 KiB, temporaries 40.5 KiB in 4 slots, largest buffer 16.0 KiB
  live: 41 nodes traced, 1 dead, 1 merged
  fuse: 14 pointwise nodes in 9 clusters, 0 copies of views
  attach: 5 clusters in the kernels of ops, 4 in 1 groups
  order: 9 tasks, 4 updates in place, 0 by copy
  memory: temporaries 40.8 KiB → 40.5 KiB in 4 slots
  0  matmul → relu (fc1)                                         [64, 64]  s1 ← x, fc1.weight, fc1.bias
  1  matmul → bce_with_logits → bce_with_logits_slope·mul (fc2)  [64, 1]   s2, s3 ← s1, fc2.weight, fc2.bias, y
  2  sum → mul                                                   [1, 1]    fetch13 ← s2
  3  matmul → relu_backward (fc2)                                [64, 64]  s2 ← s3, fc2.weight, s1
  4  matmul (fc2)                                                [1, 64]   s0[1984..] ← s3, s1
  5  sum (fc2)                                                   [1, 1]    s0[2048..] ← s3
  6  matmul (fc1)                                                [64, 30]  s0 ← s2, x
  7  sum (fc1)                                                   [1, 64]   s0[1920..] ← s2
  8  mul·sub × 4 (Sgd)                                           [2049]    fc1.weight, fc1.bias, fc2.weight, fc2.bias ← s0, schedule, fc1.weight, s0[1920..], fc1.bias, s0[1984..], fc2.weight, s0[2048..], fc2.bias
",
    );
    assert_eq!(written(&plan), ["fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"]);
}

#[test]
fn batch_norm_evaluates_with_its_running_statistics() {
    let norm = BatchNorm1d::new(&Params::seeded(0).at("bn"), 8);
    let on = |mode| {
        let graph = Graph::new(mode);
        let y = norm.forward(&x(&graph, [16, 8])).relu();
        plan(&graph, &[&y])
    };
    assert_prints(
        &on(Mode::Train),
        "
plan: 1 tasks, 1 dispatches (4 unfused)
memory: variables 128 B, inputs 1.0 KiB, temporaries 0 B in 0 slots, largest buffer 512 B
  live: 20 nodes traced, 0 dead, 1 merged
  fuse: 7 pointwise nodes in 3 clusters, 0 copies of views
  attach: 3 clusters in the kernels of ops, 0 in 0 groups
  order: 1 tasks, 2 updates in place, 0 by copy
  memory: temporaries 0 B → 0 B in 0 slots
  0  batch_norm → mul·mul·add → mul·mul·add → relu (bn)  [16, 8]  bn.running_mean, bn.running_var, fetch8 ← x, bn.weight, bn.bias, bn.running_mean, bn.running_var
",
    );
    assert_prints(
        &on(Mode::Evaluate),
        "
plan: 2 tasks, 2 dispatches (2 unfused)
memory: variables 128 B, inputs 1.0 KiB, temporaries 32 B in 1 slots, largest buffer 512 B
  live: 17 nodes traced, 0 dead, 0 merged
  fuse: 7 pointwise nodes in 2 clusters, 0 copies of views
  attach: 0 clusters in the kernels of ops, 0 in 0 groups
  order: 2 tasks, 0 updates in place, 0 by copy
  memory: temporaries 32 B → 32 B in 1 slots
  0  add·rsqrt·mul (bn)  [8]      s0 ← bn.running_var, bn.weight
  1  sub·mul·add·relu    [16, 8]  fetch6 ← x, bn.running_mean, s0, bn.bias
",
    );
}

#[test]
fn dead_nodes_are_dropped_and_equal_ones_merged() {
    let graph = Graph::new(Mode::Evaluate);
    let x = x(&graph, [16, 8]);
    let _unused = x.exp().softmax(1);
    let (a, b) = (x.tanh().sum([1]), x.tanh().sum([1]));
    assert_prints(
        &plan(&graph, &[&(a * b)]),
        "
plan: 1 tasks, 1 dispatches (3 unfused)
memory: variables 0 B, inputs 576 B, temporaries 0 B in 0 slots, largest buffer 512 B
  live: 10 nodes traced, 2 dead, 3 merged
  fuse: 2 pointwise nodes in 2 clusters, 0 copies of views
  attach: 2 clusters in the kernels of ops, 0 in 0 groups
  order: 1 tasks, 0 updates in place, 0 by copy
  memory: temporaries 0 B → 0 B in 0 slots
  0  tanh → sum → mul  [16, 1]  fetch3 ← x
",
    );
}

#[test]
fn an_optimizer_step_is_one_cluster_per_parameter() {
    let fc = Linear::new(&Params::seeded(0).at("fc"), 30, 64);
    let graph = Graph::new(Mode::Train);
    let loss = fc.forward(&x(&graph, [64, 30])).square().mean_all();
    AdamW::new(1e-3).minimize(&loss);
    assert_prints(
        &plan(&graph, &[&loss]),
        "
plan: 5 tasks, 5 dispatches (9 unfused)
memory: variables 23.2 KiB, inputs 7.5 KiB, temporaries 39.8 KiB in 3 slots, largest buffer 16.0 KiB
  live: 79 nodes traced, 1 dead, 5 merged
  fuse: 34 pointwise nodes in 5 clusters, 0 copies of views
  attach: 3 clusters in the kernels of ops, 2 in 1 groups
  order: 5 tasks, 6 updates in place, 0 by copy
  memory: temporaries 39.8 KiB → 39.8 KiB in 3 slots
  0  matmul → square → mul·mul (fc)  [64, 64]  s1, s2 ← x, fc.weight, fc.bias
  1  sum → mul                       [1, 1]    fetch12 ← s1
  2  matmul (fc)                     [64, 30]  s0 ← s2, x
  3  sum (fc)                        [1, 64]   s0[1920..] ← s2
  4  sub·mul·add·…(15) × 2 (AdamW)   [1984]    optim.fc.weight.exp_avg, optim.fc.weight.exp_avg_sq, fc.weight, optim.fc.bias.exp_avg, optim.fc.bias.exp_avg_sq, fc.bias ← s0, optim.fc.weight.exp_avg, optim.fc.weight.exp_avg_sq, schedule, fc.weight, s0[1920..], optim.fc.bias.exp_avg, optim.fc.bias.exp_avg_sq, fc.bias
",
    );
}

#[test]
fn views_fold_into_who_reads_them() {
    let graph = Graph::new(Mode::Evaluate);
    let x = x(&graph, [4, 6]);
    // Transposed, sliced and broadcast tensors are read in place. A view that strides cannot express is copied
    // once.
    let (t, row) = (x.t(), x.slice(0, 1..2));
    let folded = t.slice(0, 1..5) * t.slice(0, 2..6) + row.slice(1, 0..4);
    let copied = t.reshape([3, 8]) * 2.0 + t.reshape([3, 8]).exp();
    assert_prints(
        &plan(&graph, &[&folded, &copied]),
        "
plan: 3 tasks, 3 dispatches (3 unfused)
memory: variables 0 B, inputs 256 B, temporaries 96 B in 1 slots, largest buffer 96 B
  live: 16 nodes traced, 0 dead, 1 merged
  fuse: 5 pointwise nodes in 2 clusters, 1 copies of views
  attach: 0 clusters in the kernels of ops, 0 in 0 groups
  order: 3 tasks, 0 updates in place, 0 by copy
  memory: temporaries 96 B → 96 B in 1 slots
  0  copy         [6, 4]  s0 ← x
  1  mul·add      [4, 4]  fetch2 ← x
  2  mul·exp·add  [3, 8]  fetch3 ← s0
",
    );
}

#[test]
fn updates_wait_for_the_last_reader_of_the_old_value() {
    let p = Params::seeded(0);
    let state = |name: &str, shape: Shape| p.variable(name, shape, Kind::State, Init::Constant(0.0));
    let (v, w, u) = (state("v", [8].into()), state("w", [8].into()), state("u", [2, 4].into()));
    let graph = Graph::new(Mode::Train);
    let [old_v, old_w, old_u] = [&v, &w, &u].map(|variable| graph.variable(variable));
    graph.update(&v, &(&old_v + &old_w));
    graph.update(&w, &(&old_w * 0.5));
    graph.update(&u, &(old_u.t().reshape([2, 4]) + 1.0));
    // `v` is copied before its update, because the old value is fetched. `u` is copied because its update reads
    // and writes it at different indices.
    assert_prints(
        &plan(&graph, &[&old_v]),
        "
plan: 4 tasks, 4 dispatches (4 unfused)
memory: variables 96 B, inputs 32 B, temporaries 32 B in 1 slots, largest buffer 32 B
  live: 12 nodes traced, 0 dead, 0 merged
  fuse: 3 pointwise nodes in 2 clusters, 2 copies of views
  attach: 0 clusters in the kernels of ops, 0 in 0 groups
  order: 4 tasks, 3 updates in place, 0 by copy
  memory: temporaries 32 B → 32 B in 1 slots
  0  copy     [8]     fetch3 ← v
  1  add·mul  [8]     v, w ← v, w
  2  copy     [4, 2]  s0 ← u
  3  add      [2, 4]  u ← s0
",
    );
}

#[test]
fn two_variables_can_be_exchanged() {
    let p = Params::seeded(0);
    let [v, w] = ["v", "w"].map(|name| p.variable(name, [8], Kind::State, Init::Constant(0.0)));
    let graph = Graph::new(Mode::Train);
    let (old_v, old_w) = (graph.variable(&v), graph.variable(&w));
    graph.update(&v, &old_w);
    graph.update(&w, &old_v);
    assert_prints(
        &plan(&graph, &[]),
        "
plan: 3 tasks, 3 dispatches (3 unfused)
memory: variables 64 B, inputs 0 B, temporaries 32 B in 1 slots, largest buffer 32 B
  live: 2 nodes traced, 0 dead, 0 merged
  fuse: 0 pointwise nodes in 0 clusters, 2 copies of views
  attach: 0 clusters in the kernels of ops, 0 in 0 groups
  order: 3 tasks, 1 updates in place, 1 by copy
  memory: temporaries 32 B → 32 B in 1 slots
  0  copy  [8]  s0 ← v
  1  copy  [8]  v ← w
  2  copy  [8]  w ← s0
",
    );
}

#[test]
fn temporaries_share_slots() {
    let graph = Graph::new(Mode::Evaluate);
    let x = x(&graph, [64, 64]);
    let y = (0..6).fold(x.clone(), |y, _| y.matmul(&x));
    let plan = plan(&graph, &[&y]);
    assert_prints(
        &plan,
        "
plan: 6 tasks, 6 dispatches (6 unfused)
memory: variables 0 B, inputs 32.0 KiB, temporaries 32.0 KiB in 2 slots, largest buffer 16.0 KiB
  live: 7 nodes traced, 0 dead, 0 merged
  fuse: 0 pointwise nodes in 0 clusters, 0 copies of views
  attach: 0 clusters in the kernels of ops, 0 in 0 groups
  order: 6 tasks, 0 updates in place, 0 by copy
  memory: temporaries 80.0 KiB → 32.0 KiB in 2 slots
  0  matmul  [64, 64]  s0 ← x
  1  matmul  [64, 64]  s1 ← s0, x
  2  matmul  [64, 64]  s0 ← s1, x
  3  matmul  [64, 64]  s1 ← s0, x
  4  matmul  [64, 64]  s0 ← s1, x
  5  matmul  [64, 64]  fetch6 ← s0, x
",
    );
    let temporaries = plan.buffers.iter().filter(|buffer| matches!(buffer.role, Role::Temp { .. })).count();
    assert!(plan.slots.len() < temporaries, "{} slots for {temporaries} temporaries", plan.slots.len());
}

#[test]
fn a_step_of_a_tabular_model_takes_sixteen_dispatches() {
    let model = tabular(&Params::seeded(0));
    let train = step(&model, Mode::Train, Some(&AdamW::new(1e-3)));
    let evaluate = step(&model, Mode::Evaluate, None);
    println!("a training step: {} dispatches, an evaluation: {}", train.dispatches(), evaluate.dispatches());
    assert!(train.dispatches() <= 16, "{train}");
    assert!(evaluate.dispatches() <= 6, "{evaluate}");
    // The forward pass has three products. The backward pass has two for each layer, but only one for the first
    // layer, whose input needs no gradient.
    assert_eq!((count(&train, "matmul"), count(&evaluate, "matmul")), (8, 3));
    assert_eq!((count(&train, "batch_norm"), count(&train, "batch_norm_backward")), (2, 2));
    // The sums are those of the loss and of the last layer's bias gradient. The other biases have no effect before
    // a batch norm.
    assert_eq!(count(&train, "sum"), 2);
    let temporaries = train.buffers.iter().filter(|buffer| matches!(buffer.role, Role::Temp { .. })).count();
    assert!(train.slots.len() < temporaries, "{} slots for {temporaries} temporaries", train.slots.len());
}

#[test]
fn a_bias_before_a_batch_norm_gets_no_work() {
    let sums = |bias: bool| {
        let p = Params::seeded(0);
        let options = LinearOptions::new().bias(bias);
        let (fc, norm) = (Linear::with(&p.at("fc"), 30, 8, options), BatchNorm1d::new(&p.at("bn"), 8));
        let graph = Graph::new(Mode::Train);
        let loss = norm.forward(&fc.forward(&x(&graph, [16, 30]))).square().sum_all();
        let variables = graph.variables();
        let bias = variables.iter().find(|variable| variable.name() == "fc.bias").map(|bias| graph.variable(bias));
        let weight = variables.iter().find(|variable| variable.name() == "fc.weight").map(|w| graph.variable(w));
        let wrt: Vec<Tensor> = weight.into_iter().chain(bias).collect();
        let gradients: Vec<Tensor> = gradients(&loss, &wrt).into_iter().flatten().collect();
        assert_eq!(gradients.len(), wrt.len());
        let fetches: Vec<&Tensor> = gradients.iter().chain([&loss]).collect();
        count(&plan(&graph, &fetches), "sum")
    };
    // The only sum left is that of the loss.
    assert_eq!((sums(true), sums(false)), (1, 1));
}

#[test]
fn cross_entropy_reads_the_logits_once() {
    let graph = Graph::new(Mode::Train);
    let (x, y) = (x(&graph, [64, 10]), graph.input("y", [64], DType::U32));
    let loss = CrossEntropyLoss::new().forward(&x, &y);
    let dx = gradients(&loss, std::slice::from_ref(&x)).remove(0).expect("the loss depends on x");
    let train = plan(&graph, &[&loss, &dx]);
    let reads = |task: &&Task| task.inputs().iter().any(|&buffer| train.buffer_name(buffer) == "x");
    assert_eq!(train.tasks.iter().filter(reads).count(), 1, "{train}");
    let outputs = |plan: &Plan| {
        let mut stages = plan.tasks.iter().flat_map(|task| &task.stages);
        stages.find_map(|stage| match &stage.work {
            Work::Op { op, signature, .. } if op.name() == "softmax_cross_entropy" => Some(signature.outputs.len()),
            _ => None,
        })
    };
    // An evaluation does not compute the gradient.
    let graph = Graph::new(Mode::Evaluate);
    let (x, y) = (self::x(&graph, [64, 10]), graph.input("y", [64], DType::U32));
    let evaluate = plan(&graph, &[&CrossEntropyLoss::new().forward(&x, &y)]);
    assert_eq!((outputs(&train), outputs(&evaluate)), (Some(3), Some(2)));
}

#[test]
fn the_plan_of_a_step_is_the_same_every_time() {
    let texts: Vec<_> =
        (0..3).map(|_| step(&tabular(&Params::seeded(0)), Mode::Train, Some(&AdamW::new(1e-3))).to_string()).collect();
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn an_evaluation_writes_no_variable_and_moves_no_counter() {
    let p = Params::seeded(0);
    let model = Sequential::new(&p)
        .add(|p| Linear::new(p, 30, 8))
        .add(|p| BatchNorm1d::new(p, 8))
        .add(|p| Dropout::new(p, 0.5))
        .add(|p| Linear::new(p, 8, 1));
    let train = step(&model, Mode::Train, Some(&AdamW::new(1e-3)));
    assert!(written(&train).contains(&"1.running_var") && train.counters.len() == 3);
    let evaluate = step(&model, Mode::Evaluate, None);
    assert!(written(&evaluate).is_empty(), "{evaluate}");
    assert!(evaluate.counters.is_empty() && evaluate.schedule.is_empty());
}

//! Tests with random graphs: the planner's fusion of ops and reuse of memory do not change the results.
//!
//! Each graph runs twice: with the fetches of a typical user, and with every value fetched, so that no op can be
//! fused away and no memory shared. On the CPU in f64 both results must have the same bits; a GPU must agree with
//! the CPU within a bound.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use wgrad::core::{Plan, Stream, Tensor};
use wgrad::gpu::adapters;
use wgrad::gpu::testing::AdapterHooks;
use wgrad::prelude::*;

const ROWS: usize = 12;
const COLUMNS: usize = 20;

/// Number of graphs that run on the CPU.
const GRAPHS: u64 = 300;
const ON_GPUS: u64 = 10;

struct Built {
    graph: Graph,
    x: Tensor,
    labels: Tensor,
    /// Tensors that a user would fetch.
    results: Vec<Tensor>,
    /// All tensors of the graph.
    all: Vec<Tensor>,
}

fn pick<'a>(stream: &mut Stream, from: &'a [Tensor]) -> &'a Tensor {
    // Tensors added later are chosen more often, so that long chains of ops arise.
    let n = from.len();
    &from[if stream.below(2) == 0 { n - 1 - stream.below(n.min(3)) } else { stream.below(n) }]
}

fn build(seed: u64, params: &Params) -> Built {
    let mut stream = Stream::named(seed, "graph");
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [ROWS, COLUMNS], DType::F32);
    let labels = graph.input("labels", [ROWS], DType::U32);
    let parameter = |name: &str, shape: &[usize]| {
        graph.variable(&params.variable(name, shape, Kind::Parameter, Init::Normal(0.0, 0.2)))
    };
    let weights: Vec<_> = (0..3).map(|i| parameter(&format!("w{i}"), &[COLUMNS, COLUMNS])).collect();
    let biases: Vec<_> = (0..3).map(|i| parameter(&format!("b{i}"), &[COLUMNS])).collect();
    let memory = params.variable("memory", [COLUMNS], Kind::Buffer, Init::Constant(0.5));
    let counted = params.variable("counted", [1usize, 1], Kind::State, Init::Constant(0.0));
    // Tensors by shape: matrices [ROWS, COLUMNS], rows [COLUMNS], columns [ROWS, 1], and numbers [1, 1].
    let mut matrices = vec![x.clone()];
    let mut rows = biases.clone();
    let mut columns = vec![x.sum_keepdim([1]) * 0.1];
    let mut numbers = vec![x.sum_keepdim([0, 1]) * 0.01];
    let (mut remembered, mut summed) = (false, false);
    for _ in 0..6 + stream.below(14) {
        let m = pick(&mut stream, &matrices).clone();
        match stream.below(16) {
            0 => matrices.push(m.matmul(&weights[stream.below(3)])),
            1 => matrices.push(m.linear(&weights[stream.below(3)], Some(&biases[stream.below(3)]))),
            2 => matrices.push(m.tanh() + pick(&mut stream, &matrices)),
            3 => matrices.push(m.relu()),
            4 => matrices.push((m * pick(&mut stream, &rows)).sigmoid()),
            5 => matrices.push((&m - pick(&mut stream, &columns)) * pick(&mut stream, &numbers).tanh()),
            6 => {
                let (y, mean, var) = m.batch_norm_train(Some(pick(&mut stream, &rows)), None, 1e-5);
                if remembered {
                    rows.push(mean.tanh());
                } else {
                    graph.update(&memory, &(graph.variable(&memory) * 0.9 + var * 0.1));
                    remembered = true;
                }
                matrices.push(y);
            }
            7 => rows.push((m.sum_keepdim([0]) * 0.1).tanh().reshape([COLUMNS])),
            8 => columns.push((m.square().sum_keepdim([1]) * 0.1).tanh()),
            9 => numbers.push((m.abs().sum_keepdim([0, 1]) * 0.01).tanh()),
            10 => matrices.push(m.softmax(-1) * 3.0),
            11 => matrices.push(m.permute(&[1, 0]).matmul(&m).tanh().slice(0, 0..ROWS)),
            12 => {
                let (loss, _) = m.softmax_cross_entropy(&labels, None, 0.0, None);
                columns.push(loss.unsqueeze(1) * 0.2);
            }
            13 => matrices.push(m.flip_rows_and_mix()),
            14 if !summed => {
                let sum = pick(&mut stream, &numbers).clone();
                graph.update(&counted, &(graph.variable(&counted) + sum));
                summed = true;
            }
            _ => matrices.push((&m * 0.5 + pick(&mut stream, &matrices)).tanh()),
        }
    }
    let last = matrices.last().expect("there is x").clone();
    let loss =
        (last.square() * pick(&mut stream, &columns)).mean_all() + numbers.last().expect("there is one").sum_all();
    let loss = loss + (&weights[0] * &biases[0]).square().mean_all();
    let loss = match stream.below(3) {
        0 => loss,
        1 => loss + rows.last().expect("there are biases").square().sum_all(),
        _ => loss.tanh(),
    };
    let mut all: Vec<_> = [matrices, rows, columns, numbers].concat();
    all.push(loss.clone());
    match stream.below(3) {
        0 => Sgd::new(0.05).momentum(0.9).minimize(&loss),
        1 => AdamW::new(0.01).minimize(&loss),
        _ => Adam::new(0.01).amsgrad(true).minimize(&loss),
    }
    let mut results = vec![loss];
    for _ in 0..stream.below(3) {
        results.push(pick(&mut stream, &all).clone());
    }
    Built { graph, x, labels, results, all }
}

/// Method that adds a tensor to the tanh of its transposed and reshaped view, which strides alone cannot express.
trait Mix {
    fn flip_rows_and_mix(&self) -> Tensor;
}

impl Mix for Tensor {
    fn flip_rows_and_mix(&self) -> Tensor {
        let across = self.permute(&[1, 0]).reshape([ROWS, COLUMNS]);
        across.tanh() + self
    }
}

/// Runs two steps. Returns the results of the second step and then all variables, and the plan.
fn run(seed: u64, device: Device, everything: bool) -> Result<(Vec<Array>, Plan)> {
    let params = Params::seeded(seed);
    let Built { graph, x, labels, results, all } = build(seed, &params);
    let fetches: Vec<&Tensor> =
        if everything { results.iter().chain(&all).collect() } else { results.iter().collect() };
    let mut session = Session::new(device, &params)?;
    let step = session.compile(&graph, &fetches)?;
    let mut stream = Stream::named(seed, "data");
    let mut values = vec![];
    for _ in 0..2 {
        let xs = Array::new([ROWS, COLUMNS], (0..ROWS * COLUMNS).map(|_| stream.normal() as f32).collect())?;
        let ys = Array::vector((0..ROWS).map(|_| u32::try_from(stream.below(COLUMNS)).unwrap_or(0)).collect());
        values = session.run(&step, &[(&x, &xs), (&labels, &ys)])?;
    }
    values.truncate(results.len());
    session.sync()?;
    for variable in params.variables() {
        values.push((*variable.value()?).clone());
    }
    Ok((values, step.plan().clone()))
}

/// Checks that a run with the user's fetches and a run that fetches everything agree bit for bit, on the CPU in
/// f64.
fn fused_agrees_with_plain_to_the_bit(seed: u64) -> std::result::Result<(), Failed> {
    let (fused, plan) = run(seed, Device::cpu_f64(), false)?;
    let (unfused, _) = run(seed, Device::cpu_f64(), true)?;
    for (i, (fused, unfused)) in fused.iter().zip(&unfused).enumerate() {
        let bits = |array: &Array| array.to_f64().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        if bits(fused) != bits(unfused) {
            return Err(format!("graph {seed}, result {i}: {fused:?}, fetched in full {unfused:?}\n{plan}").into());
        }
    }
    Ok(())
}

/// Checks that an adapter agrees with the CPU up to the rounding errors of two steps in f32.
fn gpu_agrees_with_the_cpu(seed: u64, device: &Device) -> std::result::Result<(), Failed> {
    let (truth, _) = run(seed, Device::cpu_f64(), false)?;
    let (got, plan) = run(seed, device.clone(), false)?;
    for (i, (got, truth)) in got.iter().zip(&truth).enumerate() {
        let (got, truth) = (got.to_f64(), truth.to_f64());
        let size = truth.iter().fold(1e-2f64, |size, x| size.max(x.abs()));
        let error = got.iter().zip(&truth).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        // A race or a wrong index would change values by about their own size. Rounding errors are a thousand
        // times smaller.
        if error > 2e-2 * size || got.iter().any(|x| !x.is_finite()) {
            return Err(format!("graph {seed}, result {i}: off by {error:e} of {size:e}\n{plan}").into());
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![];
    for first in (0..GRAPHS).step_by(50) {
        let name = format!("plain and fused graphs agree to the bit: {first} and on");
        trials.push(Trial::test(name, move || (first..first + 50).try_for_each(fused_agrees_with_plain_to_the_bit)));
    }
    let what = "random graphs agree with the CPU";
    for adapter in adapters().iter().filter(|adapter| adapter.info().api != "gl") {
        let info = adapter.info();
        for (kernels, software) in [("its own kernels", info.software), ("a real GPU's kernels", false)] {
            if !info.software && kernels != "its own kernels" {
                continue;
            }
            for buffers in [5, 8] {
                let device = adapter.open_with(|limits| {
                    limits.software = software;
                    limits.storage_buffers = limits.storage_buffers.min(buffers);
                });
                let device = device.expect("the driver opens its adapter");
                let name = format!("{} {}, {kernels}, {buffers} buffers: {what}", info.api, info.adapter);
                trials.push(Trial::test(name, move || {
                    (0..ON_GPUS).try_for_each(|seed| gpu_agrees_with_the_cpu(seed, &device))
                }));
            }
        }
    }
    if adapters().is_empty() {
        trials.push(Trial::test(format!("the GPU: {what}"), || Ok(())).with_ignored_flag(true));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

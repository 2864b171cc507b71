//! Workloads of `wgrad bench`: training steps of small models, matrix products, and kernels limited by memory
//! bandwidth.

use wgrad_core::{Array, DType, Graph, Init, Kind, Params, Stream, Tensor, Variable, vjp};
use wgrad_nn::layers::{BatchNorm1d, BatchNorm2d, Conv2d, Conv2dOptions, Flatten, Linear, MaxPool2d, Relu};
use wgrad_nn::losses::{BceWithLogitsLoss, CrossEntropyLoss, Loss as _};
use wgrad_nn::optim::{Adam, AdamW, Optimizer, Sgd};
use wgrad_nn::{Module, Sequential};

/// Named computation that `wgrad bench` can measure.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    pub name: &'static str,
    pub about: &'static str,
    /// `true` if `wgrad bench` runs this workload when the user names no workload.
    pub usual: bool,
    /// Traces the workload. Inputs and initial weights are the same at every call.
    pub trace: fn(&Params, &Graph) -> Traced,
}

impl Workload {
    pub fn named(name: &str) -> Option<Self> {
        WORKLOADS.iter().find(|workload| workload.name == name).copied()
    }
}

const fn usual(name: &'static str, about: &'static str, trace: fn(&Params, &Graph) -> Traced) -> Workload {
    Workload { name, about, usual: true, trace }
}

/// All workloads.
pub const WORKLOADS: &[Workload] = &[
    usual(
        "tabular",
        "MLP 30-64-64-1 with batch norm, weighted binary cross-entropy, AdamW, batch 128",
        |params, graph| mlp(params, graph, 128, &[30, 64, 64, 1], &AdamW::new(1e-3)),
    ),
    usual("mid", "MLP 784-512-512-10 with batch norm, cross-entropy, Adam, batch 256", |params, graph| {
        mlp(params, graph, 256, &[784, 512, 512, 10], &Adam::new(1e-3))
    }),
    usual(
        "wide",
        "MLP 1024-2048-2048-1000 with batch norm, cross-entropy, SGD with momentum, batch 512",
        |params, graph| mlp(params, graph, 512, &[1024, 2048, 2048, 1000], &Sgd::new(1e-2).momentum(0.9)),
    ),
    usual("cnn", "two 3 × 3 convolutions of 28 × 28 images with batch norm, cross-entropy, Adam, batch 64", cnn),
    usual("matmul-512", "a product of two 512 × 512 matrices", |p, g| matmul(p, g, 512)),
    usual("matmul-1024", "a product of two 1024 × 1024 matrices", |p, g| matmul(p, g, 1024)),
    usual("matmul-2048", "a product of two 2048 × 2048 matrices", |p, g| matmul(p, g, 2048)),
    Workload {
        usual: false,
        ..usual("matmul-4096", "a product of two 4096 × 4096 matrices; only if named", |p, g| matmul(p, g, 4096))
    },
    usual("pointwise", "relu(a·b + a) of 4096 × 4096 elements", pointwise),
    usual("batch-norm", "batch norm of 16384 × 1024 elements with its gradients", batch_norm),
    usual("cross-entropy", "softmax cross-entropy of 16384 × 1024 logits with its gradient", cross_entropy),
    usual("sum", "the sum of 4096 × 4096 elements", |p, g| sum(p, g, &[0, 1])),
    usual("sum-rows", "the sum of each row", |p, g| sum(p, g, &[1])),
    usual("sum-columns", "the sum of each column", |p, g| sum(p, g, &[0])),
];

/// A workload after tracing, with its inputs and outputs.
pub struct Traced {
    pub feeds: Vec<(Tensor, Array)>,
    /// Loss of the training step, for a training workload.
    pub loss: Option<Tensor>,
    /// Variables in which a kernel workload stores its results.
    pub results: Vec<Variable>,
    pub work: Work,
}

/// Amount of work in one step, from which the throughput is computed.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// A training step. `flop` is the number of floating-point operations in the matrix products that compute the
    /// outputs of the layers, the gradients of their weights, and the gradients of their inputs (except the
    /// model's input, whose gradient is not needed). `activations` is the number of elements that the forward pass
    /// keeps for the backward pass, without the model's input.
    Training { flop: usize, activations: usize },
    /// A matrix product with this number of floating-point operations.
    Product { flop: usize },
    /// A kernel limited by memory bandwidth, with the number of bytes that it reads and writes, each counted once.
    Memory { bytes: usize },
}

const FITS: &str = "one value per element";

/// Returns uniform random numbers from -1 to 1.
fn noise(name: &str, shape: &[usize]) -> Array {
    let mut stream = Stream::named(1, name);
    let values = (0..shape.iter().product()).map(|_| (2.0 * stream.uniform() - 1.0) as f32).collect();
    Array::new(shape, values).expect(FITS)
}

/// Traces a training step on one batch. The target is one class per row or, for a model with one output, 1 if the
/// row's first feature is positive and 0 otherwise.
fn training(
    graph: &Graph,
    input: &[usize],
    classes: usize,
    model: &dyn Module,
    optimizer: &dyn Optimizer,
    work: Work,
) -> Traced {
    let (x, xs) = (graph.input("x", input, DType::F32), noise("x", input));
    let logits = model.forward(&x);
    let (rows, features) = (input[0], xs.shape().numel() / input[0]);
    let (y, ys, loss) = if classes == 1 {
        let y = graph.input("y", [rows, 1], DType::F32);
        let positive = xs.to_f32().chunks_exact(features).map(|row| f32::from(u8::from(row[0] > 0.0))).collect();
        let loss = BceWithLogitsLoss::new().pos_weight(1.7).forward(&logits, &y);
        (y, Array::new([rows, 1], positive).expect(FITS), loss)
    } else {
        let y = graph.input("y", [rows], DType::U32);
        let mut stream = Stream::named(1, "y");
        let labels = (0..rows).map(|_| u32::try_from(stream.below(classes)).expect("few classes")).collect();
        let loss = CrossEntropyLoss::new().forward(&logits, &y);
        (y, Array::new([rows], labels).expect(FITS), loss)
    };
    optimizer.minimize(&loss);
    Traced { feeds: vec![(x, xs), (y, ys)], loss: Some(loss), results: vec![], work }
}

/// Traces a multilayer perceptron: linear, batch norm and ReLU for each hidden layer, then an output layer.
fn mlp(params: &Params, graph: &Graph, rows: usize, sizes: &[usize], optimizer: &dyn Optimizer) -> Traced {
    let [features, hidden @ .., outputs] = sizes else { unreachable!("a perceptron has inputs and outputs") };
    let mut model = Sequential::new(params);
    for size in sizes.windows(2) {
        model = model.add(|p| Linear::new(p, size[0], size[1]));
        if model.len() < 3 * hidden.len() {
            model = model.add(|p| BatchNorm1d::new(p, size[1])).add(|_| Relu);
        }
    }
    let products = |i: usize| if i == 0 { 2 } else { 3 };
    let flop = sizes.windows(2).enumerate().map(|(i, size)| products(i) * 2 * rows * size[0] * size[1]).sum();
    // The values kept for the backward pass are the inputs of the batch norms, the outputs of the ReLUs, and the
    // logits.
    let activations = rows * (2 * hidden.iter().sum::<usize>() + outputs);
    training(graph, &[rows, *features], *outputs, &model, optimizer, Work::Training { flop, activations })
}

/// Traces a CNN: two blocks of convolution, batch norm, ReLU and max pooling, then two linear layers.
fn cnn(params: &Params, graph: &Graph) -> Traced {
    const ROWS: usize = 64;
    let same = Conv2dOptions::new().padding(1);
    let model = Sequential::new(params)
        .add(|p| Conv2d::with(p, 1, 32, 3, same))
        .add(|p| BatchNorm2d::new(p, 32))
        .add(|_| Relu)
        .add(|_| MaxPool2d::new(2))
        .add(|p| Conv2d::with(p, 32, 64, 3, same))
        .add(|p| BatchNorm2d::new(p, 64))
        .add(|_| Relu)
        .add(|_| MaxPool2d::new(2))
        .add(|_| Flatten)
        .add(|p| Linear::new(p, 64 * 49, 128))
        .add(|_| Relu)
        .add(|p| Linear::new(p, 128, 10));
    let conv = |pixels: usize, from: usize, to: usize| 2 * ROWS * pixels * from * 9 * to;
    let linear = |from: usize, to: usize| 2 * ROWS * from * to;
    let (first, second) = (conv(28 * 28, 1, 32), conv(14 * 14, 32, 64));
    let flop = 2 * first + 3 * (second + linear(64 * 49, 128) + linear(128, 10));
    // The values kept for the backward pass are the logits and the inputs of all layers except ReLU, flatten and
    // the first convolution.
    let activations = ROWS * (2 * 32 * 784 + 32 * 196 + 2 * 64 * 196 + 64 * 49 + 128 + 10);
    training(graph, &[ROWS, 1, 28, 28], 10, &model, &Adam::new(1e-3), Work::Training { flop, activations })
}

/// Creates a variable with uniform random numbers from `low` to 1, and returns its tensor.
fn given(params: &Params, graph: &Graph, name: &str, shape: [usize; 2], low: f64) -> Tensor {
    graph.variable(&params.variable(name, shape, Kind::Buffer, Init::Uniform(low, 1.0)))
}

/// Traces assignments of the named results to variables, so that the results stay on the device.
fn kernels(params: &Params, graph: &Graph, results: &[(&str, &Tensor)], work: Work) -> Traced {
    let keep = |(name, tensor): &(&str, &Tensor)| {
        let variable = params.variable(name, tensor.shape(), Kind::State, Init::Constant(0.0));
        graph.update(&variable, tensor);
        variable
    };
    let results = results.iter().map(keep).collect();
    Traced { feeds: vec![], loss: None, results, work }
}

/// Returns the work of a kernel that reads and writes a total of `values` values.
fn bytes(values: usize) -> Work {
    Work::Memory { bytes: values * DType::F32.size() }
}

fn matmul(params: &Params, graph: &Graph, n: usize) -> Traced {
    let [a, b] = ["a", "b"].map(|name| given(params, graph, name, [n, n], -1.0));
    kernels(params, graph, &[("y", &a.matmul(&b))], Work::Product { flop: 2 * n * n * n })
}

const SQUARE: [usize; 2] = [4096, 4096];
const ROWS: [usize; 2] = [16384, 1024];

fn pointwise(params: &Params, graph: &Graph) -> Traced {
    let [a, b] = ["a", "b"].map(|name| given(params, graph, name, SQUARE, -1.0));
    let y = (&a * &b + &a).relu();
    kernels(params, graph, &[("y", &y)], bytes(3 * SQUARE[0] * SQUARE[1]))
}

fn batch_norm(params: &Params, graph: &Graph) -> Traced {
    let [x, dy] = ["x", "dy"].map(|name| given(params, graph, name, ROWS, -1.0));
    let [weight, bias] = ["weight", "bias"]
        .map(|name| graph.variable(&params.variable(name, [ROWS[1]], Kind::Parameter, Init::Uniform(0.5, 1.5))));
    let (y, ..) = x.batch_norm_train(Some(&weight), Some(&bias), 1e-5);
    let gradients = vjp(&[(&y, &dy)], &[x, weight, bias]);
    let results: Vec<_> = ["dx", "dweight", "dbias"].into_iter().zip(gradients.iter().flatten()).collect();
    let results = [&[("y", &y)], &results[..]].concat();
    kernels(params, graph, &results, bytes(4 * ROWS[0] * ROWS[1]))
}

fn cross_entropy(params: &Params, graph: &Graph) -> Traced {
    let z = given(params, graph, "z", ROWS, -1.0);
    let y = graph.array(Array::vector((0..16384u32).map(|row| row % 1024).collect()));
    let loss = CrossEntropyLoss::new().forward(&z, &y);
    let one = loss.number(1.0).expand(loss.shape());
    let gradients = vjp(&[(&loss, &one)], &[z]);
    let dz = gradients[0].as_ref().expect("the loss depends on the logits");
    kernels(params, graph, &[("loss", &loss), ("dz", dz)], bytes(2 * ROWS[0] * ROWS[1]))
}

fn sum(params: &Params, graph: &Graph, axes: &[isize]) -> Traced {
    let x = given(params, graph, "x", SQUARE, 0.0);
    kernels(params, graph, &[("y", &x.sum_keepdim(axes))], bytes(SQUARE[0] * SQUARE[1]))
}

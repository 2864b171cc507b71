//! The models of `wgrad bench`, in burn.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::{log_sigmoid, relu};
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};

/// All of them.
pub const WORKLOADS: [&str; 4] = ["tabular", "mid", "wide", "cnn"];

/// One training step, queued.
pub type Step = Box<dyn FnMut()>;

/// The arithmetic of a step's products, forward and both gradients, in GFLOP; the input needs no gradient.
pub fn gflop(workload: &str) -> f64 {
    let mlp = |rows: usize, sizes: &[usize]| -> usize {
        sizes.windows(2).enumerate().map(|(i, s)| 2 * rows * s[0] * s[1] * if i == 0 { 2 } else { 3 }).sum()
    };
    let flop = match workload {
        "tabular" => mlp(128, &[30, 64, 64, 1]),
        "mid" => mlp(256, &[784, 512, 512, 10]),
        "wide" => mlp(512, &[1024, 2048, 2048, 1000]),
        "cnn" => {
            let conv = |pixels: usize, from: usize, to: usize| 2 * 64 * pixels * from * 9 * to;
            2 * conv(28 * 28, 1, 32) + 3 * conv(14 * 14, 32, 64) + 3 * 2 * 64 * (3136 * 128 + 128 * 10)
        }
        _ => match workload.strip_prefix("matmul-").and_then(|n| n.parse::<usize>().ok()) {
            Some(n) => 2 * n * n * n,
            None => 0,
        },
    };
    #[allow(clippy::cast_precision_loss)]
    let flop = flop as f64;
    flop / 1e9
}

/// A workload's step.
pub fn step(workload: &str, device: &Device) -> Step {
    let train = device.clone().autodiff();
    match workload {
        "tabular" => {
            let adam = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.01).init();
            let x = random([128, 30], device);
            let y = x.clone().slice([0..128, 0..1]).greater_elem(0.0).float();
            let loss = move |z| bce_with_logits(z, y.clone(), 1.7);
            training(Mlp::new(&[30, 64, 64, 1], &train), adam, 1e-3, move |m: &Mlp| loss(m.forward(x.clone())))
        }
        "mid" => {
            let adam = AdamConfig::new().with_epsilon(1e-8).init();
            let (x, y) = (random([256, 784], device), classes(256, 10, device));
            let loss = CrossEntropyLossConfig::new().init(device);
            training(Mlp::new(&[784, 512, 512, 10], &train), adam, 1e-3, move |m: &Mlp| {
                loss.forward(m.forward(x.clone()), y.clone())
            })
        }
        "wide" => {
            let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
            let sgd = SgdConfig::new().with_momentum(Some(momentum)).init();
            let (x, y) = (random([512, 1024], device), classes(512, 1000, device));
            let loss = CrossEntropyLossConfig::new().init(device);
            training(Mlp::new(&[1024, 2048, 2048, 1000], &train), sgd, 1e-2, move |m: &Mlp| {
                loss.forward(m.forward(x.clone()), y.clone())
            })
        }
        "cnn" => {
            let adam = AdamConfig::new().with_epsilon(1e-8).init();
            let (x, y) = (random([64, 1, 28, 28], device), classes(64, 10, device));
            let loss = CrossEntropyLossConfig::new().init(device);
            training(Cnn::new(&train), adam, 1e-3, move |m: &Cnn| loss.forward(m.forward(x.clone()), y.clone()))
        }
        _ => {
            let n = workload.strip_prefix("matmul-").and_then(|n| n.parse().ok());
            let n: usize = n.unwrap_or_else(|| panic!("the workloads are {WORKLOADS:?} and matmul-N, not {workload}"));
            let (a, b): (Tensor<2>, Tensor<2>) = (random([n, n], device), random([n, n], device));
            Box::new(move || drop(a.clone().matmul(b.clone())))
        }
    }
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), device)
}

fn classes(rows: usize, classes: usize, device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i32> = (0..rows).map(|i| i32::try_from(i * 7919 % classes).expect("few classes")).collect();
    Tensor::from_data(TensorData::new(labels, [rows]), device)
}

/// burn's own loss has no `pos_weight`.
fn bce_with_logits(z: Tensor<2>, y: Tensor<2>, pos_weight: f64) -> Tensor<1> {
    let weight = y.clone() * (pos_weight - 1.0) + 1.0;
    ((y.neg() + 1.0) * z.clone() - weight * log_sigmoid(z)).mean()
}

fn training<M: Module + 'static>(
    model: M,
    mut optimizer: ModuleOptimizer,
    rate: f64,
    loss: impl Fn(&M) -> Tensor<1> + 'static,
) -> Step {
    let mut model = Some(model);
    Box::new(move || {
        let before = model.take().expect("a model");
        let gradients = GradientsParams::from_grads(loss(&before).backward(), &before);
        model = Some(optimizer.step(rate, before, gradients));
    })
}

/// Linear, batch norm and ReLU per hidden layer, then linear.
#[derive(Module, Debug)]
struct Mlp {
    linears: Vec<Linear>,
    norms: Vec<BatchNorm>,
}

impl Mlp {
    fn new(sizes: &[usize], device: &Device) -> Self {
        let hidden = &sizes[1..sizes.len() - 1];
        Self {
            linears: sizes.windows(2).map(|size| LinearConfig::new(size[0], size[1]).init(device)).collect(),
            norms: hidden.iter().map(|&size| BatchNormConfig::new(size).init(device)).collect(),
        }
    }

    fn forward(&self, mut x: Tensor<2>) -> Tensor<2> {
        for (linear, norm) in self.linears.iter().zip(&self.norms) {
            x = relu(norm.forward(linear.forward(x)));
        }
        self.linears[self.norms.len()].forward(x)
    }
}

/// Two times 3 × 3 convolution, batch norm, ReLU and max-pooling, then two linear layers.
#[derive(Module, Debug)]
struct Cnn {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    pool: MaxPool2d,
    fc1: Linear,
    fc2: Linear,
}

impl Cnn {
    fn new(device: &Device) -> Self {
        let conv = |from, to| {
            Conv2dConfig::new([from, to], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(device)
        };
        Self {
            conv1: conv(1, 32),
            norm1: BatchNormConfig::new(32).init(device),
            conv2: conv(32, 64),
            norm2: BatchNormConfig::new(64).init(device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            fc1: LinearConfig::new(3136, 128).init(device),
            fc2: LinearConfig::new(128, 10).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.pool.forward(relu(self.norm1.forward(self.conv1.forward(x))));
        let x = self.pool.forward(relu(self.norm2.forward(self.conv2.forward(x))));
        self.fc2.forward(relu(self.fc1.forward(x.flatten(1, 3))))
    }
}

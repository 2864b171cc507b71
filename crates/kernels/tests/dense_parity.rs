//! The dense ops on every adapter against the f64 reference, outputs and gradients; with the variants that a software
//! adapter is given, and with those of a GPU.

#![allow(clippy::cast_precision_loss, clippy::many_single_char_names, reason = "formulas as they are written")]

use std::sync::Arc;
use std::time::Duration;

use wgrad_core::{
    Array, Backend, BufferId, CpuBackend, DType, DeviceInfo, Graph, Limits, LocalFuture, Mode, Params, Plan, ProgramId,
    Result, Session, Spec, Tensor, vjp,
};
use wgrad_kernels::gpu::{Device, adapters};
use wgrad_kernels::ops::*;

/// A device that claims not to be a software adapter, so that plans use the kernels of a GPU.
struct Hardware(Box<dyn Backend>);

impl Backend for Hardware {
    fn device(&self) -> DeviceInfo {
        self.0.device()
    }
    fn limits(&self) -> Limits {
        Limits { software: false, ..self.0.limits() }
    }
    fn allocate(&mut self, spec: &Spec) -> Result<BufferId> {
        self.0.allocate(spec)
    }
    fn write(&mut self, buffer: BufferId, array: &Array) -> Result<()> {
        self.0.write(buffer, array)
    }
    fn read<'a>(&'a mut self, buffers: &'a [(BufferId, Spec)]) -> LocalFuture<'a, Result<Vec<Array>>> {
        self.0.read(buffers)
    }
    fn load(&mut self, plan: Arc<Plan>, bound: &[Option<BufferId>]) -> Result<ProgramId> {
        self.0.load(plan, bound)
    }
    fn run(&mut self, program: ProgramId) -> Result<()> {
        self.0.run(program)
    }
    fn profile(&mut self, program: ProgramId) -> Result<Vec<Duration>> {
        self.0.profile(program)
    }
}

impl From<Hardware> for Box<dyn Backend> {
    fn from(backend: Hardware) -> Self {
        Box::new(backend)
    }
}

/// Numbers between −2 and 2 that look random.
fn noise(shape: &[usize], seed: u64) -> Array {
    let value = |i: u64| {
        let x = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed.wrapping_mul(0xD1B5_4A32_D192_ED03));
        let x = (x ^ (x >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((x >> 40) as f32 / (1u32 << 24) as f32 - 0.5) * 4.0
    };
    Array::new(shape, (0..shape.iter().product::<usize>() as u64).map(value).collect()).unwrap()
}

fn labels(shape: &[usize], classes: usize) -> Array {
    let n: usize = shape.iter().product();
    Array::new(shape, (0..n).map(|i| u32::try_from(i * 7 % classes).unwrap()).collect()).unwrap()
}

/// Outputs of `build`, and the gradients of the first by every float input under a random cotangent.
fn run(mut session: Session, inputs: &[Array], build: &dyn Fn(&[Tensor]) -> Vec<Tensor>) -> Vec<Array> {
    let graph = Graph::new(Mode::Train);
    let tensors: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(i, array)| graph.input(format!("x{i}"), array.shape(), array.dtype()))
        .collect();
    let mut outputs = build(&tensors);
    let seed = noise(outputs[0].shape().dims(), 99);
    let cotangent = graph.input("cotangent", seed.shape(), DType::F32);
    let wrt: Vec<_> = tensors.iter().filter(|x| x.dtype().is_float()).cloned().collect();
    let gradients = vjp(&[(&outputs[0], &cotangent)], &wrt);
    outputs.extend(gradients.into_iter().flatten());
    let step = session.compile(&graph, &outputs.iter().collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{error}"));
    let mut fed: Vec<_> = tensors.iter().zip(inputs).collect();
    fed.push((&cotangent, &seed));
    session.run(&step, &fed).unwrap()
}

/// Compares with the reference: `terms` is how many products or summands the longest sum has.
fn agrees(case: &str, terms: usize, inputs: &[Array], build: &dyn Fn(&[Tensor]) -> Vec<Tensor>) {
    let params = Params::seeded(0);
    let truth = run(Session::new(CpuBackend::<f64>::new(), &params).unwrap(), inputs, build);
    let mut sessions = vec![("cpu".to_owned(), Session::new(Device::cpu(), &params).unwrap())];
    for adapter in adapters() {
        let device = adapter.open().unwrap();
        sessions.push((format!("{device:?}"), Session::new(device.clone(), &params).unwrap()));
        let hardware = Hardware(device.clone().into());
        sessions.push((format!("{device:?} as a GPU"), Session::new(hardware, &params).unwrap()));
    }
    let bound = 4.0 * 2f64.powi(-23) * (terms as f64).sqrt();
    for (name, session) in sessions {
        for (i, (got, truth)) in run(session, inputs, build).iter().zip(&truth).enumerate() {
            let (got, truth) = (got.to_f64(), truth.to_f64());
            let scale = truth.iter().filter(|x| x.is_finite()).fold(1e-30f64, |m, x| m.max(x.abs()));
            for (at, (g, t)) in got.iter().zip(&truth).enumerate() {
                let same = (g - t).abs() <= bound * scale || (g.is_nan() && t.is_nan());
                assert!(same, "{case} on {name}, output {i} at {at}: {g}, but {t} is true (scale {scale})");
            }
        }
    }
}

#[test]
fn products_agree_at_every_edge() {
    for [m, n, k] in [
        [1, 1, 1],
        [5, 3, 2],
        [33, 31, 9],
        [64, 64, 64],
        [65, 63, 257],
        [3, 130, 20],
        [64, 30, 2000],
        [8, 12, 16],
        [68, 132, 1024],
        [6, 8, 12],
        [300, 520, 17],
        [1030, 530, 24],
    ] {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let a = noise(&if ta { [k, m] } else { [m, k] }, 1);
            let b = noise(&if tb { [n, k] } else { [k, n] }, 2);
            let longest = m.max(n).max(k);
            agrees(&format!("{m} {n} {k} {ta} {tb}"), longest, &[a, b], &|x| vec![x[0].matmul_t(&x[1], ta, tb)]);
        }
        let inputs = [noise(&[m, k], 1), noise(&[n, k], 2), noise(&[n], 3)];
        agrees(&format!("linear {m} {n} {k}"), m.max(n).max(k), &inputs, &|x| vec![x[0].linear(&x[1], Some(&x[2]))]);
    }
}

#[test]
fn batches_of_products_agree() {
    let cases: [(&[usize], &[usize]); 4] =
        [(&[3, 5, 40], &[3, 40, 9]), (&[5, 40], &[3, 40, 9]), (&[3, 5, 40], &[40, 9]), (&[2, 1, 5, 600], &[3, 600, 9])];
    for (a, b) in cases {
        agrees("batch", 600, &[noise(a, 1), noise(b, 2)], &|x| vec![x[0].matmul(&x[1])]);
    }
}

#[test]
fn batch_norms_agree() {
    for shape in [&[2, 1][..], &[64, 30], &[257, 65], &[5000, 3], &[4, 3, 7, 9], &[64, 5, 300], &[1, 2, 2]] {
        let channels = shape[1];
        let terms = shape.iter().product::<usize>() / channels;
        let inputs = [noise(shape, 1), noise(&[channels], 2), noise(&[channels], 3)];
        let case = format!("{shape:?}");
        // Two values of a channel may be close; a larger eps keeps the problem well-conditioned.
        agrees(&case, terms, &inputs, &|x| {
            let (y, mean, var) = x[0].batch_norm_train(Some(&x[1]), Some(&x[2]), 0.1);
            vec![y, mean, var]
        });
        agrees(&case, terms, &inputs[..1], &|x| vec![x[0].batch_norm_train(None, None, 0.1).0]);
    }
}

#[test]
fn softmaxes_agree() {
    for shape in [&[5, 1][..], &[65, 3], &[3, 64], &[3, 65], &[2, 1000], &[4, 70, 3]] {
        let inputs = [noise(shape, 1)];
        agrees(&format!("softmax {shape:?}"), shape[1], &inputs, &|x| vec![x[0].softmax(1)]);
        agrees(&format!("log_softmax {shape:?}"), shape[1], &inputs, &|x| vec![x[0].log_softmax(1)]);
    }
}

#[test]
fn cross_entropies_agree() {
    for shape in [&[5, 1][..], &[65, 3], &[3, 64], &[3, 65], &[2, 1000], &[4, 70, 3]] {
        let classes = shape[1];
        let rows = [&shape[..1], &shape[2..]].concat();
        let (x, y, t) = (noise(shape, 1), labels(&rows, classes), noise(shape, 2));
        let weights: Vec<f32> = noise(&[classes], 3).to_f32().iter().map(|w| w.abs()).collect();
        for smoothing in [0.0, 0.1] {
            for weighted in [false, true] {
                let apply = |x: &[Tensor], ignore| {
                    let weight = weighted.then(|| x[0].graph().array(Array::vector(weights.clone())));
                    let (loss, weight) = x[0].softmax_cross_entropy(&x[1], weight.as_ref(), smoothing, ignore);
                    vec![loss, weight]
                };
                let case = format!("{shape:?} {smoothing} {weighted}");
                agrees(&case, classes, &[x.clone(), y.clone()], &|x| apply(x, None));
                agrees(&case, classes, &[x.clone(), y.clone()], &|x| apply(x, Some(1)));
                agrees(&case, classes, &[x.clone(), t.clone()], &|x| apply(x, None));
            }
        }
    }
    // Labels that are no class, and logits far apart.
    let strange = [noise(&[3, 4], 1), Array::vector(vec![1u32, 4, 2])];
    agrees("strange label", 4, &strange, &|x| {
        let (loss, weight) = x[0].softmax_cross_entropy(&x[1], None, 0.1, None);
        vec![loss, weight]
    });
    let far = Array::new([3, 2], vec![1000.0f32, -1000.0, -1000.0, 1000.0, 0.0, 0.0]).unwrap();
    agrees("extreme", 1, &[far, Array::vector(vec![0u32, 0, 1])], &|x| {
        vec![x[0].softmax_cross_entropy(&x[1], None, 0.0, None).0]
    });
    for gap in [10.0f32, 17.0, 30.0] {
        let sure = Array::new([1, 3], vec![gap, 0.0, -1.0]).unwrap();
        agrees("sure", 64, &[sure, Array::vector(vec![0u32])], &|x| {
            vec![x[0].softmax_cross_entropy(&x[1], None, 0.0, None).0.detach() + 0.0]
        });
    }
}

#[test]
fn binary_cross_entropies_agree_on_both_sides() {
    for (x, y) in
        [(-17.0f32, 0.0f32), (17.0, 1.0), (-17.0, 1.0), (1000.0, 0.0), (-1000.0, 1.0), (0.3, 0.25), (0.0, 1.0)]
    {
        let inputs = [Array::vector(vec![x]), Array::vector(vec![y])];
        // exp(−17) may be 37 ULP off.
        agrees(&format!("x {x}, y {y}"), 100, &inputs, &|x| vec![x[0].bce_with_logits(&x[1])]);
    }
    let inputs = [noise(&[300, 4], 1), noise(&[300, 4], 2), noise(&[4], 3)];
    agrees("weighted", 300, &inputs, &|x| vec![x[0].bce_with_logits_weighted(&x[1], &x[2])]);
}

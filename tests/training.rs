//! Tests of complete training runs: every device computes the same curve, repeated runs have the same bits, and
//! several plans share their variables.

#[path = "common/curve.rs"]
mod curve;
#[path = "training/options.rs"]
mod options;

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use curve::Truth;
use libtest_mimic::{Arguments, Failed, Trial};
use wgrad::data::Batches;
use wgrad::gpu::adapters;
use wgrad::prelude::*;

const STEPS: usize = 50;
const ROWS: usize = 64;

/// Reads a data set from `examples/data`.
fn data(file: &str, target: &str) -> Dataset {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data").join(file);
    Table::read_csv(path)
        .and_then(|table| table.target(target))
        .and_then(|table| table.dataset())
        .expect("a fine table")
}

/// Model with its data set, loss and optimizer.
struct Task {
    data: Dataset,
    /// `true` if targets have type and shape `f32[N, 1]`, `false` for `u32[N]`.
    binary: bool,
    build: fn(&Params, &Dataset) -> Sequential,
    optimizer: fn() -> Box<dyn Optimizer>,
}

fn tumours() -> Task {
    Task {
        data: data("breast_cancer.csv", "malignant"),
        binary: true,
        build: |p, data| {
            Sequential::new(p)
                // The gradient of a bias before a batch norm consists of rounding errors only, which AdamW would
                // scale up to steps of full size. So this layer has no bias.
                .named("fc1", |p| Linear::with(p, data.features(), 32, LinearOptions::new().bias(false)))
                .named("bn1", |p| BatchNorm1d::new(p, 32))
                .named("relu", |_| Relu)
                .named("drop", |p| Dropout::new(p, 0.25))
                .named("fc2", |p| Linear::new(p, 32, 1))
        },
        optimizer: || Box::new(AdamW::new(1e-2)),
    }
}

fn digits() -> Task {
    Task {
        data: data("digits.csv", "digit"),
        binary: false,
        build: |p, data| {
            Sequential::new(p)
                .named("fc1", |p| Linear::new(p, data.features(), 32))
                .named("relu", |_| Relu)
                .named("fc2", |p| Linear::new(p, 32, data.classes().len()))
        },
        optimizer: || Box::new(Sgd::new(0.05).momentum(0.9).nesterov(true)),
    }
}

/// Compiled step with its inputs.
struct Compiled {
    x: Tensor,
    y: Tensor,
    step: Step,
}

/// State of a training run or evaluation.
struct Run<'a> {
    task: &'a Task,
    params: Params,
    model: Sequential,
    session: Session,
}

impl<'a> Run<'a> {
    fn new(task: &'a Task, device: &Device, seed: u64) -> Self {
        let params = Params::seeded(seed);
        let model = (task.build)(&params, &task.data);
        let session = Session::new(device.clone(), &params).expect("names are unique");
        Self { task, params, model, session }
    }

    /// Compiles a step for a number of rows, which trains and returns the loss, or evaluates and returns the
    /// logits.
    fn compile(&mut self, mode: Mode, rows: usize) -> Compiled {
        let graph = Graph::new(mode);
        let x = graph.input("x", [rows, self.task.data.features()], DType::F32);
        let logits = self.model.forward(&x);
        let y = if self.task.binary {
            graph.input("y", [rows, 1], DType::F32)
        } else {
            graph.input("y", [rows], DType::U32)
        };
        let result = match mode {
            Mode::Evaluate => logits,
            Mode::Train => {
                let loss = if self.task.binary {
                    BceWithLogitsLoss::new().forward(&logits, &y)
                } else {
                    CrossEntropyLoss::new().forward(&logits, &y)
                };
                (self.task.optimizer)().minimize(&loss);
                loss
            }
        };
        let step = self.session.compile(&graph, &[&result]).unwrap_or_else(|error| panic!("{error}"));
        Compiled { x, y, step }
    }

    fn run(&mut self, at: &Compiled, rows: &[u32]) -> Vec<f64> {
        let (data, width) = (&self.task.data, self.task.data.features());
        let values: Vec<f32> =
            rows.iter().flat_map(|&row| &data.x()[row as usize * width..][..width]).copied().collect();
        let labels: Vec<u32> = rows.iter().map(|&row| data.y()[row as usize]).collect();
        let x = Array::new([rows.len(), width], values).expect("full rows");
        let y = if self.task.binary {
            let ones = labels.iter().map(|&label| if label == 1 { 1f32 } else { 0.0 }).collect();
            Array::new([rows.len(), 1], ones).expect("one per row")
        } else {
            Array::vector(labels)
        };
        let training = at.step.plan().inputs.iter().filter(|input| input.buffer.is_some()).count() == 2;
        let feeds = [(&at.x, &x), (&at.y, &y)];
        let result = self.session.run(&at.step, &feeds[..if training { 2 } else { 1 }]);
        result.unwrap_or_else(|error| panic!("{error}"))[0].to_f64()
    }

    /// Trains on the first `steps` shuffled batches, and returns the losses.
    fn train(&mut self, steps: usize) -> Vec<f64> {
        let batches =
            Batches::new(self.task.data.rows(), ROWS).expect("rows").shuffle(Seed(7)).drop_last().expect("rows");
        let compiled = self.compile(Mode::Train, ROWS);
        let mut losses = vec![];
        for epoch in 0.. {
            for batch in &batches.epoch(epoch) {
                if losses.len() == steps {
                    return losses;
                }
                losses.extend(self.run(&compiled, batch));
            }
        }
        losses
    }

    /// Trains and evaluates. Returns the losses, then the logits of some rows, which also depend on running
    /// statistics.
    fn curve(&mut self) -> Vec<f64> {
        let mut curve = self.train(STEPS);
        let rows: Vec<u32> = (0..40).collect();
        let compiled = self.compile(Mode::Evaluate, rows.len());
        curve.extend(self.run(&compiled, &rows));
        curve
    }

    /// Returns the bytes of the state dict.
    fn bytes(&mut self) -> Vec<u8> {
        self.session.sync().expect("the device is there");
        self.params.to_safetensors().expect("synchronised")
    }
}

fn curve_agrees(task: &Task, truth: &Truth, device: &Device) -> Result<(), Failed> {
    let losses = Run::new(task, device, 7).curve();
    let worst = truth.agrees(&losses)?;
    let last = truth.bounds[STEPS - 1] / truth.curve[STEPS - 1];
    println!("{device:?}: {:.3} → {:.3} ± {last:.1e}, at most {worst:.2} of the bound", losses[0], losses[STEPS - 1]);
    if losses[STEPS - 1] < 0.5 * losses[0] { Ok(()) } else { Err("it did not learn".into()) }
}

/// Computes the curve of a task in `f64`, with bounds for runs in `f32`.
fn truth(task: &Task) -> Truth {
    Truth::new(|device, start| {
        let mut run = Run::new(task, device, 7);
        start(&run.params);
        run.curve()
    })
}

fn the_same_seed_gives_the_same_bytes(task: &Task, device: &Device) -> Result<(), Failed> {
    let run = |seed| {
        let mut run = Run::new(task, device, seed);
        (run.train(STEPS), run.bytes())
    };
    let (first, second, other) = (run(7), run(7), run(8));
    if first.1 != second.1 || first.0.iter().zip(&second.0).any(|(a, b)| a.to_bits() != b.to_bits()) {
        return Err("two runs of one seed differ".into());
    }
    if first.1 == other.1 { Err("the seed makes no difference".into()) } else { Ok(()) }
}

/// Returns the outputs of three runs of a graph with dropout.
fn masks(device: &Device) -> Vec<Vec<f64>> {
    let params = Params::seeded(7);
    let (first, second) = (Dropout::new(&params.at("a"), 0.25), Dropout::new(&params.at("b"), 0.5));
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [13, 77], DType::F32);
    let (y, z) = (first.forward(&x), second.forward(&x));
    let mut session = Session::new(device.clone(), &params).expect("names are unique");
    let step = session.compile(&graph, &[&y, &z]).expect("a fine graph");
    let ones = Array::full([13, 77], 1f32);
    (0..3).flat_map(|_| session.run(&step, &[(&x, &ones)]).expect("runs")).map(|y| y.to_f64()).collect()
}

fn dropout_draws_the_bits_of_the_cpu(device: &Device) -> Result<(), Failed> {
    let (own, cpu) = (masks(device), masks(&Device::cpu_f64()));
    for (own, cpu) in own.iter().zip(&cpu) {
        let kept = |values: &[f64]| values.iter().map(|&x| x != 0.0).collect::<Vec<_>>();
        let scaled = own.iter().zip(cpu).all(|(own, cpu)| (own - cpu).abs() <= f64::from(f32::EPSILON));
        if kept(own) != kept(cpu) || !scaled {
            return Err("other elements are kept".into());
        }
    }
    // The random numbers must differ between any two layers and between any two steps.
    let fresh = (0..6).all(|i| (0..i).all(|j| own[i].iter().zip(&own[j]).any(|(a, b)| (*a == 0.0) != (*b == 0.0))));
    if fresh { Ok(()) } else { Err("two draws are the same".into()) }
}

/// Returns whether logits are equal up to the rounding errors of two layers of sums with at most 64 terms.
fn nearly_equal(own: &[f64], other: &[f64]) -> bool {
    let largest = own.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    let bound = 64.0 * f64::from(f32::EPSILON) * largest;
    own.len() == other.len() && own.iter().zip(other).all(|(a, b)| (a - b).abs() <= bound)
}

/// Trains with full and smaller batches, and evaluates in between. The result must be the same as when all
/// variables are copied to the host and back after every step. Evaluating must change nothing, and the logits of a
/// row must not depend on the number of rows.
fn plans_share_their_variables(task: &Task, device: &Device) -> Result<(), Failed> {
    let all: Vec<u32> = (0..200).collect();
    let mut one = Run::new(task, device, 7);
    let (full, ragged) = (one.compile(Mode::Train, 64), one.compile(Mode::Train, 37));
    let (wide, narrow) = (one.compile(Mode::Evaluate, 100), one.compile(Mode::Evaluate, 10));
    let before = one.run(&wide, &all[..100]);
    let mut losses = vec![];
    for (step, rows) in [(&full, 0..64), (&ragged, 64..101), (&full, 101..165), (&ragged, 0..37)] {
        losses.extend(one.run(step, &all[rows]));
        let (first, again) = (one.run(&wide, &all[..100]), one.run(&wide, &all[..100]));
        if first.iter().zip(&again).any(|(a, b)| a.to_bits() != b.to_bits()) {
            return Err("evaluating changes the model".into());
        }
    }
    let after = one.run(&wide, &all[..100]);
    if before.iter().zip(&after).all(|(a, b)| a.to_bits() == b.to_bits()) {
        return Err("the evaluation does not see the trained weights".into());
    }
    let some = one.run(&narrow, &all[20..30]);
    let width = after.len() / 100;
    if !nearly_equal(&some, &after[20 * width..30 * width]) {
        return Err("the logits of a row depend on the number of rows".into());
    }
    let bytes = one.bytes();
    let mut other = Run::new(task, device, 7);
    let mut again = vec![];
    for rows in [0..64, 64..101, 101..165, 0..37] {
        other.session = Session::new(device.clone(), &other.params).expect("names are unique");
        let step = other.compile(Mode::Train, rows.len());
        again.extend(other.run(&step, &all[rows]));
        other.session.sync().expect("the device is there");
    }
    // On the `f64` device, variables must be copied without rounding to `f32`.
    if losses != again || bytes != other.bytes() {
        return Err(format!("through the host {again:?}, on the device {losses:?}").into());
    }
    Ok(())
}

/// Trains on one device, saves a file, and evaluates the file on another device.
fn a_trained_model_moves_to_another_device(task: &Task, device: &Device) -> Result<(), Failed> {
    let rows: Vec<u32> = (0..100).collect();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model.safetensors");
    let mut trained = Run::new(task, device, 7);
    trained.train(10);
    let compiled = trained.compile(Mode::Evaluate, 100);
    let own = trained.run(&compiled, &rows);
    let bytes = trained.bytes();
    trained.params.save(&path)?;
    for other in [Device::cpu_f64(), Device::cpu(), device.clone()] {
        let mut moved = Run::new(task, &other, 99);
        moved.params.load(&path)?;
        let compiled = moved.compile(Mode::Evaluate, 100);
        let logits = moved.run(&compiled, &rows);
        if !nearly_equal(&own, &logits) {
            return Err(format!("{other:?} gives other logits").into());
        }
        if moved.bytes() != bytes {
            return Err(format!("saved again from {other:?}, the file differs").into());
        }
    }
    Ok(())
}

/// Checks that training has the same bits whether the rows are stored on the device or copied to it for each
/// batch.
fn resident_and_fed_rows_give_the_same_bits(task: &Task, device: &Device) -> Result<(), Failed> {
    let fit = |streaming: bool| -> wgrad::Result<(Vec<u8>, f64)> {
        let params = Params::seeded(7);
        let model = (task.build)(&params, &task.data);
        let mut trainer = Trainer::new(device.clone(), &params)
            .optimizer(AdamW::new(1e-2))
            .batch_size(ROWS)
            .streaming(streaming)
            .progress(wgrad::train::Silent);
        let history = trainer.fit(&task.data, 2, |x, y| {
            let logits = model.forward(x);
            if task.binary {
                BceWithLogitsLoss::new().forward(&logits, y)
            } else {
                CrossEntropyLoss::new().forward(&logits, y)
            }
        })?;
        Ok((params.to_safetensors()?, history.loss()))
    };
    let (resident, streamed) = (fit(false)?, fit(true)?);
    if resident == streamed { Ok(()) } else { Err(format!("losses {} and {}", resident.1, streamed.1).into()) }
}

/// Task with its reference curve, which the tests of all devices share.
type SharedTask = Arc<(Task, OnceLock<Truth>)>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let share = |task: Task| -> SharedTask { Arc::new((task, OnceLock::new())) };
    let tasks = [("tumours with AdamW", share(tumours())), ("digits with Nesterov's momentum", share(digits()))];
    let cpus = [("the CPU in f64".to_string(), Device::cpu_f64()), ("the CPU in f32".into(), Device::cpu())];
    let mut devices = cpus.to_vec();
    for adapter in adapters() {
        let info = adapter.info();
        devices.push((format!("{} {}", info.api, info.adapter), adapter.open().expect("the driver opens its adapter")));
    }
    let missing = ["the GPU".to_string()].into_iter().filter(|_| adapters().is_empty());
    let absent: Vec<_> = missing.map(|name| (name, Device::cpu())).collect();
    let whole = (Arc::new(tumours().data), Arc::new(OnceLock::new()));
    let mut trials = vec![];
    for (i, (name, device)) in devices.iter().chain(&absent).enumerate() {
        let ignored = i >= devices.len();
        let mut add = |what: &str, check: Box<dyn FnOnce() -> Result<(), Failed> + Send>| {
            trials.push(Trial::test(format!("{name}: {what}"), check).with_ignored_flag(ignored));
        };
        for (task, shared) in &tasks {
            let on = |check: fn(&Task, &Device) -> Result<(), Failed>| {
                let (shared, device) = (shared.clone(), device.clone());
                Box::new(move || check(&shared.0, &device))
            };
            add(
                &format!("equal seeds give equal bytes, and other seeds others: {task}"),
                on(the_same_seed_gives_the_same_bytes),
            );
            add(&format!("several plans share their variables: {task}"), on(plans_share_their_variables));
            add(
                &format!("a trained model moves to another device: {task}"),
                on(a_trained_model_moves_to_another_device),
            );
            add(
                &format!("resident and fed rows give the same bits: {task}"),
                on(resident_and_fed_rows_give_the_same_bits),
            );
            let (shared, device) = (shared.clone(), device.clone());
            let check = move || curve_agrees(&shared.0, shared.1.get_or_init(|| truth(&shared.0)), &device);
            add(&format!("the loss agrees with f64, step by step: {task}"), Box::new(check));
        }
        let ((shared, truth), own) = (whole.clone(), device.clone());
        let check = move || options::agrees(&shared, truth.get_or_init(|| options::truth(&shared)), &own);
        add("clipping, accumulation, a schedule and averages agree with f64", Box::new(check));
        let device = device.clone();
        add("dropout draws the bits of the CPU", Box::new(move || dropout_draws_the_bits_of_the_cpu(&device)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

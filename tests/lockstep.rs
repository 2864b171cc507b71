//! Tests that run complete models in lockstep with the reference (comparing every node) on every device, that
//! compare steps with recordings from PyTorch, and that audit the gradients of layers with finite differences.

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use wgrad::core::Backend;
use wgrad::gpu::adapters;
use wgrad::prelude::*;
use wgrad::train::{ComparedStage, Comparison, Recording, Silent};

/// Model with a loss, trained on random rows.
struct Task {
    name: &'static str,
    x: fn(usize) -> Array,
    classes: u32,
    build: fn(&Params) -> Box<dyn Module>,
}

const ROWS: usize = 24;

fn normal(shape: &[usize]) -> Array {
    let mut stream = wgrad::core::Stream::named(5, "x");
    let count = shape.iter().product();
    Array::new(shape, (0..count).map(|_| stream.normal() as f32).collect::<Vec<f32>>()).expect("as many")
}

fn tasks() -> Vec<Task> {
    vec![
        Task {
            name: "mlp",
            x: |rows| normal(&[rows, 30]),
            classes: 2,
            build: |p| {
                let model = Sequential::new(p)
                    .named("fc1", |p| Linear::new(p, 30, 33))
                    .named("bn1", |p| BatchNorm1d::new(p, 33))
                    .named("gelu", |_| |x: &Tensor| x.gelu())
                    .named("drop", |p| Dropout::new(p, 0.25))
                    .named("fc2", |p| Linear::new(p, 33, 2));
                Box::new(model)
            },
        },
        Task {
            name: "cnn",
            x: |rows| normal(&[rows, 3, 12, 12]),
            classes: 4,
            build: |p| {
                let conv1 = Conv2d::new(&p.at("conv1"), 3, 8, 3);
                let bn1 = BatchNorm2d::new(&p.at("bn1"), 8);
                let conv2 = Conv2d::new(&p.at("conv2"), 8, 6, 3);
                let fc = Linear::new(&p.at("fc"), 6 * 9, 4);
                Box::new(move |x: &Tensor| {
                    let x = bn1.forward(&conv1.forward(x)).relu().max_pool2d(MaxPool::new(2));
                    fc.forward(&conv2.forward(&x).silu().flatten(1))
                })
            },
        },
        Task {
            name: "attention",
            x: |rows| normal(&[rows, 7, 16]),
            classes: 3,
            build: |p| {
                let norm = LayerNorm::new(&p.at("norm"), [16]);
                let first = Linear::new(&p.at("first"), 16, 16);
                let head = Linear::new(&p.at("head"), 16, 3);
                Box::new(move |x: &Tensor| {
                    let x = norm.forward(x);
                    let mixed = first.forward(&x).matmul_t(&x, false, true).softmax(-1).matmul(&x) + &x;
                    head.forward(&mixed.mean([1]))
                })
            },
        },
    ]
}

/// Returns a model whose weights are signs. The gradient through a sign is an estimate, not a derivative.
fn binary() -> Task {
    Task {
        name: "binary",
        x: |rows| normal(&[rows, 20]),
        classes: 3,
        build: |p| {
            let model = Sequential::new(p)
                .named("in", |p| Linear::new(p, 20, 12))
                .named("relu", |_| Relu)
                .named("signs", |p| BinaryLinear::new(p, 12, 9))
                .named("out", |p| Linear::new(p, 9, 3));
            Box::new(model)
        },
    }
}

fn labels(classes: u32) -> Array {
    Array::vector((0..u32::try_from(ROWS).expect("few")).map(|row| row * 7 % classes).collect::<Vec<u32>>())
}

/// Training step of a model, traced as a graph.
struct Traced {
    params: Params,
    loss: Tensor,
    feeds: [(Tensor, Array); 2],
}

impl Traced {
    fn new(task: &Task) -> Self {
        let params = Params::seeded(3);
        let model = (task.build)(&params);
        let graph = Graph::new(Mode::Train);
        let (xs, ys) = ((task.x)(ROWS), labels(task.classes));
        let x = graph.input("x", xs.shape(), DType::F32);
        let y = graph.input("y", ys.shape(), DType::U32);
        let loss = CrossEntropyLoss::new().forward(&model.forward(&x), &y);
        AdamW::new(1e-2).minimize(&loss);
        Self { params, loss, feeds: [(x, xs), (y, ys)] }
    }

    fn feeds(&self) -> [(&Tensor, &Array); 2] {
        self.feeds.each_ref().map(|(tensor, array)| (tensor, array))
    }
}

/// Runs two steps of a model on a device, and then a step in lockstep with the reference, which must pass.
fn lockstep(task: &Task, device: impl Into<Box<dyn Backend>>) -> Result<(), Failed> {
    let traced = Traced::new(task);
    let (graph, loss, feeds) = (traced.loss.graph(), &traced.loss, traced.feeds());
    let mut session = Session::new(device, &traced.params)?;
    let step = session.compile(graph, &[loss])?;
    for _ in 0..2 {
        session.run(&step, &feeds)?;
    }
    let report = session.lockstep(graph, &[loss], &feeds)?;
    if !report.passes() || report.nodes.len() < 20 {
        return Err(report.to_string().into());
    }
    let worst = report.nodes.iter().map(wgrad::core::NodeCheck::bound_fraction).fold(0.0, f64::max);
    // If no error came near its bound, the bounds would be too loose to find anything.
    if worst < 1e-3 {
        return Err(format!("no error is above a thousandth of its bound\n{report}").into());
    }
    let again = session.run(&step, &feeds)?[0].item()?;
    if !again.is_finite() {
        return Err(format!("the training cannot go on: the loss is {again}").into());
    }
    Ok(())
}

/// Audits the gradients of a model. `estimates` is the expected number of ops whose gradients are estimates.
fn audit(task: &Task, estimates: usize) -> Result<(), Failed> {
    let traced = Traced::new(task);
    let report = wgrad::audit(&traced.loss, &traced.feeds())?;
    if !report.passes() || report.parameters.iter().any(|parameter| parameter.update.is_none()) || report.unknown > 0 {
        return Err(report.to_string().into());
    }
    let compared = |parameter: &wgrad::core::ParameterAudit| parameter.verdict == wgrad::core::GradientVerdict::Agrees;
    let behind = report.parameters.iter().filter(|parameter| !compared(parameter)).count();
    // Only the weights to which `sign` is applied have estimated gradients. The gradients of earlier layers do not
    // pass through a sign.
    if report.estimated.len() != estimates || behind != estimates {
        return Err(format!("{estimates} estimates were expected\n{report}").into());
    }
    Ok(())
}

/// Repeats a recorded step with the model from which `tests/recording/generate.py` recorded it.
fn repeat_step(name: &str, device: impl Into<Box<dyn Backend>>) -> Result<Comparison> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recording/{name}.safetensors"));
    let params = Params::seeded(1);
    let model = Sequential::new(&params)
        .add(|p| Linear::new(p, 6, 10))
        .add(|p| BatchNorm1d::new(p, 10))
        .add(|_| Relu)
        .add(|p| Linear::new(p, 10, 8))
        .add(|p| BatchNorm1d::new(p, 8))
        .add(|_| Relu)
        .add(|p| Linear::new(p, 8, 1));
    let before = params.get("3.weight")?.value()?;
    let mut session = Session::new(device, &params)?;
    let optimizer = AdamW::new(1e-2).weight_decay(0.01);
    let loss = |x: &Tensor, y: &Tensor| BceWithLogitsLoss::new().forward(&model.forward(x), y);
    let comparison = Recording::read(path)?.compare(&mut session, &params, &optimizer, loss)?;
    assert_eq!(params.get("3.weight")?.value()?, before, "the weights are put back");
    Ok(comparison)
}

/// Repeats the recorded step of a model that calls one layer `calls` times.
fn repeat_step_with_calls(name: &str, calls: usize, dropout: f64) -> Result<Comparison> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recording/{name}.safetensors"));
    let params = Params::seeded(1);
    let first = Linear::new(&params.at("first"), 6, 5);
    let block = Sequential::new(&params.at("block"))
        .add(|p| Linear::new(p, 5, 5))
        .add(|p| LayerNorm::new(p, [5]))
        .add(|_| |x: &Tensor| x.tanh())
        .add(|p| Dropout::new(p, dropout));
    let head = Linear::new(&params.at("head"), 5, 1);
    let loss = |x: &Tensor, y: &Tensor| {
        let x = (0..calls).fold(first.forward(x), |x, _| block.forward(&x));
        BceWithLogitsLoss::new().forward(&head.forward(&x), y)
    };
    let mut session = Session::new(CpuBackend::<f32>::new(), &params)?;
    Recording::read(path)?.compare(&mut session, &params, &Sgd::new(1e-2), loss)
}

/// Checks that each call of a layer is compared with the same call in the recording.
fn calls() -> Result<(), Failed> {
    let right = repeat_step_with_calls("twice", 2, 0.0)?;
    let outputs: Vec<&str> =
        right.compared.iter().filter(|one| one.stage == ComparedStage::Output).map(|one| one.name.as_str()).collect();
    let named = ["first", "block.0#0", "block.1#0", "block.2#0", "block.0#1", "block.1#1", "block.2#1", "head"];
    if !right.passes() || !right.skipped.is_empty() || outputs != named {
        return Err(format!("{outputs:?} {right}").into());
    }
    let wrong = repeat_step_with_calls("second", 2, 0.0)?.to_string();
    if !wrong.starts_with("differs from PyTorch, first in the output of `block.0#1` [8, 5]") {
        return Err(wrong.into());
    }
    // If the number of calls differs, the report does not name a call as the first difference, but says that the
    // calls cannot be compared.
    let other = repeat_step_with_calls("twice", 3, 0.0)?.to_string();
    let expected = [
        "first in the output of `head`",
        "the fault may be before it: `block.0#0`, `block.1#0`",
        "block.2#1 (called 2 times there, 3 times here)",
    ];
    if let Some(missing) = expected.iter().find(|part| !other.contains(**part)) {
        return Err(format!("no {missing:?} in: {other}").into());
    }
    Ok(())
}

/// Checks that comparing a model with dropout returns an error before any layer is compared.
fn random() -> Result<(), Failed> {
    let error = repeat_step_with_calls("twice", 2, 0.5).unwrap_err().to_string();
    let expected =
        ["draws random numbers", "`dropout`", "tests/lockstep.rs:", "fix: set the probability of every dropout to 0"];
    match expected.iter().find(|part| !error.contains(**part)) {
        Some(missing) => Err(format!("no {missing:?} in: {error}").into()),
        None => Ok(()),
    }
}

fn first(name: &str) -> Result<Option<(ComparedStage, String, Comparison)>> {
    let comparison = repeat_step(name, CpuBackend::<f32>::new())?;
    let found = comparison.first_difference().map(|first| (first.stage, first.name.clone()));
    Ok(found.map(|(stage, name)| (stage, name, comparison)))
}

fn recorded(device: impl Into<Box<dyn Backend>>) -> Result<(), Failed> {
    let comparison = repeat_step("right", device)?;
    let count = |stage| comparison.compared.iter().filter(|compared| compared.stage == stage).count();
    let counts =
        [ComparedStage::Output, ComparedStage::Loss, ComparedStage::Gradient, ComparedStage::Updated].map(count);
    if !comparison.passes() || counts != [7, 1, 8, 12] {
        return Err(format!("{counts:?} {comparison}").into());
    }
    // Biases before a norm are skipped, because their gradients are only rounding errors.
    if comparison.skipped.len() != 2 || !comparison.skipped.iter().all(|name| name.contains(".bias (its gradient")) {
        return Err(format!("{:?}", comparison.skipped).into());
    }
    Ok(())
}

/// Checks that the comparison names the place where the recorded model was changed.
fn named(recording: &str, stage: ComparedStage, name: &str) -> Result<(), Failed> {
    match first(recording)? {
        Some((found, at, comparison)) if found == stage && at == name => {
            let text = comparison.to_string();
            let here = "tests/lockstep.rs:";
            if !text.contains(name) || !text.contains(here) {
                return Err(format!("no name or no line in: {text}").into());
            }
            Ok(())
        }
        Some((.., comparison)) => Err(comparison.to_string().into()),
        None => Err("nothing differs".into()),
    }
}

/// Runs the trainer's first steps in lockstep, and checks that this does not change the training.
fn training() -> Result<(), Failed> {
    let data = Table::read_csv(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/breast_cancer.csv"))?;
    let data = data.target("malignant")?.dataset()?;
    let fit = |look: bool| -> Result<Vec<u8>> {
        let params = Params::seeded(3);
        let model =
            Sequential::new(&params).add(|p| Linear::new(p, 30, 16)).add(|_| Relu).add(|p| Linear::new(p, 16, 1));
        let loss = |x: &Tensor, y: &Tensor| BceWithLogitsLoss::new().forward(&model.forward(x), y);
        let mut trainer = Trainer::new(CpuBackend::<f32>::new(), &params).optimizer(AdamW::new(1e-2)).progress(Silent);
        if look {
            let reports = trainer.lockstep(&data, 2, loss)?;
            assert!(reports.len() == 2 && reports.iter().all(wgrad::core::Lockstep::passes), "{}", reports[0]);
        }
        trainer.fit(&data, 1, loss)?;
        params.to_safetensors()
    };
    if fit(true)? != fit(false)? {
        return Err("the comparison changed the training".into());
    }
    Ok(())
}

fn not_a_recording() -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let error = Recording::read(folder.join("linear.safetensors")).unwrap_err().to_string();
    if !error.contains("but not the recording of a step\n  fix: make one with examples/record_pytorch.py") {
        return Err(error.into());
    }
    let error = Recording::read(folder.join("README.md")).unwrap_err().to_string();
    if !error.contains("cannot be read as safetensors") {
        return Err(error.into());
    }
    // A recording of another model returns an error.
    let params = Params::seeded(1);
    let model = Linear::new(&params.at("fc"), 6, 1);
    let mut session = Session::new(CpuBackend::<f32>::new(), &params)?;
    let path = folder.join("../recording/right.safetensors");
    let loss = |x: &Tensor, y: &Tensor| BceWithLogitsLoss::new().forward(&model.forward(x), y);
    let error = Recording::read(path)?.compare(&mut session, &params, &AdamW::new(1e-2), loss).unwrap_err().to_string();
    if !error.contains("missing from the recording: fc.weight") || !error.contains("not in the model: 0.weight") {
        return Err(error.into());
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        Trial::test("a recorded step of PyTorch is repeated on the CPU", || recorded(CpuBackend::<f32>::new())),
        Trial::test("another eps is named at its layer", || named("eps", ComparedStage::Output, "1")),
        Trial::test("another momentum is named at its buffer", || {
            named("momentum", ComparedStage::Updated, "1.running_mean")
        }),
        Trial::test("a biased variance is named at its buffer", || {
            named("biased", ComparedStage::Updated, "1.running_var")
        }),
        Trial::test("a wrong gradient is named at the last parameter that it reaches", || {
            named("gradient", ComparedStage::Gradient, "1.bias")
        }),
        Trial::test("the calls of a layer are compared one by one", calls),
        Trial::test("a step that draws random numbers is not compared", random),
        Trial::test("a trainer compares its first steps and changes nothing", training),
        Trial::test("other files than recordings are refused", not_a_recording),
    ];
    for task in tasks() {
        trials.push(Trial::test(format!("gradients agree with finite differences: {}", task.name), move || {
            audit(&task, 0)
        }));
    }
    trials.push(Trial::test("an estimated gradient is named and not called wrong", || audit(&binary(), 1)));
    for task in tasks() {
        let name = format!("the CPU in lockstep: {}", task.name);
        trials.push(Trial::test(name, move || lockstep(&task, CpuBackend::<f32>::new())));
    }
    if adapters().is_empty() {
        for task in tasks() {
            trials.push(Trial::test(format!("the GPU in lockstep: {}", task.name), || Ok(())).with_ignored_flag(true));
        }
    }
    for adapter in adapters() {
        let info = adapter.info();
        let device = adapter.open().expect("the driver opens its adapter");
        for task in tasks() {
            let name = format!("{} {} in lockstep: {}", info.api, info.adapter, task.name);
            let device = device.clone();
            trials.push(Trial::test(name, move || lockstep(&task, device)));
        }
        let name = format!("a recorded step of PyTorch is repeated on {} {}", info.api, info.adapter);
        trials.push(Trial::test(name, move || recorded(device)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

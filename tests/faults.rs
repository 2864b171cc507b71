//! Tests on every adapter of failures around a training run: a lost device, too little memory, tensors that are
//! too large, features that the adapter lacks, and other sessions on the same device.

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use wgrad::core::{Limits, Plan};
use wgrad::gpu::testing::{AdapterHooks, DeviceHooks};
use wgrad::gpu::{Adapter, adapters};
use wgrad::prelude::*;
use wgrad::train::{Checkpoints, Silent};

type Check = fn(&Adapter) -> Result<(), Failed>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(what().into()) }
}

/// Returns the message of the expected error.
fn expect_error<T>(result: Result<T>) -> Result<String, Failed> {
    match result {
        Ok(_) => Err("nothing was refused".into()),
        Err(error) => Ok(error.to_string()),
    }
}

const LOST: &str = "the device was lost: it was destroyed\n  what it held is gone; parameters have the values";

/// Trains three epochs of 15 steps. If `resume`, starts from the last checkpoint in `folder`. Destroys the device
/// at step `at_step`.
fn train(device: &Device, folder: Option<&Path>, resume: bool, at_step: Option<usize>) -> Result<Vec<u64>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/breast_cancer.csv");
    let data = Table::read_csv(path)?.target("malignant")?.dataset()?;
    let params = Params::seeded(7);
    let model = Sequential::new(&params)
        .named("fc1", |p| Linear::new(p, data.features(), 16))
        .named("bn1", |p| BatchNorm1d::new(p, 16))
        .named("relu", |_| Relu)
        .named("drop", |p| Dropout::new(p, 0.25))
        .named("fc2", |p| Linear::new(p, 16, 1));
    let mut trainer = Trainer::new(device.clone(), &params).optimizer(AdamW::new(1e-2)).batch_size(38).progress(Silent);
    if let Some(folder) = folder {
        trainer = trainer.checkpoints(Checkpoints::new(folder).every_steps(5));
        trainer = if resume { trainer.resume(folder) } else { trainer };
    }
    if let Some(last) = at_step {
        let (mut made, device) = (0, device.clone());
        trainer = trainer.on_step(move |_, _| {
            made += 1;
            if made == last {
                device.destroy();
            }
        });
    }
    let loss = BceWithLogitsLoss::new();
    trainer.fit(&data, 3, |x, y| loss.forward(&model.forward(x), y))?;
    let values = params.variables().into_iter().map(|variable| variable.value()).collect::<Result<Vec<_>>>()?;
    Ok(values.iter().flat_map(|value| value.to_f64()).map(f64::to_bits).collect())
}

fn a_training_resumes_after_its_device_is_lost(adapter: &Adapter) -> Result<(), Failed> {
    let whole = train(&adapter.open()?, None, false, None)?;
    for lose in [8, 17] {
        let place = tempfile::tempdir()?;
        let error = expect_error(train(&adapter.open()?, Some(place.path()), false, Some(lose)))?;
        ensure(error.contains(LOST) && error.contains("Trainer::resume"), || error.clone())?;
        let resumed = train(&adapter.open()?, Some(place.path()), true, None)?;
        ensure(resumed == whole, || format!("lost in step {lose} and resumed, the bits differ"))?;
    }
    Ok(())
}

/// Training step of a small network, with its session and inputs.
struct Network {
    session: Session,
    step: Step,
    x: Tensor,
    y: Tensor,
    params: Params,
}

impl Network {
    fn new(device: Device, seed: u64) -> Result<Self> {
        let params = Params::seeded(seed);
        let model = Sequential::new(&params)
            .named("fc1", |p| Linear::new(p, 12, 24))
            .named("bn1", |p| BatchNorm1d::new(p, 24))
            .named("gelu", |_| |x: &Tensor| x.gelu())
            .named("drop", |p| Dropout::new(p, 0.1))
            .named("fc2", |p| Linear::new(p, 24, 3));
        let graph = Graph::new(Mode::Train);
        let (x, y) = (graph.input("x", [32, 12], DType::F32), graph.input("y", [32], DType::U32));
        let loss = CrossEntropyLoss::new().forward(&model.forward(&x), &y);
        AdamW::new(1e-2).minimize(&loss);
        let mut session = Session::new(device, &params)?;
        let step = session.compile(&graph, &[&loss])?;
        Ok(Self { session, step, x, y, params })
    }

    /// Runs a step on the batch with this number, and returns the loss.
    fn run(&mut self, number: u32) -> Result<f32> {
        let (xs, ys) = Self::data(number)?;
        Ok(self.session.run(&self.step, &[(&self.x, &xs), (&self.y, &ys)])?[0].to_f32()[0])
    }

    fn data(number: u32) -> Result<(Array, Array)> {
        let wave = |i: u32| f32::from(u16::try_from((i * 37 + number * 11) % 101).unwrap_or(0)) / 50.0 - 1.0;
        let xs = Array::new([32, 12], (0..32 * 12).map(wave).collect())?;
        Ok((xs, Array::vector((0..32).map(|i| (i + number) % 3).collect::<Vec<u32>>())))
    }

    /// Returns the bits of the losses of `steps` steps, and of all variables after the last step.
    fn bits(&mut self, steps: u32) -> Result<Vec<u64>> {
        let losses = (0..steps).map(|number| self.run(number)).collect::<Result<Vec<_>>>()?;
        self.finish(losses)
    }

    fn finish(&mut self, losses: Vec<f32>) -> Result<Vec<u64>> {
        self.session.sync()?;
        let values = self.params.variables().into_iter().map(|v| v.value()).collect::<Result<Vec<_>>>()?;
        let values = values.iter().flat_map(|value| value.to_f64());
        Ok(losses.into_iter().map(f64::from).chain(values).map(f64::to_bits).collect())
    }
}

fn every_call_on_a_lost_device_reports_the_loss(adapter: &Adapter) -> Result<(), Failed> {
    let device = adapter.open()?;
    let (mut one, mut other) = (Network::new(device.clone(), 1)?, Network::new(device.clone(), 2)?);
    one.run(0)?;
    one.session.sync()?;
    let kept = one.params.variables()[0].value()?.to_f64();
    device.destroy();
    for network in [&mut one, &mut other] {
        for _ in 0..2 {
            let error = expect_error(network.run(1))?;
            ensure(error.contains(LOST), || error.clone())?;
        }
        let error = expect_error(network.session.sync())?;
        ensure(error.contains(LOST), || error.clone())?;
    }
    let error = expect_error(Network::new(device, 3))?;
    ensure(error.contains(LOST), || error.clone())?;
    // The values on the host are still there.
    let now = one.params.variables()[0].value()?.to_f64();
    ensure(now == kept, || "a variable changed on the host".into())?;
    // Another device of the same adapter works with the same `Params`.
    Network::new(adapter.open()?, 1)?.run(0)?;
    Ok(())
}

fn a_plan_without_room_lists_its_sizes_and_fixes(adapter: &Adapter) -> Result<(), Failed> {
    let device = adapter.open_with(|limits: &mut Limits| limits.memory_bytes = 8 << 10)?;
    let error = match Network::new(device, 1) {
        Err(Error::OutOfMemory(error)) => error.to_string(),
        Err(other) => return Err(format!("another error: {other}").into()),
        Ok(_) => return Err("it was not refused".into()),
    };
    for words in [
        "may take 8.0 KiB\n  the plan needs ",
        ": parameters 1.7 KiB, optimizer state 3.4 KiB, running statistics 192 B, activations and gradients ",
        "inputs and results ",
        "  the largest is ",
        "  ways out:\n    1. a smaller batch: ",
        "    2. the same batch in parts, ",
        "    3. rows that stay on the host ",
    ] {
        ensure(error.contains(words), || format!("no `{words}` in {error}"))?;
    }
    Ok(())
}

/// Environment variable with which a test starts itself as a child process that runs [`fill`]. Its value is the
/// index of an adapter.
const FILL: &str = "WGRAD_TEST_FILL";

/// Name of the test that needs a child process.
const FULL: &str = "a failed allocation lists the sizes and spares the device";

/// Allocates 4 GiB at once on a device, which fails, and then trains on that device.
fn fill(adapter: &Adapter) -> Result<(), Failed> {
    let device = adapter.open()?;
    let mut network = Network::new(device.clone(), 1)?;
    let bits = network.bits(2)?;
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [32 << 20], DType::F32);
    let sums: Vec<_> = (0..32).map(|i| (&x * f64::from(i)).cumsum(0)).collect();
    let mut session = Session::new(device.clone(), &Params::seeded(0))?;
    match session.compile(&graph, &sums.iter().collect::<Vec<_>>()) {
        Err(Error::OutOfMemory(error)) => println!("{error}"),
        Err(other) => return Err(format!("another error: {other}").into()),
        Ok(_) => return Err("it was not refused".into()),
    }
    // The failed session's allocations are freed, and the device and its other sessions still work.
    ensure(network.run(2)?.is_finite(), || "the first session has no loss".into())?;
    ensure(Network::new(device, 1)?.bits(2)? == bits, || "other bits than before".into())
}

/// Runs [`fill`] in a child process with little memory, and checks its error message. A software adapter uses the
/// memory of its process, which the operating system can limit. The test skips OpenGL, where wgpu does not check
/// whether a buffer was created.
fn a_failed_allocation_lists_sizes_and_spares_the_device(adapter: &Adapter) -> Result<(), Failed> {
    let number = adapters().iter().position(|other| other.info() == adapter.info()).ok_or("it is not there")?;
    let child = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 3000000; exec \"$0\""])
        .arg(std::env::current_exe()?)
        .env(FILL, number.to_string())
        .output()?;
    let said = [child.stdout, child.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let fits = ["has no room for ", "  the plan needs 4", "  the largest is ", "    1. a smaller batch"];
    ensure(child.status.success() && fits.iter().all(|words| said.contains(words)), || {
        format!("{}: {said}", child.status)
    })
}

fn a_tensor_that_is_too_large_is_refused_by_name_and_line(adapter: &Adapter) -> Result<(), Failed> {
    let device = adapter.open_with(|limits: &mut Limits| limits.binding_bytes = 1 << 20)?;
    let params = Params::seeded(0);
    let refuse = |graph: &Graph, fetch: &Tensor, (what, line): (&str, u32)| {
        let error = expect_error(Session::new(device.clone(), &params)?.compile(graph, &[fetch]))?;
        let place = format!("{}:{line}", file!());
        let fits = ["4.0 MiB, but ", "binds at most 1.0 MiB: ", what, &place, "1. a smaller batch"];
        ensure(fits.iter().all(|words| error.contains(words)), || format!("{what} at {place}: {error}"))
    };
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("pixels", [1024, 1024], DType::F32);
    let sum = x.cumsum(0).sum([0]).slice(0, ..8);
    let line = line!() - 1;
    refuse(&graph, &sum, ("f32[1024, 1024]", line))?;

    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("row", [1024, 1], DType::F32);
    let table = (&x * 2.0 + graph.input("column", [1, 1024], DType::F32)).exp();
    refuse(&graph, &table, ("the result of ", line!() - 1))?;

    let graph = Graph::new(Mode::Evaluate);
    let weight = params.variable("fc.weight", [1 << 20], Kind::Parameter, Init::Constant(0.0));
    let line = line!() + 1;
    let total = graph.variable(&weight).sum_all();
    refuse(&graph, &total, ("the variable `fc.weight` f32[1048576]", line))
}

fn elements_beyond_32_bits_are_refused(adapter: &Adapter) -> Result<(), Failed> {
    // The product has too many elements, although it is summed while it is computed and never stored.
    let graph = Graph::new(Mode::Evaluate);
    let (x, y) = (graph.input("x", [70_000, 1], DType::F32), graph.input("y", [1, 70_000], DType::F32));
    let total = (&x * &y).exp().sum_all();
    let mut session = Session::new(adapter.open()?, &Params::seeded(0))?;
    let error = expect_error(session.compile(&graph, &[&total]))?;
    let fits = error.starts_with("4900000000 elements are more than kernels on ") && error.contains(file!());
    ensure(fits, || error)?;
    // The CPU reference counts elements in 64 bits.
    ensure(
        Plan::new(&graph, &[&total], &Session::new(Device::cpu(), &Params::seeded(0))?.limits()).is_ok(),
        String::new,
    )
}

fn a_loop_that_is_too_long_is_refused_by_name_and_line(adapter: &Adapter) -> Result<(), Failed> {
    let params = Params::seeded(0);
    let (pool, conv) = (MaxPool2d::new(300).stride(1), Conv1d::new(&params, 1, 1, 70_000));
    // The loops of these two kernels run 90,300 and 70,000 times, which is too long on some adapters.
    let pooled = |graph: &Graph| pool.forward(&graph.input("image", [1, 1, 301, 301], DType::F32));
    let summed = |graph: &Graph| conv.forward(&graph.input("line", [1, 1, 70_001], DType::F32));
    let line = line!() - 2;
    let limit = adapter.self_test()?.iterations();
    for (kernel, iterations, line) in
        [("max_pool` runs 90300 iterations", 90_300, line), ("conv_direct_", 70_000, line + 1)]
    {
        let graph = Graph::new(Mode::Evaluate);
        let y = if iterations == 90_300 { pooled(&graph) } else { summed(&graph) };
        let mut session = Session::new(adapter.open()?, &params)?;
        let compiled = session.compile(&graph, &[&y]);
        if iterations <= limit as usize {
            let _ = compiled?;
            continue;
        }
        let error = expect_error(compiled)?;
        let names_the_kernel = error.starts_with(&format!("a thread of the kernel `{kernel}"))
            && error.contains(&format!("ends loops after {limit}: the result would be wrong"))
            && error.contains(&format!("{}:{line}", file!()));
        ensure(names_the_kernel, || error)?;
    }
    Ok(())
}

fn an_adapter_without_optional_features_trains_to_the_same_bits(adapter: &Adapter) -> Result<(), Failed> {
    let device = adapter.open_without_features()?;
    let mut network = Network::new(device, 1)?;
    let bits = network.bits(12)?;
    ensure(bits == Network::new(adapter.open()?, 1)?.bits(12)?, || "other bits than with all features".into())?;
    let (xs, ys) = Network::data(0)?;
    let error = expect_error(network.session.profile(&network.step, &[(&network.x, &xs), (&network.y, &ys)]))?;
    ensure(error.contains("has no timestamps; profile on another device"), || error.clone())
}

fn two_sessions_on_a_device_do_not_disturb_each_other(adapter: &Adapter) -> Result<(), Failed> {
    let alone = [1, 2].map(|seed| Network::new(adapter.open()?, seed)?.bits(10));
    let [first, second] = alone;
    let device = adapter.open()?;
    let mut networks = [Network::new(device.clone(), 1)?, Network::new(device, 2)?];
    let mut losses = [vec![], vec![]];
    for number in 0..10 {
        for (network, losses) in networks.iter_mut().zip(&mut losses) {
            losses.push(network.run(number)?);
        }
    }
    let [ours, theirs] = losses;
    ensure(networks[0].finish(ours)? == first?, || "the first has other bits than alone".into())?;
    ensure(networks[1].finish(theirs)? == second?, || "the second has other bits than alone".into())
}

fn sessions_in_threads_do_not_disturb_each_other(adapter: &Adapter) -> Result<(), Failed> {
    let alone = (0..4).map(|seed| Network::new(adapter.open()?, seed)?.bits(10)).collect::<Result<Vec<_>>>()?;
    let device = adapter.open()?;
    // Each thread creates and uses its own session. All sessions share the device.
    let together: Vec<Result<Vec<u64>>> = std::thread::scope(|scope| {
        let start = |seed| {
            let device = device.clone();
            scope.spawn(move || Network::new(device, seed)?.bits(10))
        };
        let threads: Vec<_> = (0..4).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    for (seed, (alone, together)) in alone.into_iter().zip(together).enumerate() {
        ensure(alone == together?, || format!("in thread {seed} there are other bits than alone"))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    if let Some(number) = std::env::var(FILL).ok().and_then(|number| number.parse::<usize>().ok()) {
        return match fill(&adapters()[number]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}", error.message().unwrap_or("it failed"));
                ExitCode::FAILURE
            }
        };
    }
    let arguments = Arguments::from_args();
    let checks: [(&str, Check); 10] = [
        (FULL, a_failed_allocation_lists_sizes_and_spares_the_device),
        (
            "a training resumes from its checkpoint after its device is lost",
            a_training_resumes_after_its_device_is_lost,
        ),
        ("every call on a lost device reports the loss", every_call_on_a_lost_device_reports_the_loss),
        ("a plan without room lists its sizes and fixes", a_plan_without_room_lists_its_sizes_and_fixes),
        (
            "a tensor that is too large is refused by name and line",
            a_tensor_that_is_too_large_is_refused_by_name_and_line,
        ),
        ("a loop that is too long is refused by name and line", a_loop_that_is_too_long_is_refused_by_name_and_line),
        ("elements beyond 32 bits are refused", elements_beyond_32_bits_are_refused),
        (
            "an adapter without optional features trains to the same bits",
            an_adapter_without_optional_features_trains_to_the_same_bits,
        ),
        ("two sessions on a device do not disturb each other", two_sessions_on_a_device_do_not_disturb_each_other),
        ("sessions in threads do not disturb each other", sessions_in_threads_do_not_disturb_each_other),
    ];
    let mut trials = vec![];
    for (what, check) in checks {
        for adapter in adapters() {
            let info = adapter.info();
            let name = format!("{} {}: {what}", info.api, info.adapter);
            let skipped = what == FULL && (!info.software || info.api == "gl" || cfg!(not(target_os = "linux")));
            trials.push(Trial::test(name, move || check(adapter)).with_ignored_flag(skipped));
        }
        if adapters().is_empty() {
            trials.push(Trial::test(format!("the GPU: {what}"), || Ok(())).with_ignored_flag(true));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

//! Tests on every device that running many steps in one call computes the same as single steps, and that repeated
//! runs allocate nothing.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use wgrad::gpu::adapters;
use wgrad::gpu::testing::{AdapterHooks, DeviceHooks};
use wgrad::prelude::*;

const STEPS: usize = 7;

/// Training step of a model with dropout, batch norm and Adam, so that it uses random numbers, state and counters.
struct Training {
    params: Params,
    session: Session,
    x: Tensor,
    y: Tensor,
    step: Step,
}

impl Training {
    fn new(device: &Device) -> Result<Self> {
        let params = Params::seeded(3);
        let model = Sequential::new(&params)
            .add(|p| Linear::new(p, 5, 13))
            .add(|p| BatchNorm1d::new(p, 13))
            .add(|p| Dropout::new(p, 0.3))
            .add(|p| Linear::new(p, 13, 1));
        let graph = Graph::new(Mode::Train);
        let (x, y) = (graph.input("x", [9, 5], DType::F32), graph.input("y", [9, 1], DType::F32));
        let logits = model.forward(&x);
        let loss = BceWithLogitsLoss::new().forward(&logits, &y);
        AdamW::new(1e-2).minimize(&loss);
        let bias = graph.variable(&params.get("3.bias")?);
        let mut session = Session::new(device.clone(), &params)?;
        // The fetches are a loss, a matrix, an input, and a variable that the step updates.
        let step = session.compile(&graph, &[&loss, &logits, &x, &bias])?;
        Ok(Self { params, session, x, y, step })
    }

    fn bytes(&mut self) -> Result<Vec<u8>> {
        self.session.sync()?;
        self.params.to_safetensors()
    }
}

fn noise(shape: &[usize], seed: u64) -> Array {
    let mut stream = wgrad::core::Stream::new(seed, 0);
    let values = (0..shape.iter().product()).map(|_| stream.normal() as f32).collect();
    Array::new(shape, values).expect("as many values as elements")
}

/// Returns row `i` of an array.
fn row(array: &Array, i: usize) -> Array {
    let dims = &array.shape().dims()[1..];
    let size: usize = dims.iter().product();
    Array::new(dims, array.to_f32()[i * size..][..size].to_vec()).expect("a row")
}

fn many_steps_equal_single_steps(device: &Device) -> Result<(), Failed> {
    let (xs, ys) = (noise(&[STEPS, 9, 5], 1), Array::full([9, 1], 1f32));
    let mut one = Training::new(device)?;
    let mut singles = vec![];
    for i in 0..STEPS {
        let Training { session, x, y, step, .. } = &mut one;
        singles.push(session.run(step, &[(x, &row(&xs, i)), (y, &ys)])?);
    }
    let mut many = Training::new(device)?;
    let Training { session, x, y, step, .. } = &mut many;
    // The first and the last step run alone, and the others in one call, so single runs before and after
    // `run_many` are tested.
    let mut stacked: Vec<Vec<Array>> = vec![session.run(step, &[(x, &row(&xs, 0)), (y, &ys)])?];
    let between = Array::new([STEPS - 2, 9, 5], xs.to_f32()[45..45 * (STEPS - 1)].to_vec())?;
    let results = session.run_many(step, STEPS - 2, &[(x, &between), (y, &ys)])?;
    for result in &results {
        assert_eq!(result.shape().dims()[0], STEPS - 2);
    }
    stacked.extend((0..STEPS - 2).map(|i| results.iter().map(|result| row(result, i)).collect()));
    session.submit(step, &[(x, &row(&xs, STEPS - 1)), (y, &ys)])?;
    stacked.push(session.fetch(step)?);
    for (i, (single, stacked)) in singles.iter().zip(&stacked).enumerate() {
        let bits = |arrays: &[Array]| arrays.iter().flat_map(Array::to_f32).map(f32::to_bits).collect::<Vec<_>>();
        if bits(single) != bits(stacked) {
            return Err(format!("step {i} alone: {single:?}, among many: {stacked:?}").into());
        }
    }
    if one.bytes()? == many.bytes()? { Ok(()) } else { Err("the variables differ".into()) }
}

/// Checks a kernel with more inputs than the number of buffers that may have dynamic offsets.
fn a_kernel_may_read_many_inputs(device: &Device) -> Result<(), Failed> {
    let graph = Graph::new(Mode::Evaluate);
    let inputs: Vec<_> = (0..6).map(|i| graph.input(format!("x{i}"), [3], DType::F32)).collect();
    let sum = inputs[1..].iter().fold(inputs[0].clone(), |sum, x| sum * 2.0 + x);
    let mut session = Session::new(device.clone(), &Params::seeded(0))?;
    let step = session.compile(&graph, &[&sum])?;
    let rows: Vec<_> = (0..6).map(|i| noise(&[STEPS, 3], i)).collect();
    let feeds: Vec<_> = inputs.iter().zip(&rows).collect();
    let many = session.run_many(&step, STEPS, &feeds)?[0].to_f32();
    for i in 0..STEPS {
        let rows: Vec<_> = rows.iter().map(|rows| row(rows, i)).collect();
        let feeds: Vec<_> = inputs.iter().zip(&rows).collect();
        assert_eq!(session.run(&step, &feeds)?[0].to_f32(), many[3 * i..3 * i + 3], "step {i}");
    }
    Ok(())
}

fn a_later_fetch_returns_the_old_values(device: &Device) -> Result<(), Failed> {
    let mut training = Training::new(device)?;
    let Training { session, x, y, step, .. } = &mut training;
    let (xs, ys) = (noise(&[STEPS, 9, 5], 1), Array::full([9, 1], 1f32));
    let first = session.run_many_later(step, STEPS, &[(x, &xs), (y, &ys)])?;
    let again = session.fetch_later(step)?;
    let second = session.run_many(step, STEPS, &[(x, &xs), (y, &ys)])?;
    let first = first.wait()?;
    assert_eq!(first, again.wait()?);
    assert_ne!(first, second);
    assert_eq!(second, session.fetch(step)?);
    Ok(())
}

fn repeated_runs_allocate_nothing(device: &Device) -> Result<(), Failed> {
    let mut training = Training::new(device)?;
    let Training { session, x, y, step, .. } = &mut training;
    let (xs, ys) = (noise(&[STEPS, 9, 5], 1), Array::full([9, 1], 1f32));
    let mut all = |times: usize| -> Result<()> {
        for _ in 0..times {
            session.run(step, &[(x, &row(&xs, 0)), (y, &ys)])?;
            session.run_many(step, STEPS, &[(x, &xs), (y, &ys)])?;
            session.submit(step, &[(x, &row(&xs, 1)), (y, &ys)])?;
            session.fetch(step)?;
            session.sync()?;
        }
        Ok(())
    };
    all(1)?;
    let before = device.counts();
    all(100)?;
    assert_eq!(device.counts(), before);
    Ok(())
}

fn a_run_without_room_is_refused_before_it_starts(device: &Device) -> Result<(), Failed> {
    let mut training = Training::new(device)?;
    let Training { session, x, y, step, params } = &mut training;
    let (xs, ys) = (noise(&[9, 5], 1), Array::full([9, 1], 1f32));
    let counter = params.at("optim").counter("@step");
    session.run(step, &[(x, &xs), (y, &ys)])?;
    let none = session.run_many(step, 0, &[(x, &xs), (y, &ys)]).unwrap_err().to_string();
    assert_eq!(none, "there are no steps to run");
    let invalid = session.run_many(step, 4, &[(x, &ys), (y, &ys)]).unwrap_err().to_string();
    assert_eq!(invalid, "input `x` is f32[9, 5] (or f32[4, 9, 5], a row for each step), but was fed f32[9, 1]");
    if device.info().kind == "gpu" {
        let graph = Graph::new(Mode::Evaluate);
        let z = graph.input("z", [1 << 18], DType::F32);
        let large = session.compile(&graph, &[&(&z + 1.0)])?;
        let zs = Array::full([1 << 18], 0f32);
        let text = session.submit_many(&large, 1 << 13, &[(&z, &zs)]).unwrap_err().to_string();
        assert!(text.contains("8192 steps need a buffer of 8589934592 bytes, the largest has"), "{text}");
        assert!(text.ends_with("fix: run fewer steps at once"), "{text}");
        assert_eq!(session.run(&large, &[(&z, &zs)])?[0].to_f32(), vec![1.0; 1 << 18]);
    }
    assert_eq!(counter.get(), 1, "what fails moves no counter");
    Ok(())
}

type Check = fn(&Device) -> Result<(), Failed>;

const CHECKS: [(&str, Check); 5] = [
    ("many steps equal single steps", many_steps_equal_single_steps),
    ("a kernel may read many inputs", a_kernel_may_read_many_inputs),
    ("a later fetch returns the old values", a_later_fetch_returns_the_old_values),
    ("repeated runs allocate nothing", repeated_runs_allocate_nothing),
    ("a run without room is refused before it starts", a_run_without_room_is_refused_before_it_starts),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![];
    for (what, check) in CHECKS {
        trials.push(Trial::test(format!("the CPU in f32: {what}"), move || check(&Device::cpu())));
        for adapter in adapters() {
            let info = adapter.info();
            // Allocations are counted for each device, so every check opens a new device.
            let open = move || adapter.open_with(|_| {}).map_err(Failed::from).and_then(|device| check(&device));
            trials.push(Trial::test(format!("{} {}: {what}", info.api, info.adapter), open));
        }
        if adapters().is_empty() {
            trials.push(Trial::test(format!("the GPU: {what}"), || Ok(())).with_ignored_flag(true));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

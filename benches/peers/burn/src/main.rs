//! Training steps on burn, as one line of JSON per workload:
//! `cargo run --release -- [--device wgpu|wgpu-software|flex] [--seconds S] [WORKLOAD…]`.
//!
//! The models, sizes and optimizers are those of `wgrad bench`. The loss stays on the device; a sample is a number of
//! steps ended by a wait for the device. `first_ms` counts from the start of `main`, and so holds autotuning and the
//! compilation of kernels; `second_ms` is the step after it.

mod models;

use std::time::Instant;

use burn::tensor::{Device, DeviceKind};
use serde_json::json;

use models::{Step, WORKLOADS, step};

fn main() {
    let start = Instant::now();
    let (mut name, mut seconds, mut workloads) = ("wgpu".to_string(), 2.0, vec![]);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--device" => name = arguments.next().expect("--device needs a name"),
            "--seconds" => seconds = arguments.next().and_then(|s| s.parse().ok()).expect("--seconds needs a number"),
            workload => workloads.push(workload.to_string()),
        }
    }
    if workloads.is_empty() {
        workloads = WORKLOADS.map(String::from).into();
    }
    for (i, workload) in workloads.iter().enumerate() {
        // What precedes the first workload belongs to its first step; the others start where the one before ended.
        let start = if i == 0 { start } else { Instant::now() };
        let device = match name.as_str() {
            "wgpu" => Device::wgpu(DeviceKind::DefaultDevice),
            "wgpu-software" => Device::wgpu(DeviceKind::Cpu),
            "flex" => Device::flex(),
            _ => panic!("--device is wgpu, wgpu-software or flex, not {name}"),
        };
        let fusion = cfg!(feature = "fusion") && name != "flex";
        measure(workload, &name, fusion, &device, seconds, start);
    }
}

/// Runs `steps` steps and waits for the device; the milliseconds of one.
fn time(device: &Device, step: &mut Step, steps: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..steps {
        step();
    }
    device.sync().expect("the device works");
    start.elapsed().as_secs_f64() * 1e3 / f64::from(u32::try_from(steps).expect("few steps"))
}

fn measure(workload: &str, name: &str, fusion: bool, device: &Device, seconds: f64, start: Instant) {
    const SAMPLES: usize = 30;
    let mut step = step(workload, device);
    time(device, &mut step, 1);
    let first = start.elapsed().as_secs_f64() * 1e3;
    let second = time(device, &mut step, 1);
    let warm_up = Instant::now();
    let mut last = second;
    while warm_up.elapsed().as_secs_f64() < seconds / 4.0 {
        last = time(device, &mut step, 1);
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let steps = ((seconds * 1e3 / last) as usize / SAMPLES).clamp(1, 1000);
    let mut times: Vec<f64> = (0..SAMPLES).map(|_| time(device, &mut step, steps)).collect();
    times.sort_by(f64::total_cmp);
    let at = |tenths: usize| times[(SAMPLES - 1) * tenths / 10];
    let line = json!({
        "peer": "burn",
        "workload": workload,
        "device": if fusion { format!("{name}+fusion") } else { name.into() },
        "adapter": adapter(device),
        "median_ms": at(5),
        "p10_ms": at(1),
        "p90_ms": at(9),
        "steps_per_s": 1e3 / at(5),
        "first_ms": first,
        "second_ms": second,
        "peak_rss_bytes": peak_rss(),
        "gflops": models::gflop(workload) / at(5) * 1e3,
    });
    println!("{line}");
}

fn adapter(device: &Device) -> String {
    device.identity().map_or_else(|| format!("{device:?}"), |identity| format!("{identity:?}"))
}

/// The most memory this process has held, where the system says so.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

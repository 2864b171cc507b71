//! Test that the memory of a long training process does not grow. It is alone in this file, because other tests in
//! the same process would change the numbers.

#![cfg(target_os = "linux")]

use wgrad::gpu::adapters;
use wgrad::prelude::*;

/// Returns the resident memory of this process in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a process has memory");
    line.split_whitespace().nth(1).and_then(|size| size.parse().ok()).expect("a number of kB")
}

/// Trains a tiny model for `steps` steps, with every method that runs steps. Returns the resident memory.
fn grown(device: Device, steps: usize) -> u64 {
    let params = Params::seeded(3);
    let model = Linear::new(&params.at("fc"), 4, 1);
    let graph = Graph::new(Mode::Train);
    let (x, y) = (graph.input("x", [8, 4], DType::F32), graph.input("y", [8, 1], DType::F32));
    let loss = BceWithLogitsLoss::new().forward(&model.forward(&x), &y);
    AdamW::new(1e-2).minimize(&loss);
    let mut session = Session::new(device, &params).expect("names are unique");
    let step = session.compile(&graph, &[&loss]).expect("a fine graph");
    let (xs, ys) = (Array::full([8, 4], 0.5f32), Array::full([8, 1], 1f32));
    let mut train = |steps: usize| {
        for _ in 0..steps / 20 {
            session.run(&step, &[(&x, &xs), (&y, &ys)]).expect("runs");
            (0..9).for_each(|_| session.submit(&step, &[(&x, &xs), (&y, &ys)]).expect("runs"));
            session.run_many(&step, 10, &[(&x, &xs), (&y, &ys)]).expect("runs");
        }
    };
    train(steps / 5);
    let before = resident();
    train(steps);
    resident().saturating_sub(before)
}

#[test]
fn memory_stays_flat() {
    let mut devices = vec![(Device::cpu(), 10_000)];
    devices.extend(adapters().iter().map(|adapter| (adapter.open().expect("the driver opens its adapter"), 2_000)));
    for (device, steps) in devices {
        let (info, grown) = (device.info(), grown(device, steps));
        assert!(grown <= 2 << 10, "{info}: {grown} KiB more after {steps} steps");
    }
}

//! The GPU backend on every adapter at hand, with nothing but the core's arithmetic.

use wgrad_core::{Array, CpuBackend, DType, Graph, Init, Kind, Mode, Params, Session, gradients};
use wgrad_kernels::gpu::{Device, adapters};

#[test]
fn arithmetic_views_sums_and_updates_agree_with_the_reference() {
    let mut tested = 0;
    for adapter in adapters() {
        let device = adapter.open().unwrap();
        for (rows, columns) in [(2, 3), (64, 30), (257, 129), (1, 1), (70_000, 3)] {
            let run = |mut session: Session, params: &Params| {
                let w = params.variable("w", [columns], Kind::Parameter, Init::Uniform(-1.0, 1.0));
                let graph = Graph::new(Mode::Train);
                let x = graph.input("x", [rows, columns], DType::F32);
                let tw = graph.variable(&w);
                let y = (&x * &tw + 0.5) / 3.0 - &x;
                let loss = (&y * &y).sum_keep(&[0, 1]).reshape_to([]) * (1.0 / rows as f64);
                let dw = gradients(&loss, &[tw.clone()])[0].clone().unwrap();
                graph.update(&w, &(&tw - &dw * 0.1));
                let step = session.compile(&graph, &[&loss, &y, &dw]).unwrap();
                let xs: Vec<f32> = (0..rows * columns).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
                let xs = Array::new([rows, columns], xs).unwrap();
                let mut out = vec![];
                for _ in 0..3 {
                    out.extend(session.run(&step, &[(&x, &xs)]).unwrap());
                }
                session.sync().unwrap();
                out.push((*w.value().unwrap()).clone());
                out
            };
            let params = [Params::seeded(3), Params::seeded(3)];
            let truth = run(Session::new(CpuBackend::<f64>::new(), &params[0]).unwrap(), &params[0]);
            let got = run(Session::new(device.clone(), &params[1]).unwrap(), &params[1]);
            for (i, (truth, got)) in truth.iter().zip(&got).enumerate() {
                let scale = truth.to_f64().iter().fold(1e-3f64, |m, x| m.max(x.abs()));
                for (t, g) in truth.to_f64().iter().zip(got.to_f64()) {
                    assert!((t - g).abs() <= 2e-6 * scale, "{device:?} {rows}x{columns} output {i}: {t} {g}");
                }
            }
        }
        println!("passed on {device:?}");
        tested += 1;
    }
    println!("{tested} adapters");
}

#[test]
fn unknown_devices_are_refused_by_name() {
    let error = Device::named("no such card").unwrap_err().to_string();
    assert!(error.starts_with("no device matches `no such card`; there "), "{error}");
    assert!(Device::named("  ").unwrap_err().to_string().starts_with("the device's name is empty"));
    assert_eq!(Device::named("cpu-f64").unwrap().info().kind, "cpu-f64");
}

//! Tests of the core crate alone: arithmetic graphs are planned, run and differentiated on the CPU backend.

use wgrad_core::{Array, CpuBackend, DType, Graph, Init, Kind, Mode, Params, Session, gradients, vjp};

fn session() -> (Params, Session) {
    let params = Params::seeded(1);
    let session = Session::new(CpuBackend::<f64>::new(), &params).unwrap();
    (params, session)
}

#[test]
fn gradients_flow_through_fan_out_broadcasting_and_detach() {
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [2, 3], DType::F32);
    let b = graph.input("b", [3], DType::F32);
    let y = &x * &b + &x * &x + x.detach() * &x;
    let loss = y.sum_keepdim([0, 1]).reshape([]);
    let grads = gradients(&loss, &[x.clone(), b.clone()]);
    let (dx, db) = (grads[0].clone().unwrap(), grads[1].clone().unwrap());
    let (_, mut session) = session();
    let step = session.compile(&graph, &[&loss, &dx, &db]).unwrap();
    let xs = Array::new([2, 3], vec![1.0f64, 2., 3., 4., 5., 6.]).unwrap();
    let bs = Array::vector(vec![10.0f64, 20., 30.]);
    let out = session.run(&step, &[(&x, &xs), (&b, &bs)]).unwrap();
    // The value of `y` is x·b + 2·x². The gradient treats the detached `x` as a constant: it is b + 2·x + x with
    // respect to `x`, and the sum of `x` over the rows with respect to `b`.
    assert_eq!(out[0].to_f64(), [10. + 40. + 90. + 40. + 100. + 180. + 2. * 91.]);
    assert_eq!(out[1].to_f64(), [13., 26., 39., 22., 35., 48.]);
    assert_eq!(out[2].to_f64(), [5., 7., 9.]);
    println!("{step}");
}

#[test]
fn updates_run_in_place_after_every_reader_of_the_old_value() {
    let (params, mut session) = session();
    let a = params.variable("a", [4], Kind::Parameter, Init::Constant(1.0));
    let b = params.variable("b", [4], Kind::Parameter, Init::Constant(2.0));
    let graph = Graph::new(Mode::Train);
    let (ta, tb) = (graph.variable(&a), graph.variable(&b));
    // `a` is set to `b`, and `b` to three times `a`. Both updates must read the old values.
    graph.update(&a, &(&tb + 0.0));
    graph.update(&b, &(&ta * 3.0));
    let sum = &ta + &tb;
    let step = session.compile(&graph, &[&sum]).unwrap();
    println!("{step}");
    assert_eq!(session.run(&step, &[]).unwrap()[0].to_f64(), [3.0; 4]);
    assert!(a.value().unwrap_err().to_string().contains("session.sync()"));
    session.sync().unwrap();
    assert_eq!(a.value().unwrap().to_f64(), [2.0; 4]);
    assert_eq!(b.value().unwrap().to_f64(), [3.0; 4]);
    assert_eq!(session.run(&step, &[]).unwrap()[0].to_f64(), [5.0; 4]);
}

#[test]
fn one_chain_is_one_cluster_and_equal_nodes_are_one() {
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [8], DType::F32);
    let y = (&x + 1.0) * (&x + 1.0) / 2.0 - &x;
    let dead = &x * 5.0;
    let (_, mut session) = session();
    let step = session.compile(&graph, &[&y]).unwrap();
    assert_eq!(step.plan().tasks.len(), 1, "{step}");
    assert_eq!(step.plan().tasks[0].name(), "add·mul·div·sub");
    let _ = dead;
}

#[test]
fn views_fold_into_their_readers_and_fetched_views_are_copied() {
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [2, 1], DType::F32);
    let y = x.expand([2, 3]);
    let z = &y + &y.reshape([6]).reshape([2, 3]);
    let (_, mut session) = session();
    let step = session.compile(&graph, &[&y, &z]).unwrap();
    let out = session.run(&step, &[(&x, &Array::new([2, 1], vec![1.0f32, 2.0]).unwrap())]).unwrap();
    assert_eq!(out[0].to_f64(), [1., 1., 1., 2., 2., 2.]);
    assert_eq!(out[1].to_f64(), [2., 2., 2., 4., 4., 4.]);
}

#[test]
fn a_cotangent_weights_the_gradient() {
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [2], DType::F32);
    let c = graph.input("c", [2], DType::F32);
    let y = 1.0 / &x;
    let dx = vjp(&[(&y, &c)], std::slice::from_ref(&x))[0].clone().unwrap();
    let (_, mut session) = session();
    let step = session.compile(&graph, &[&dx]).unwrap();
    let feeds = [Array::vector(vec![2.0f64, 4.0]), Array::vector(vec![1.0f64, 16.0])];
    let out = session.run(&step, &[(&x, &feeds[0]), (&c, &feeds[1])]).unwrap();
    assert_eq!(out[0].to_f64(), [-0.25, -1.0]);
}

#[test]
fn scheduled_numbers_and_counters_follow_the_runs() {
    let (params, mut session) = session();
    let counter = params.counter("step");
    let graph = Graph::new(Mode::Train);
    let t = graph.scheduled("t", DType::F32, {
        let counter = counter.clone();
        move || f64::from(u32::try_from(counter.get()).unwrap()) + 1.0
    });
    graph.advance(&counter);
    let y = &t * 2.0;
    let step = session.compile(&graph, &[&y, &t]).unwrap();
    assert_eq!(session.run(&step, &[]).unwrap()[0].to_f64(), [2.0]);
    assert_eq!(session.run(&step, &[]).unwrap()[1].to_f64(), [2.0]);
    assert_eq!(counter.get(), 2);
}

#[test]
fn the_first_error_is_reported_with_line_and_scope() {
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [64, 2], DType::F32);
    let y = graph.input("y", [64], DType::F32);
    let scope = graph.scope("head");
    let line = line!() + 1;
    let bad = &x + &y;
    drop(scope);
    let worse = &bad * &bad;
    let (_, mut session) = session();
    let error = session.compile(&graph, &[&worse]).unwrap_err().to_string();
    assert!(error.starts_with("add(f32[64, 2], f32[64]): shapes [64, 2] and [64] do not broadcast\n  at "), "{error}");
    assert!(error.contains(&format!("plan_and_run.rs:{line} (in head)")), "{error}");
    assert!(error.contains("\n  fix: "), "{error}");
}

#[test]
fn feeds_are_checked() {
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [2], DType::F32);
    let y = &x + 1.0;
    let (_, mut session) = session();
    let step = session.compile(&graph, &[&y]).unwrap();
    let say = |result: wgrad_core::Result<Vec<Array>>| result.unwrap_err().to_string();
    assert_eq!(say(session.run(&step, &[])), "input `x` (f32[2]) was not fed");
    let wrong = Array::vector(vec![1u32, 2]);
    assert_eq!(say(session.run(&step, &[(&x, &wrong)])), "input `x` is f32[2], but was fed u32[2]");
    let long = Array::vector(vec![1f32; 3]);
    assert_eq!(say(session.run(&step, &[(&x, &long)])), "input `x` is f32[2], but was fed f32[3]");
}

#[test]
fn declaring_a_name_twice_is_an_error_with_a_fix() {
    let params = Params::seeded(1);
    let _ = params.at("fc").variable("weight", [2], Kind::Parameter, Init::Constant(0.0));
    let _ = params.at("fc").variable("weight", [2], Kind::Parameter, Init::Constant(0.0));
    let error = Session::new(CpuBackend::<f32>::new(), &params).unwrap_err().to_string();
    assert!(error.starts_with("`fc.weight` is declared twice\n  at "), "{error}");
    assert!(error.contains("fix: "), "{error}");
}

#[test]
fn clusters_that_another_cluster_ties_together_stay_apart() {
    // The loss is a product of two variances, which are computed over different axes.
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [2, 3, 4], DType::F32);
    let variance = |axes: &[isize], n: f64| {
        let difference = &x - x.sum_keepdim(axes) * (1.0 / n);
        (&difference * &difference).sum_keepdim(axes) * (1.0 / n)
    };
    let loss = (variance(&[0, 2], 8.0) * variance(&[1], 3.0)).sum_keepdim([0, 1, 2]);
    let gradient = gradients(&loss, std::slice::from_ref(&x)).remove(0).unwrap();
    let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0)).unwrap();
    let step = session.compile(&graph, &[&loss, &gradient]).unwrap();
    let x0 = Array::new([2, 3, 4], (0..24).map(|i| f64::from(i * i % 7)).collect()).unwrap();
    let results = session.run(&step, &[(&x, &x0)]).unwrap();
    assert!(results[0].item().unwrap() > 0.0);
    assert!(results[1].to_f64().iter().sum::<f64>().abs() < 1e-9, "a variance does not see a shift");
}

#[test]
fn a_dropped_step_gives_its_buffers_back() {
    let (_, mut session) = session();
    let compile = |session: &mut Session| {
        let graph = Graph::new(Mode::Evaluate);
        let x = graph.input("x", [64], DType::F32);
        let y = (&x * 2.0).sum_keepdim([0]);
        (session.compile(&graph, &[&y]).unwrap(), x)
    };
    let (kept, x) = compile(&mut session);
    for _ in 0..100 {
        let _ = compile(&mut session);
    }
    // After one hundred dropped steps, there are buffers only for the two steps that existed at the same time.
    assert!(format!("{session:?}").contains("2 steps"), "{session:?}");
    let ones = Array::full([64], 1.0f64);
    assert_eq!(session.run(&kept, &[(&x, &ones)]).unwrap()[0].to_f64(), [128.0]);
}

wgrad_core::pointwise! {
    /// Scaled index of each element, which is wrong if a view or a cluster (a fused group of pointwise ops) reads
    /// the wrong elements.
    PLACE = place(i: uint)[scale] -> float {
        wgsl: "scale * f32(i % 1000u)",
        reference<F>: F::lit(f64::from(i % 1000)) * scale,
        backward: none,
    }
}

/// Runs a cluster on thread pools of several sizes. The cluster consists of many blocks and reads every kind of
/// view, a number, the index, and a variable that it also updates.
#[test]
fn large_clusters_give_the_same_bits_on_any_number_of_threads() {
    let (rows, columns) = (701, 999);
    let value = |i: usize| f64::from(u32::try_from(i * 37 % 1009).unwrap()) / 256.0 - 2.0;
    let array = |dims: &[usize]| Array::new(dims, (0..dims.iter().product()).map(value).collect()).unwrap();
    let run = |threads: usize| {
        let params = Params::seeded(1);
        let state = params.variable("state", [rows, columns], Kind::Parameter, Init::Constant(0.5));
        let graph = Graph::new(Mode::Train);
        let x = graph.input("x", [rows, columns], DType::F32);
        let row = graph.input("row", [columns], DType::F32);
        let column = graph.input("column", [rows, 1], DType::F32);
        let rate = graph.scheduled("rate", DType::F32, || 0.25);
        let old = graph.variable(&state);
        let place = graph.pointwise(&PLACE, &[&graph.iota([rows, columns])], &[0.125]);
        // The variable's old value is read before and after its new value is computed.
        let new = &old * &rate + &x * &row;
        let y = (&new - &old) / (&column * &column + 3.0) + &place;
        graph.update(&state, &new);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let feeds = [array(&[rows, columns]), array(&[columns]), array(&[rows, 1])];
        pool.install(|| {
            let mut session = Session::new(CpuBackend::<f64>::new(), &params).unwrap();
            let step = session.compile(&graph, &[&y, &place]).unwrap();
            let feeds = [(&x, &feeds[0]), (&row, &feeds[1]), (&column, &feeds[2])];
            let mut results = session.run(&step, &feeds).unwrap();
            results.extend(session.run(&step, &feeds).unwrap());
            session.sync().unwrap();
            results.push((*state.value().unwrap()).clone());
            results
        })
    };
    let one = run(1);
    let mut state = vec![0.5; rows * columns];
    for step in 0..2 {
        let got = one[2 * step].to_f64();
        for i in 0..rows * columns {
            let (x, row, column) = (value(i), value(i % columns), value(i / columns));
            let new = state[i] * 0.25 + x * row;
            let place = f64::from(u32::try_from(i % 1000).unwrap()) * 0.125;
            let y = (new - state[i]) / (column * column + 3.0) + place;
            assert!((got[i] - y).abs() <= 1e-12, "run {step}: y[{i}] is {}, not {y}", got[i]);
            state[i] = new;
        }
    }
    let kept = one[4].to_f64();
    assert!(kept.iter().zip(&state).all(|(a, b)| (a - b).abs() <= 1e-6), "the variable holds its new value");
    for threads in [2, 3, 5] {
        assert!(run(threads) == one, "{threads} threads");
    }
}

#[test]
fn a_graph_that_is_read_stays_usable() {
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [2, 3], DType::F32);
    let y = &x * graph.scheduled("rate", DType::F32, || 0.5);
    let (nodes, updates, schedule) = (graph.nodes(), graph.updates(), graph.schedule());
    // The lists `nodes`, `updates` and `schedule` are still held while tensors are read and an op is added.
    assert_eq!(y.shape(), nodes[y.id().node].outputs[0].shape);
    assert_eq!(y.node().name(), "mul");
    let z = &y + 1.0;
    assert!(z.is_valid() && graph.nodes().len() > nodes.len());
    assert_eq!((updates.len(), schedule[0].name.as_str()), (0, "rate"));
}

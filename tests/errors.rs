//! Tests of the error messages that a program can get while it traces, compiles and runs a step. A message
//! contains the problem, the line of the *user's* program (`HERE` below), the scope, and the fix.

#[path = "errors/layers.rs"]
mod layers;
#[path = "errors/lints.rs"]
mod lints;
#[path = "errors/losses.rs"]
mod losses;
#[path = "errors/options.rs"]
mod options;
#[path = "errors/tensors.rs"]
mod tensors;
#[path = "errors/windows.rs"]
mod windows;

use std::panic::Location;

use wgrad::core::CpuBackend;
use wgrad::prelude::*;
use wgrad::train::Silent;

fn float(graph: &Graph, name: &str, shape: impl Into<Shape>) -> Tensor {
    graph.input(name, shape, DType::F32)
}

fn labels(graph: &Graph, shape: impl Into<Shape>) -> Tensor {
    graph.input("labels", shape, DType::U32)
}

fn train() -> Graph {
    Graph::new(Mode::Train)
}

fn session(params: &Params) -> Session {
    Session::new(CpuBackend::<f32>::new(), params).expect("no name is declared twice")
}

/// Compiles the graph of a tensor, which must fail, and returns the error message.
fn compile_error(params: &Params, fetch: &Tensor) -> String {
    let compiled = Session::new(CpuBackend::<f32>::new(), params).and_then(|mut s| s.compile(fetch.graph(), &[fetch]));
    compiled.expect_err("the graph does not compile").to_string()
}

/// Compares a message with `expected`, where `HERE` is replaced with the caller's file and `line`.
#[track_caller]
fn assert_says(message: &str, line: u32, expected: &str) {
    let expected = expected.trim_start_matches('\n').replace("HERE", &format!("{}:{line}", Location::caller().file()));
    assert!(message == expected, "the message is now\n{message}\n");
}

/// Compares a message with `expected`, which contains the first line and the fixes, separated by slashes.
#[track_caller]
fn assert_brief(message: &str, expected: &str) {
    let lines: Vec<_> = message.lines().collect();
    let fixes = lines.iter().skip(2).filter(|line| !line.ends_with("fixes:"));
    let fixes = fixes.map(|line| line.trim_start_matches(|c: char| c == ' ' || c == '.' || c.is_ascii_digit()));
    let parts: Vec<_> = std::iter::once(lines[0]).chain(fixes.map(|fix| fix.trim_start_matches("fix: "))).collect();
    assert!(parts.join(" / ") == expected, "the message is now\n{message}\n");
}

#[test]
fn one_label_per_row_against_two_logits_lists_the_three_fixes() {
    let params = Params::seeded(0);
    let model = Linear::new(&params.at("head"), 30, 2);
    let graph = train();
    let _scope = graph.scope("criterion");
    let (logits, targets) = (model.forward(&float(&graph, "x", [64, 30])), float(&graph, "y", [64]));
    let here = line!() + 1;
    let loss = BceWithLogitsLoss::new().forward(&logits, &targets);
    AdamW::new(1e-3).minimize(&loss);
    assert_says(
        &compile_error(&params, &loss),
        here,
        "
bce_with_logits(f32[64, 2], f32[64]): targets [64] must have the shape of the logits [64, 2]
  at HERE (in criterion)
  fixes:
    1. for 2 exclusive classes use the cross-entropy loss (CrossEntropyLoss, softmax_cross_entropy) with u32 targets [64]
    2. for two classes make the model's last layer give one logit: [64, 1], targets alike
    3. for 2 independent labels give f32 targets [64, 2], one 0 or 1 per label",
    );
    // The first of the suggested fixes resolves the error.
    let graph = train();
    let logits = model.forward(&float(&graph, "x", [64, 30]));
    let loss = CrossEntropyLoss::new().forward(&logits, &labels(&graph, [64]));
    AdamW::new(1e-3).minimize(&loss);
    let _ = session(&params).compile(&graph, &[&loss]).expect("the fix compiles");
}

#[test]
fn layers_in_a_sequence_are_named_by_their_scope() {
    let params = Params::seeded(0);
    let net =
        Sequential::new(&params.at("net")).add(|p| Linear::new(p, 30, 64)).add(|_| Relu).add(|p| Linear::new(p, 32, 1));
    let expected = "
linear(f32[8, 64], f32[1, 32], f32[1]): shapes cannot be multiplied ([8, 64] and [32, 1])
  at HERE (in net.2)
  fixes:
    1. set the layer's in_features to 64: Linear::new(…, 64, 1)
    2. or give it inputs whose last axis is 32";
    let graph = train();
    let x = float(&graph, "x", [8, 30]);
    let here = line!() + 1;
    let y = net.forward(&x);
    assert_says(&compile_error(&params, &y), here, expected);
    // The same error in a sequence inside another sequence.
    let outer = Sequential::new(&params).add(|_| net).add(|_| Relu);
    let x = float(&train(), "x", [8, 30]);
    let here = line!() + 1;
    let y = outer.forward(&x);
    assert_says(&compile_error(&params, &y), here, expected);
    // The inner layer is called in the closure, so the error names the closure's line.
    let inner = Linear::new(&params.at("inner"), 3, 3);
    let here = line!() + 1;
    let outer = Sequential::new(&params).add(|_| move |x: &Tensor| inner.forward(x)).add(|_| Relu);
    let message = compile_error(&params, &outer.forward(&float(&train(), "x", [8, 30])));
    assert!(message.contains(&format!("at {}:{here} (in inner)", file!())), "{message}");
}

#[test]
fn a_custom_model_is_named_by_the_line_of_its_layer() {
    struct Model(Linear, BatchNorm1d);
    impl Module for Model {
        fn forward(&self, x: &Tensor) -> Tensor {
            HERE.set(line!() + 1);
            let hidden = self.0.forward(x);
            self.1.forward(&hidden)
        }
    }
    thread_local!(static HERE: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
    let params = Params::seeded(0);
    let model = Model(Linear::new(&params.at("fc"), 30, 8), BatchNorm1d::new(&params.at("bn"), 8));
    let y = model.forward(&float(&train(), "x", [64, 29]));
    assert_says(
        &compile_error(&params, &y),
        HERE.get(),
        "
linear(f32[64, 29], f32[8, 30], f32[8]): shapes cannot be multiplied ([64, 29] and [30, 8])
  at HERE (in fc)
  fixes:
    1. set the layer's in_features to 29: Linear::new(…, 29, 8)
    2. or give it inputs whose last axis is 30",
    );
    let y = model.forward(&float(&train(), "x", [1, 30]));
    assert_says(
        &compile_error(&params, &y),
        HERE.get() + 1,
        "
batch_norm(f32[1, 8], f32[8], f32[8]): expected more than 1 value per channel when training, got [1, 8]
  at HERE (in bn)
  fixes:
    1. drop the last, smaller batch (drop_last), or choose a batch size that leaves no single row
    2. evaluate the model in Mode::Evaluate, which uses the running statistics",
    );
}

#[test]
fn layers_say_what_they_take() {
    let params = Params::seeded(0);
    let norm = BatchNorm1d::new(&params.at("bn"), 8);
    let graph = train();
    let y = norm.forward(&norm.forward(&float(&graph, "x", [4, 8])));
    assert!(y.is_valid() && graph.check().is_ok(), "a norm may be called twice");
    let says = |shape: &[usize], expected: &str| {
        assert_brief(&compile_error(&params, &norm.forward(&float(&train(), "x", shape))), expected);
    };
    says(
        &[8],
        "batch_norm(f32[8]): expected [N, 8] or [N, 8, L], not [8] / the first axis is the batch, the second the \
         channels; reshape, or flatten with `Flatten`",
    );
    says(
        &[4, 7],
        "batch_norm(f32[4, 7]): axis 1 of [4, 7] has 7 channels, the layer has 8 / make the layer with 7 channels, or \
         the layer before it with 8 outputs",
    );
    let y = Dropout::new(&params.at("drop"), 1.5).forward(&float(&train(), "x", [2]));
    assert_brief(&compile_error(&params, &y), "dropout(f32[2], u32[]): the probability 1.5 is not between 0 and 1");
}

#[test]
fn ops_say_which_types_and_shapes_fit() {
    let params = Params::seeded(0);
    let says =
        |build: fn(&Graph) -> Tensor, expected: &str| assert_brief(&compile_error(&params, &build(&train())), expected);
    says(|g| labels(g, [3]).relu(), "relu(u32[3]): argument `x` must be f32, not u32 / cast with `.to_f32()`");
    says(
        |g| float(g, "x", [3]).where_cond(float(g, "a", [3]), float(g, "b", [3])),
        "select(f32[3], f32[3], f32[3]): argument `mask` must be u32, not f32 / masks and labels are u32: compare \
         (`x.gt(&y)`) or cast with `.to_u32()`",
    );
    says(
        |g| float(g, "x", [64]) * float(g, "y", [64, 2]),
        "mul(f32[64], f32[64, 2]): shapes [64] and [64, 2] do not broadcast / sizes are aligned from the last axis and \
         must be equal or 1; reshape or unsqueeze one side",
    );
    says(
        |g| float(g, "x", [3, 4]).matmul(&float(g, "y", [5, 6])),
        "matmul(f32[3, 4], f32[5, 6]): shapes cannot be multiplied ([3, 4] and [5, 6]) / the inner sizes 4 and 5 must \
         be equal; for a Linear layer, in_features is 4",
    );
    says(|g| float(g, "x", [3, 4]).reshape([5]), "reshape(f32[3, 4]): [3, 4] has 12 elements, [5] holds 5");
    says(
        |g| g.input("x", [3], DType::F64),
        "input(f64[3]): a graph has no f64 tensors; the precision is the device's / declare DType::F32 and run on \
         Device::cpu_f64()",
    );
    says(
        |g| float(g, "x", [3]) * f64::NAN,
        "constant(): the number is NaN / a NaN on the host comes from 0/0, ∞ − ∞ or the root or logarithm of a \
         negative number",
    );
    says(
        |g| float(g, "x", [3]) + float(&train(), "y", [3]),
        "add(f32[3]): an input belongs to another graph / trace the whole step in one graph",
    );
    let stranger = float(&train(), "z", [3]);
    let error = session(&params).compile(&train(), &[&stranger]).unwrap_err().to_string();
    assert_eq!(error, "Tensor(z f32[3]) cannot be fetched: it belongs to another graph");
}

#[test]
fn variables_are_declared_and_updated_once_in_training() {
    let params = Params::seeded(0);
    let v = params.variable("v", [3], Kind::Buffer, Init::Constant(0.0));
    let says = |mode: Mode, update: fn(&Graph, &Variable, &Tensor), expected: &str| {
        let graph = Graph::new(mode);
        let value = graph.variable(&v);
        update(&graph, &v, &value);
        assert_brief(&compile_error(&params, &value), expected);
    };
    says(
        Mode::Evaluate,
        |graph, v, value| graph.update(v, &(value + 1.0)),
        "update(f32[3]): an evaluation graph cannot update `v` / trace the graph with Mode::Train",
    );
    says(
        Mode::Train,
        |graph, v, value| graph.update(v, &value.sum_all()),
        "update(f32[]): `v` is f32[3], its new value f32[]",
    );
    says(
        Mode::Train,
        |graph, v, value| (0..2).for_each(|_| graph.update(v, value)),
        "update(f32[3]): `v` is updated twice / update each variable once per graph / or compute the second value from \
         the first: `graph.latest(&variable)`",
    );
    let other = Params::seeded(0);
    let same = other.variable("v", [3], Kind::State, Init::Constant(0.0));
    let graph = train();
    let sum = graph.variable(&v) + graph.variable(&same);
    assert_brief(
        &compile_error(&params, &sum),
        "variable(f32[3]): `v` belongs to another Params / trace one graph per Params",
    );
    // The tensor has two axes where the LSTM expects three, which must not cause a panic.
    let dense = Linear::new(&params.at("dense"), 5, 5);
    let lstm = Lstm::new(&other.at("lstm"), 5, 4);
    let (y, _) = lstm.forward(&dense.forward(&float(&train(), "x", [3, 2, 5])), None);
    assert!(compile_error(&params, &y).contains("belongs to another Params"));
    let message = compile_error(&params, &train().variable(&same));
    assert_eq!(message, "`v` belongs to other Params than those of this session");
    let _first = Linear::new(&params.at("fc"), 3, 3);
    let here = line!() + 1;
    let _second = Linear::new(&params.at("fc"), 3, 3);
    assert_says(
        &params.check().unwrap_err().to_string(),
        here,
        "
`fc.weight` is declared twice
  at HERE
  fix: give each layer a scope of its own (`params.at(\"fc2\")`), or use one layer twice to share it",
    );
}

#[test]
fn feeds_are_checked_before_anything_runs() {
    let params = Params::seeded(0);
    let graph = train();
    let (x, y) = (float(&graph, "x", [2, 3]), labels(&graph, [4]));
    let twice = &x * 2.0;
    let sum = twice.sum_all() + y.to_f32().sum_all();
    let mut own = session(&params);
    let step = own.compile(&graph, &[&sum]).expect("a fine graph");
    let (good, classes) = (Array::full([2, 3], 1f32), Array::full([4], 1u32));
    let mut says = |feeds: &[(&Tensor, &Array)], expected: &str| {
        assert_eq!(own.run(&step, feeds).unwrap_err().to_string(), expected);
    };
    says(&[(&x, &good)], "input `labels` (u32[4]) was not fed");
    says(&[(&x, &good), (&x, &good), (&y, &classes)], "input `x` was fed twice");
    let (turned, floats) = (Array::full([3, 2], 1f32), Array::full([4], 1f32));
    says(&[(&x, &turned), (&y, &classes)], "input `x` is f32[2, 3], but was fed f32[3, 2]");
    says(&[(&x, &good), (&y, &floats)], "input `labels` is u32[4], but was fed f32[4]");
    says(&[(&twice, &good)], "Tensor(mul f32[2, 3]) is not an input of this step");
    let stranger = float(&train(), "x", [2, 3]);
    says(&[(&stranger, &good)], "Tensor(x f32[2, 3]) belongs to another graph than this step");
    let feeds = [(&x, &good), (&y, &classes)];
    let error = session(&params).run(&step, &feeds).unwrap_err().to_string();
    assert_eq!(error, "the step was compiled by another session");
    let result = own.run(&step, &feeds).expect("a refused run changes nothing");
    assert_eq!(result[0].to_f64(), [16.0]);
}

#[test]
fn variables_say_when_they_cannot_be_read_or_set() {
    let params = Params::seeded(0);
    let message = |result: Result<Variable>| result.unwrap_err().to_string();
    assert_eq!(message(params.get("w")), "there is no variable `w`; none is declared");
    let v = params.variable("v", [3], Kind::Buffer, Init::Constant(0.0));
    assert_eq!(message(params.get("w")), "there is no variable `w`; there are: v");
    let error = v.set(Array::full([4], 0f32)).unwrap_err().to_string();
    assert_eq!(error, "`v` is f32[3], the new value is f32[4]");
    let graph = train();
    graph.update(&v, &(graph.variable(&v) + 1.0));
    let mut session = session(&params);
    let step = session.compile(&graph, &[]).expect("a fine graph");
    session.submit(&step, &[]).expect("nothing to feed");
    let ahead = "a device holds a newer value of `v`; call `session.sync()` before reading or saving it";
    assert_eq!(v.value().unwrap_err().to_string(), ahead);
    assert_eq!(params.to_safetensors().unwrap_err().to_string(), ahead);
    session.sync().expect("the CPU is there");
    assert_eq!(v.value().expect("synchronised").to_f32(), [1.0; 3]);
}

#[test]
fn devices_and_trainers_say_what_is_missing() {
    let error = Device::named("voodoo").unwrap_err().to_string();
    assert!(error.starts_with("no device matches `voodoo`; there "), "{error}");
    let data = Dataset::new(["a"], vec![0.0, 1.0], vec![0, 1], ["no", "yes"]).expect("two rows");
    let params = Params::seeded(0);
    let mut trainer = Trainer::new(Device::cpu(), &params).progress(Silent);
    let error = trainer.fit(&data, 1, |x, _| x.sum_all()).unwrap_err().to_string();
    assert_eq!(error, "there is no optimizer\n  fix: Trainer::new(…).optimizer(AdamW::new(1e-3))");
    // Errors in ops that the trainer traces itself name the line that calls `fit`.
    let mut trainer = trainer.optimizer(Sgd::new(-0.1));
    let here = line!() + 1;
    let error = trainer.fit(&data, 1, |x, _| x.sum_all()).unwrap_err().to_string();
    assert_says(
        &error,
        here,
        "
Sgd(f32[]): the learning rate must be a number that is not negative, not -0.1
  at HERE",
    );
}

//! Tests that train each model for twenty steps from PyTorch's initial values. In `f64`, each loss equals
//! PyTorch's to 1e-9. In `f32`, each loss on every device differs from the loss in `f64` by no more than rounding
//! explains (`tests/common/curve.rs`).
//!
//! `tests/golden/trajectories.py` generates the fixtures. To add a model, add a function in that file and an entry
//! in `MODELS`.

#[path = "common/curve.rs"]
mod curve;
#[path = "../examples/models"]
#[allow(dead_code, reason = "what the examples alone use")]
mod models {
    pub mod char_transformer;
    pub mod digits_cnn;
    pub mod grader;
    pub mod one_logit;
    pub mod text_cnn;
    pub mod two_heads;
}

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use curve::Truth;
use libtest_mimic::{Arguments, Failed, Trial};
use models::char_transformer::{CharTransformer, Sizes};
use safetensors::{Dtype, SafeTensors};
use wgrad::gpu::adapters;
use wgrad::nn::Load;
use wgrad::nn::layers::Coral;
use wgrad::nn::losses::CoralLoss;
use wgrad::nn::losses::Loss as _;
use wgrad::nn::models::{ResNet, ResNetOptions, Stem};
use wgrad::prelude::*;

/// Input tensors of a step, by name.
type Inputs<'a> = HashMap<&'a str, Tensor>;
/// Function that computes the loss from the inputs of a step.
type Loss = Box<dyn Fn(&Inputs<'_>) -> Tensor>;

struct Model {
    /// Name of the model's fixture file.
    name: &'static str,
    /// Creates the model and returns its loss function.
    build: fn(&Params) -> Loss,
    optimizer: fn() -> Box<dyn Optimizer>,
    /// Freezes the parameters that the model does not train.
    freeze: fn(&Params),
}

const MODELS: [Model; 8] = [
    Model {
        name: "digits_cnn",
        build: |p| {
            let model = models::digits_cnn::digits_cnn(p, [4, 4, 8], 10, 0.0);
            Box::new(move |fed| CrossEntropyLoss::new().forward(&model.forward(&fed["x"]), &fed["y"]))
        },
        optimizer: || Box::new(AdamW::new(1e-2)),
        freeze: |_| {},
    },
    Model {
        name: "resnet",
        build: |p| {
            let model = narrow_resnet(p);
            Box::new(move |fed| BceWithLogitsLoss::new().forward(&model.forward(&fed["x"]), &fed["y"]))
        },
        optimizer: || Box::new(Sgd::new(0.003).momentum(0.9).weight_decay(1e-4)),
        freeze: |_| {},
    },
    Model {
        name: "resnet_frozen",
        build: |p| {
            let model = narrow_resnet(p);
            let loss = BceWithLogitsLoss::new().pos_weight(9.0);
            Box::new(move |fed| loss.forward(&model.forward(&fed["x"]), &fed["y"]))
        },
        optimizer: || Box::new(Adam::new(0.01)),
        freeze: |p| {
            p.set_trainable(false);
            p.at("fc").set_trainable(true);
        },
    },
    Model {
        name: "multi_label",
        build: |p| {
            let model = models::two_heads::TwoHeads::new(p, 64);
            Box::new(move |fed| model.loss(&fed["x"], &fed["y"]))
        },
        optimizer: || Box::new(AdamW::new(3e-3)),
        freeze: |_| {},
    },
    Model {
        name: "ordinal",
        build: |p| {
            let model = models::grader::Grader::new(p, 64, |p, inputs| Coral::new(p, inputs, 10));
            Box::new(move |fed| CoralLoss::new().forward(&model.forward(&fed["x"]), &fed["y"]))
        },
        optimizer: || Box::new(AdamW::new(5e-3).weight_decay(0.01)),
        freeze: |_| {},
    },
    Model {
        name: "one_logit_or_two",
        build: |p| {
            let model = models::one_logit::OneLogit::new(p, 64);
            let (one, two) = (BceWithLogitsLoss::new().pos_weight(3.0), CrossEntropyLoss::new().weight(vec![1.0, 3.0]));
            Box::new(move |fed| {
                let z = model.forward(&fed["x"]);
                let truth = fed["y"].to_f32().unsqueeze(1);
                one.forward(&z, &truth) + two.forward(&models::one_logit::two_logits(&z), &fed["y"])
            })
        },
        optimizer: || Box::new(Sgd::new(0.1).momentum(0.9).nesterov(true)),
        freeze: |_| {},
    },
    Model {
        name: "text_cnn",
        build: |p| {
            let model = models::text_cnn::TextCnn::new(p, 20, 6, 3, 0.0);
            let loss = CrossEntropyLoss::new().weight(vec![1.0, 2.0, 0.5]);
            Box::new(move |fed| loss.forward(&model.forward(&fed["x"]), &fed["y"]))
        },
        optimizer: || Box::new(Sgd::new(0.05).momentum(0.9)),
        freeze: |_| {},
    },
    Model {
        name: "char_transformer",
        build: |p| {
            let sizes = Sizes { characters: 12, context: 10, features: 16, heads: 4, layers: 2, dropout: 0.0 };
            let model = CharTransformer::new(p, sizes);
            Box::new(move |fed| model.loss(&fed["x"], &fed["y"]))
        },
        optimizer: || Box::new(AdamW::new(3e-3)),
        freeze: |_| {},
    },
];

fn narrow_resnet(p: &Params) -> ResNet {
    ResNet::with(p, ResNetOptions::resnet18().num_classes(1).channels(1).width(3).stem(Stem::Small))
}

/// Bytes of a model's fixture file.
struct Fixture(Vec<u8>);

impl Fixture {
    fn read(name: &str) -> Self {
        let path = format!("{}/tests/golden/trajectories/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        Self(std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).expect("a fine fixture")
    }

    fn losses(&self) -> Vec<f64> {
        let tensors = self.tensors();
        let losses = tensors.tensor("losses").expect("every fixture has losses");
        losses.data().as_chunks().0.iter().map(|&value| f64::from_le_bytes(value)).collect()
    }

    /// Returns the inputs of all steps, by name. Integers are converted to `u32`.
    fn inputs(&self) -> Vec<(String, Array)> {
        let array = |name: String| {
            let tensors = self.tensors();
            let view = tensors.tensor(&name).expect("listed");
            let bytes = view.data();
            let array = match view.dtype() {
                Dtype::F32 => {
                    Array::new(view.shape(), bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
                }
                Dtype::I64 => {
                    let whole = |&b: &[u8; 8]| u32::try_from(i64::from_le_bytes(b)).expect("no negative numbers");
                    Array::new(view.shape(), bytes.as_chunks().0.iter().map(whole).collect())
                }
                other => panic!("{name} is {other:?}"),
            };
            (name.trim_start_matches("in/").to_string(), array.expect("as many as the shape says"))
        };
        let mut names: Vec<_> =
            self.tensors().names().into_iter().filter(|name| name.starts_with("in/")).map(String::from).collect();
        names.sort_unstable();
        names.into_iter().map(array).collect()
    }
}

/// Trains on a device and returns the losses of all steps. `start` changes the initial values.
fn losses(model: &Model, fixture: &Fixture, device: &Device, start: &dyn Fn(&Params)) -> Vec<f64> {
    let params = Params::seeded(99);
    let loss = (model.build)(&params);
    let load = Load::from_bytes(model.name, &fixture.0).strict(false);
    let report = load.strip_prefix("init/").apply(&params).unwrap_or_else(|error| panic!("{error}"));
    let foreign = report.unexpected.iter().find(|name| !name.starts_with("in/") && *name != "losses");
    assert!(report.missing.is_empty() && foreign.is_none(), "{report}");
    (model.freeze)(&params);
    start(&params);
    let graph = Graph::new(Mode::Train);
    let inputs = fixture.inputs();
    let steps = inputs[0].1.shape().dims()[0];
    let fed: Inputs<'_> = inputs
        .iter()
        .map(|(name, array)| {
            let dtype = if array.dtype() == DType::U32 { DType::U32 } else { DType::F32 };
            (name.as_str(), graph.input(name, &array.shape().dims()[1..], dtype))
        })
        .collect();
    let loss = loss(&fed);
    (model.optimizer)().minimize(&loss);
    let mut session = Session::new(device.clone(), &params).expect("names are unique");
    let step = session.compile(&graph, &[&loss]).unwrap_or_else(|error| panic!("{}: {error}", model.name));
    let feeds: Vec<_> = inputs.iter().map(|(name, array)| (&fed[name.as_str()], array)).collect();
    session.run_many(&step, steps, &feeds).unwrap_or_else(|error| panic!("{}: {error}", model.name))[0].to_f64()
}

fn f64_is_pytorchs(model: &Model) -> Result<(), Failed> {
    let fixture = Fixture::read(model.name);
    let (found, truth) = (losses(model, &fixture, &Device::cpu_f64(), &|_| {}), fixture.losses());
    assert_eq!((found.len(), truth.len()), (20, 20));
    let mut worst: f64 = 0.0;
    for (step, (found, truth)) in found.iter().zip(&truth).enumerate() {
        let off = (found - truth).abs() / truth;
        if off.is_nan() || off > 1e-9 {
            return Err(format!("step {step}: {found}, in PyTorch {truth}: off by {off:.1e}").into());
        }
        worst = worst.max(off);
    }
    println!("{}: {:.4} → {:.4}, off by {worst:.1e} at most", model.name, found[0], found[19]);
    Ok(())
}

fn f32_stays_near(model: &Model, truth: &OnceLock<Truth>, device: &Device) -> Result<(), Failed> {
    let fixture = Fixture::read(model.name);
    let truth = truth.get_or_init(|| Truth::new(|device, start| losses(model, &fixture, device, start)));
    let worst = truth.agrees(&losses(model, &fixture, device, &|_| {}))?;
    println!("{device:?}: {}: at most {worst:.2} of the bound", model.name);
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut devices = vec![("the CPU in f32".to_string(), Some(Device::cpu()))];
    for adapter in adapters() {
        let info = adapter.info();
        devices.push((
            format!("{} {}", info.api, info.adapter),
            Some(adapter.open().expect("the driver opens its adapter")),
        ));
    }
    if devices.len() == 1 {
        devices.push(("the GPU".into(), None));
    }
    let mut trials = vec![];
    for model in MODELS {
        let shared = Arc::new((model, OnceLock::new()));
        let own = shared.clone();
        let name = shared.0.name;
        let f64 = move || f64_is_pytorchs(&own.0);
        trials.push(Trial::test(format!("the CPU in f64: {name} has the losses of PyTorch"), f64));
        for (title, device) in &devices {
            let (shared, device) = (shared.clone(), device.clone());
            let ignored = device.is_none();
            let check = move || device.map_or(Ok(()), |device| f32_stays_near(&shared.0, &shared.1, &device));
            trials.push(Trial::test(format!("{title}: {name} stays near"), check).with_ignored_flag(ignored));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

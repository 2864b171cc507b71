//! Tests that compare residual networks with PyTorch's: names, shapes, initial values and logits. `resnet.py`
//! generates the fixtures.

use safetensors::SafeTensors;
use wgrad::nn::Load;
use wgrad::nn::models::{ResNet, ResNetOptions, Stem};
use wgrad::prelude::*;

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Array {
    let view = tensors.tensor(name).unwrap();
    Array::new(view.shape(), view.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()).unwrap()
}

/// Loads a state dict in the safetensors format into a network and compares the logits with PyTorch's, in `f64`
/// and `f32`.
fn logits_agree(bytes: &[u8], options: ResNetOptions) {
    let tensors = SafeTensors::deserialize(bytes).unwrap();
    let view = tensors.tensor("logits").unwrap();
    let truth: Vec<_> = view.data().as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect();
    let largest = truth.iter().fold(0.0, |largest: f64, logit| largest.max(logit.abs()));
    let off = |found: &[f64]| found.iter().zip(&truth).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest;
    let pytorch = off(&floats(&tensors, "f32/logits").to_f64());
    let x = floats(&tensors, "x");
    // PyTorch's own f32 run has errors of a few roundings. They can be smaller by chance, so the bound has a lower
    // limit.
    for (device, bound) in [(Device::cpu_f64(), 1e-12), (Device::cpu(), (4.0 * pytorch).max(64.0 * 2f64.powi(-24)))] {
        let params = Params::seeded(0);
        let model = ResNet::with(&params, options);
        let load = Load::from_bytes("resnet", bytes).strip_prefix("state/").strict(false);
        let report = load.apply(&params).unwrap();
        assert_eq!((report.loaded.len(), report.missing.len()), (122, 0), "{report}");
        assert_eq!(report.unexpected, ["f32/logits", "logits", "x"]);
        let graph = Graph::new(Mode::Evaluate);
        let image = graph.input("x", x.shape(), DType::F32);
        let y = model.forward(&image);
        let mut session = Session::new(device.clone(), &params).unwrap();
        let step = session.compile(&graph, &[&y]).unwrap();
        let found = session.run(&step, &[(&image, &x)]).unwrap()[0].to_f64();
        assert_eq!(found.len(), truth.len());
        println!("{device:?}: off by {:.1e}, PyTorch in f32 by {pytorch:.1e}", off(&found));
        assert!(off(&found) <= bound, "{device:?}: off by {:e}, bound {bound:e}", off(&found));
    }
}

fn fixture() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/resnet.safetensors")).unwrap()
}

fn narrow() -> ResNetOptions {
    ResNetOptions::resnet18().num_classes(5).width(3)
}

#[test]
fn a_narrow_resnet18_has_the_logits_of_pytorch() {
    logits_agree(&fixture(), narrow());
}

/// Compares the full ResNet-18. To run the test: `python tests/golden/resnet.py FILE`, then
/// `WGRAD_RESNET18=FILE cargo test --test golden -- --ignored the_full_resnet18`.
#[test]
#[ignore = "needs a file of 47 MB that tests/golden/resnet.py writes: WGRAD_RESNET18"]
fn the_full_resnet18_has_the_logits_of_pytorch() {
    let path = std::env::var("WGRAD_RESNET18").expect("WGRAD_RESNET18 names the file");
    logits_agree(&std::fs::read(path).unwrap(), ResNetOptions::resnet18());
}

#[test]
fn a_resnet18_starts_with_the_bits_of_torchvision() {
    let bytes = fixture();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let params = Params::torch_seed(11);
    let _ = ResNet::with(&params, narrow());
    let mut compared = 0;
    for variable in params.variables() {
        // The generator changed the values of the batch norms in the file. In a new network they are ones and
        // zeros.
        if variable.shape().rank() == 1 && !variable.name().starts_with("fc") {
            let one = variable.name().ends_with("weight") || variable.name().ends_with("var");
            let begin = if one { 1.0 } else { 0.0 };
            #[allow(clippy::float_cmp, reason = "set, not computed")]
            let whole = variable.value().unwrap().to_f32().iter().all(|&x| x == begin);
            assert!(whole, "{}", variable.name());
            continue;
        }
        let bits = |array: &Array| array.to_f32().into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let theirs = floats(&tensors, &format!("state/{}", variable.name()));
        assert_eq!(bits(&variable.value().unwrap()), bits(&theirs), "{}", variable.name());
        compared += 1;
    }
    assert_eq!(compared, 22, "20 convolutions and the head");
}

#[test]
fn options_change_shapes_and_initial_values() {
    let params = Params::seeded(7);
    let options =
        ResNetOptions::resnet34().channels(1).width(2).num_classes(3).stem(Stem::Small).zero_init_residual(true);
    let model = ResNet::with(&params, options);
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [2, 1, 8, 8], DType::F32);
    assert_eq!(model.features(&x).shape().dims(), [2, 16]);
    assert_eq!(model.forward(&x).shape().dims(), [2, 3]);
    // There are 3 + 4 + 6 + 3 blocks. Three of them halve the image.
    let count = |end: &str| params.variables().iter().filter(|v| v.name().ends_with(end)).count();
    assert_eq!([count("conv2.weight"), count("downsample.0.weight")], [16, 3]);
    for variable in params.variables().iter().filter(|v| v.name().ends_with("bn2.weight")) {
        assert!(variable.value().unwrap().to_f32().iter().all(|&x| x == 0.0));
    }
}

/// Trains with all layers frozen except the output layer. No other weight, running statistic or counter may
/// change.
#[test]
fn a_frozen_backbone_keeps_every_value() {
    let bytes = fixture();
    let params = Params::seeded(0);
    let model = ResNet::with(&params, narrow());
    Load::from_bytes("resnet", &bytes).strip_prefix("state/").strict(false).apply(&params).unwrap();
    params.set_trainable(false);
    params.at("fc").set_trainable(true);
    let before = values(&params);
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [2, 3, 40, 36], DType::F32);
    let y = graph.input("y", [2], DType::U32);
    let loss = CrossEntropyLoss::new().forward(&model.forward(&x), &y);
    AdamW::new(0.1).minimize(&loss);
    let mut session = Session::new(Device::cpu(), &params).unwrap();
    let step = session.compile(&graph, &[&loss]).unwrap();
    let image = floats(&SafeTensors::deserialize(&bytes).unwrap(), "x");
    session.run(&step, &[(&x, &image), (&y, &Array::vector(vec![0u32, 3]))]).unwrap();
    session.sync().unwrap();
    let changed: Vec<_> =
        before.into_iter().zip(values(&params)).filter(|(a, b)| a != b).map(|(_, (name, _))| name).collect();
    assert_eq!(changed, ["fc.weight", "fc.bias"]);
}

/// Returns the values of all parameters, buffers and counters, with their names.
fn values(params: &Params) -> Vec<(String, Vec<f64>)> {
    let variables = params.variables().into_iter().filter(|variable| variable.kind() != Kind::State);
    let variables = variables.map(|v| (v.name().to_string(), v.value().unwrap().to_f64()));
    let counters = params.counters().into_iter().filter(|(name, _)| name.ends_with("num_batches_tracked"));
    let counters = counters.map(|(name, counter)| (name.to_string(), vec![counter.get() as f64]));
    variables.chain(counters).collect()
}

//! Exchange of files with PyTorch: Python loads a file that contains every type of layer, with `strict=True`, and
//! writes it back as a `.pt` file.
//!
//! Must be run by hand: `WGRAD_PYTHON=venv/bin/python cargo test --test golden -- --ignored every_layer`.

use std::process::Command;

use wgrad::nn::Load;
#[allow(unused_imports, reason = "the prelude has some of them")]
use wgrad::nn::layers::*;
use wgrad::nn::models::{ResNet, ResNetOptions};
use wgrad::prelude::*;

/// Creates one layer of each type that has variables, in the scopes that `interop.py` expects.
fn every_layer(seed: u64) -> Params {
    let params = Params::seeded(seed);
    let p = |name: &str| params.at(name);
    let _ = Linear::new(&p("linear"), 3, 4);
    let _ = Linear::with(&p("linear_without_bias"), 3, 4, LinearOptions::new().bias(false));
    let _ = Conv1d::with(&p("conv1d"), 4, 6, 3, Conv1dOptions::new().groups(2));
    let _ = Conv2d::new(&p("conv2d"), 2, 3, [3, 1]);
    let _ = ConvTranspose1d::new(&p("conv_transpose1d"), 4, 6, 3);
    let _ = ConvTranspose2d::with(&p("conv_transpose2d"), 4, 6, 3, ConvTranspose2dOptions::new().groups(2));
    let _ = BatchNorm1d::new(&p("batch_norm1d"), 5);
    let _ = BatchNorm2d::with(&p("batch_norm2d"), 5, BatchNormOptions::new().affine(false));
    let _ = LayerNorm::new(&p("layer_norm"), [3, 4]);
    let _ = GroupNorm::new(&p("group_norm"), 2, 6);
    let _ = RmsNorm::new(&p("rms_norm"), [7]);
    let _ = Embedding::new(&p("embedding"), 9, 4);
    let _ = MultiheadAttention::new(&p("attention"), 8, 2);
    let kv = MultiheadAttentionOptions::new().kdim(3).vdim(5).add_bias_kv(true);
    let _ = MultiheadAttention::with(&p("attention_kv"), 8, 2, kv);
    let layer = |p: &Params| {
        let options = TransformerEncoderLayerOptions::new().dim_feedforward(12);
        TransformerEncoderLayer::with(p, 8, 2, options)
    };
    let norm = TransformerEncoderOptions::new().norm(LayerNormOptions::new());
    let _ = TransformerEncoder::with(&p("encoder"), 2, layer, norm);
    let recurrent = RecurrentOptions::new().num_layers(2).bidirectional(true);
    let _ = Lstm::with(&p("lstm"), 3, 4, recurrent.proj_size(2));
    let _ = Gru::with(&p("gru"), 3, 4, recurrent);
    let _ = Rnn::new(&p("rnn"), 3, 4);
    let _ = Bilinear::new(&p("bilinear"), 2, 3, 4);
    let _ = Sequential::new(&p("sequential")).add(|p| Linear::new(p, 2, 2)).add(|_| Relu).add(|p| Linear::new(p, 2, 1));
    let _ = ResNet::with(&p("resnet"), ResNetOptions::resnet18().width(2).num_classes(3));
    params.counter("batch_norm1d.num_batches_tracked").set(5);
    params
}

#[test]
#[ignore = "needs Python with PyTorch: WGRAD_PYTHON"]
fn every_layer_goes_to_pytorch_and_back() {
    let python = std::env::var("WGRAD_PYTHON").expect("WGRAD_PYTHON names the interpreter");
    let folder = tempfile::tempdir().unwrap();
    let params = every_layer(7);
    params.save(folder.path().join("ours.safetensors")).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/interop.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    println!("{said}");

    let refused = Load::from(folder.path().join("model.pt")).apply(&params).unwrap_err().to_string();
    assert!(refused.contains("this is a zip archive, probably PyTorch's own format"), "{refused}");
    let back = every_layer(8);
    back.load(folder.path().join("model.safetensors")).unwrap();
    assert_eq!(back.to_safetensors().unwrap(), params.to_safetensors().unwrap());
}

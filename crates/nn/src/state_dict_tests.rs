use safetensors::tensor::SafeTensors;

use super::*;
use wgrad_core::Kind;

use crate::entries::from_half;
use crate::layers::{BatchNorm1d, Linear};

fn model(seed: u64) -> Params {
    let params = Params::seeded(seed);
    let _ = Linear::new(&params.at("fc"), 2, 3);
    let _ = BatchNorm1d::new(&params.at("bn"), 3);
    let _ = params.variable("optim.fc.weight.exp_avg", [3, 2], Kind::State, wgrad_core::Init::Constant(0.0));
    let _ = params.counter("optim.@step");
    params
}

fn file(tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (name.to_string(), TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()));
    serialize(views, None).unwrap()
}

fn message<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string()
}

#[test]
fn a_model_comes_back_as_it_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (saved, loaded) = (model(1), model(2));
    saved.counter("bn.num_batches_tracked").set(5);
    saved.save(&path).unwrap();
    loaded.load(&path).unwrap();
    for (a, b) in saved.variables().iter().zip(loaded.variables()) {
        assert_eq!(a.value().unwrap(), b.value().unwrap(), "{}", a.name());
    }
    assert_eq!(loaded.counter("bn.num_batches_tracked").get(), 5);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn names_are_those_of_pytorch_and_bytes_are_reproducible() {
    let bytes = model(1).to_safetensors().unwrap();
    assert_eq!(bytes, model(1).to_safetensors().unwrap());
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = tensors.names();
    names.sort_unstable();
    let expected =
        ["bn.bias", "bn.num_batches_tracked", "bn.running_mean", "bn.running_var", "bn.weight", "fc.bias", "fc.weight"];
    assert_eq!(names, expected);
    assert_eq!(tensors.tensor("bn.num_batches_tracked").unwrap().dtype(), Dtype::I64);
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
}

#[test]
fn a_scope_is_a_state_dict_of_its_own() {
    let bytes = model(1).at("fc").to_safetensors().unwrap();
    assert_eq!(SafeTensors::deserialize(&bytes).unwrap().len(), 2);
    let whole = Params::seeded(3);
    let layer = Linear::new(&whole.at("encoder").at("0"), 2, 3);
    whole.at("encoder.0").load_safetensors("fc", &bytes).unwrap();
    assert_eq!(layer.bias().unwrap().value().unwrap(), model(1).get("fc.bias").unwrap().value().unwrap());
}

#[test]
fn every_difference_is_listed_and_nothing_is_changed() {
    let bytes = file(&[
        ("fc.weight", Dtype::F32, &[2, 3], vec![0; 24]),
        ("fc.bias", Dtype::I64, &[3], vec![0; 24]),
        ("bn.weight", Dtype::F32, &[3], vec![0; 12]),
        ("bn.num_batches_tracked", Dtype::F32, &[], vec![0; 4]),
        ("bn2.weight", Dtype::F32, &[3], vec![0; 12]),
    ]);
    let params = model(1);
    let expected = "m.safetensors does not fit the model
  missing from the file: bn.bias, bn.running_mean, bn.running_var
  not in the model: bn2.weight
  bn.num_batches_tracked: a count is I64, in the file it is F32
  fc.bias: floats are F32, F64, F16 or BF16, in the file it is I64
  fc.weight: the model has [3, 2], the file [2, 3]
  fixes:
    1. leave a part out that is to be trained anew: Load::from(…).skip(\"bn\")
    2. build the model as it was when it was saved, or use `load_partial` to take what fits";
    assert_eq!(message(params.load_safetensors("m.safetensors", &bytes)), expected);
    assert_eq!(params.get("bn.weight").unwrap().value().unwrap().to_f32(), [1.0; 3]);

    let report = params.load_safetensors_partial("m.safetensors", &bytes).unwrap();
    assert!(!report.is_complete());
    assert_eq!(report.loaded, ["bn.weight"]);
    assert!(report.to_string().starts_with("1 tensor loaded\n  missing from the file: bn.bias, "), "{report}");
    assert_eq!(params.get("bn.weight").unwrap().value().unwrap().to_f32(), [0.0; 3]);
}

#[test]
fn other_float_types_are_converted() {
    let params = Params::seeded(0);
    let x = params.variable("x", [4], Kind::Buffer, wgrad_core::Init::Constant(0.0));
    let load = |dtype, bytes: Vec<u8>| {
        params.load_safetensors("m", &file(&[("x", dtype, &[4], bytes)])).unwrap();
        x.value().unwrap().to_f64()
    };
    let f64s = [1.5f64, -2.0, 0.1, 1e300];
    assert_eq!(load(Dtype::F64, f64s.iter().flat_map(|x| x.to_le_bytes()).collect()), f64s);
    let halves = [0x3c00u16, 0xc500, 0x0001, 0x7bff];
    let expected = [1.0, -5.0, 2f64.powi(-24), 65504.0];
    assert_eq!(load(Dtype::F16, halves.iter().flat_map(|x| x.to_le_bytes()).collect()), expected);
    let brains = [0x3f80u16, 0xc0a0, 0x3e80, 0x4380];
    assert_eq!(load(Dtype::BF16, brains.iter().flat_map(|x| x.to_le_bytes()).collect()), [1.0, -5.0, 0.25, 256.0]);
    assert!(from_half(0xfc00) == f32::NEG_INFINITY && from_half(0x7c01).is_nan());
}

#[test]
fn unreadable_files_are_reported_with_the_reason() {
    let load = |bytes: &[u8]| message(model(1).load_safetensors("m.bin", bytes));
    let whole = model(1).to_safetensors().unwrap();
    let says = "m.bin cannot be read as safetensors: ";
    assert_eq!(load(b""), format!("{says}the file is empty"));
    assert_eq!(load(b"abc"), format!("{says}the file is too short to have a header"));
    assert_eq!(load(b"just some text, longer than a header"), format!("{says}this is not a safetensors file"));
    assert!(load(b"PK\x03\x04 and so on").starts_with(&format!("{says}this is a zip archive, probably PyTorch's")));
    assert_eq!(load(b"\x80\x02}q\x00more"), format!("{says}this is a Python pickle, not a safetensors file"));
    let cut = load(&whole[..100]);
    assert!(cut.starts_with(&format!("{says}the file is cut off: its header takes ")), "{cut}");
    assert!(cut.ends_with(" bytes, of which 92 are there"), "{cut}");
    let short = "the file is cut off or has bytes that belong to nothing: its header does not match its length";
    assert_eq!(load(&whole[..whole.len() - 1]), format!("{says}{short}"));
    let mut damaged = whole.clone();
    damaged[12] = b'}';
    assert!(load(&damaged).starts_with(&format!("{says}the header is damaged: invalid JSON in header: ")));
}

#[test]
fn a_missing_file_and_an_unwritable_one_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/such.safetensors");
    assert!(message(model(1).load(&path)).starts_with(&format!("{}: ", path.display())));
    assert!(message(model(1).save(&path)).starts_with(&format!("{}: ", path.display())));
}

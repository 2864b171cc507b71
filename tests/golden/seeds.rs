//! Tests that random numbers after a seed equal PyTorch's after `torch.manual_seed`, bit for bit. `seeds.py`
//! generates the fixture.

use safetensors::SafeTensors;
use serde_json::Value;
use wgrad::data::Batches;
use wgrad::nn::init;
#[allow(unused_imports, reason = "the prelude has some of them")]
use wgrad::nn::layers::*;
use wgrad::prelude::*;
use wgrad::train::Silent;

struct Fixture {
    bytes: Vec<u8>,
    cases: Value,
}

fn fixture() -> Fixture {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/seeds.safetensors")).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let cases = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["cases"]).unwrap();
    Fixture { bytes, cases }
}

impl Fixture {
    fn each(&self, kind: &str, mut body: impl FnMut(&str, &Value, &SafeTensors<'_>)) {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let cases = self.cases[kind].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            body(case["name"].as_str().unwrap(), case, &tensors);
        }
    }
}

fn words(tensors: &SafeTensors<'_>, name: &str) -> Vec<u32> {
    let view = tensors.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    view.data().as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect()
}

fn doubles(tensors: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    tensors.tensor(name).unwrap().data().as_chunks().0.iter().map(|&word| f64::from_le_bytes(word)).collect()
}

fn size(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// Creates the module with this name and these arguments.
fn build(p: &Params, kind: &str, with: &[Value]) {
    let n = |i: usize| size(&with[i]);
    let weight = |shape: &[usize], begin| drop(p.variable("weight", shape, Kind::Parameter, begin));
    match kind {
        "linear" if with.get(2) == Some(&Value::Bool(false)) => {
            drop(Linear::with(p, n(0), n(1), LinearOptions::new().bias(false)));
        }
        "linear" => drop(Linear::new(p, n(0), n(1))),
        "conv1d" => drop(Conv1d::new(p, n(0), n(1), n(2))),
        "conv2d" if with[2].is_array() => drop(Conv2d::new(p, n(0), n(1), [size(&with[2][0]), size(&with[2][1])])),
        "conv2d" if with.len() == 3 => drop(Conv2d::new(p, n(0), n(1), n(2))),
        "conv2d" => {
            drop(Conv2d::with(p, n(0), n(1), n(2), Conv2dOptions::new().stride(n(3)).padding(n(4)).groups(n(6))));
        }
        "conv_transpose1d" => drop(ConvTranspose1d::new(p, n(0), n(1), n(2))),
        "conv_transpose2d" => {
            let options = ConvTranspose2dOptions::new().stride(n(3)).padding(n(4)).output_padding(n(5)).groups(n(6));
            drop(ConvTranspose2d::with(p, n(0), n(1), n(2), options));
        }
        "embedding" => drop(Embedding::new(p, n(0), n(1))),
        // PyTorch also draws random numbers for the padding row, before it sets the row to zero.
        "embedding_padded" => {
            let options = EmbeddingOptions::new().padding_idx(0);
            drop(Embedding::with(p, n(0), n(1), options));
        }
        "lstm" => {
            let options = RecurrentOptions::new().num_layers(2).bidirectional(true).proj_size(2);
            drop(Lstm::with(p, n(0), n(1), options));
        }
        "gru" => drop(Gru::new(p, n(0), n(1))),
        "rnn" => drop(Rnn::new(p, n(0), n(1))),
        "gru_cell" => drop(GruCell::new(p, n(0), n(1))),
        "bilinear" => drop(Bilinear::new(p, n(0), n(1), n(2))),
        "attention" => drop(MultiheadAttention::new(p, n(0), n(1))),
        "attention_extra" => {
            let (kdim, vdim) = (Some(n(2)), Some(n(3)));
            let options = MultiheadAttentionOptions::new().kdim(kdim).vdim(vdim).add_bias_kv(true);
            drop(MultiheadAttention::with(p, n(0), n(1), options));
        }
        "encoder" => {
            let options = TransformerEncoderLayerOptions::new().dim_feedforward(n(2));
            drop(TransformerEncoder::new(p, n(3), |p| TransformerEncoderLayer::with(p, n(0), n(1), options)));
        }
        "batch_norm" => drop(BatchNorm1d::new(p, n(0))),
        "layer_norm" => drop(LayerNorm::new(p, [n(0)])),
        "uniform" => weight(&[n(0)], Init::Uniform(with[1].as_f64().unwrap(), with[2].as_f64().unwrap())),
        "normal" => weight(&[n(0)], Init::Normal(with[1].as_f64().unwrap(), with[2].as_f64().unwrap())),
        "xavier_uniform" => weight(&[n(0), n(1)], init::xavier_uniform(n(1), n(0), 1.0)),
        "kaiming_normal" => weight(&[n(0), n(1)], init::kaiming_normal(n(1), 0.0)),
        other => panic!("{other}"),
    }
}

#[test]
fn layers_begin_with_the_bits_of_pytorch() {
    let fixture = fixture();
    let (mut parameters, mut values) = (0, 0);
    fixture.each("build", |case, options, tensors| {
        let params = Params::torch_seed(options["seed"].as_u64().unwrap());
        for (i, module) in options["modules"].as_array().unwrap().iter().enumerate() {
            build(&params.at(i), module[0].as_str().unwrap(), module[1].as_array().unwrap());
        }
        let own = params.variables().into_iter().filter(|variable| variable.kind() == Kind::Parameter);
        let own: Vec<_> = own.collect();
        let theirs = tensors.names().into_iter().filter(|name| name.starts_with(&format!("{case}/"))).count();
        assert_eq!(own.len(), theirs, "{case}");
        for variable in own {
            let name = format!("{case}/{}", variable.name());
            assert_eq!(tensors.tensor(&name).unwrap().shape(), variable.shape().dims(), "{name}");
            let bits: Vec<_> = variable.value().unwrap().to_f32().into_iter().map(f32::to_bits).collect();
            assert_eq!(bits, words(tensors, &name), "{name}");
            parameters += 1;
            values += bits.len();
        }
    });
    println!("{parameters} parameters with {values} values have the bits of PyTorch");
}

#[test]
fn a_shuffled_loader_has_the_row_order_of_pytorch() {
    fixture().each("orders", |case, options, tensors| {
        let seed = options["seed"].as_u64().unwrap();
        let params = Params::torch_seed(seed);
        let _ = Linear::new(&params, 3, 2);
        let batches = Batches::new(size(&options["rows"]), size(&options["batch"])).unwrap();
        let batches = if options["drop_last"] == true { batches.drop_last().unwrap() } else { batches };
        let own = options["own"] == true;
        let batches =
            if own { batches.shuffle_as_torch_generator(seed) } else { batches.shuffle_as_torch(&params).unwrap() };
        let epochs = options["epochs"].as_u64().unwrap();
        let orders: Vec<_> = (0..epochs).map(|epoch| batches.epoch(epoch)).collect();
        let rows: Vec<u32> = orders.iter().flat_map(|epoch| epoch.order().to_vec()).collect();
        assert_eq!(rows, words(tensors, &format!("{case}/rows")), "{case}");
        // Requesting an epoch a second time gives the same order.
        assert_eq!(batches.epoch(1), orders[1], "{case}");
        assert_eq!(batches.clone().epoch(epochs - 1), orders[orders.len() - 1], "{case}");
    });
}

#[test]
fn rows_in_pytorchs_order_need_its_generator() {
    let refused = Batches::new(5, 2).unwrap().shuffle_as_torch(&Params::seeded(0)).unwrap_err().to_string();
    assert_eq!(
        refused,
        "rows in PyTorch's order need PyTorch's generator, and these parameters were not seeded with it
  fixes:
    1. make them with Params::torch_seed(seed)
    2. or give the loader a generator of its own: shuffle_as_torch_generator(seed)"
    );
}

/// Runs the fixture's program, written with wgrad's trainer. With the same seed, it must compute the same losses.
#[test]
fn the_same_program_has_the_same_losses() {
    fixture().each("fit", |case, options, tensors| {
        let floats = |name: &str| words(tensors, &format!("{case}/{name}")).into_iter().map(f32::from_bits);
        let x: Vec<f32> = floats("x").collect();
        let y: Vec<u32> = floats("y").map(|y| u32::from(y > 0.5)).collect();
        let (columns, classes) = (["a", "b", "c", "d"], ["no", "yes"]);
        let validation = Dataset::new(columns, x[..40].to_vec(), y[..10].to_vec(), classes).unwrap();
        let data = Dataset::new(columns, x, y, classes).unwrap();

        let params = Params::torch_seed(options["seed"].as_u64().unwrap());
        let model = Sequential::new(&params).add(|p| Linear::new(p, 4, 8)).add(|_| Relu).add(|p| Linear::new(p, 8, 1));
        let losses = std::rc::Rc::new(std::cell::RefCell::new(vec![]));
        let seen = losses.clone();
        let mut trainer = Trainer::new(Device::cpu_f64(), &params)
            .optimizer(Sgd::new(0.1).momentum(0.9))
            .batch_size(size(&options["batch"]))
            .drop_last(options["drop_last"] == true)
            .shuffle(options["shuffle"] == true)
            .validation(&validation)
            .progress(Silent)
            .on_step(move |_, loss| seen.borrow_mut().push(loss));
        let loss = BceWithLogitsLoss::new();
        let mut checks = vec![];
        for _ in 0..2 {
            let history =
                trainer.fit(&data, size(&options["epochs"]), |x, y| loss.forward(&model.forward(x), y)).unwrap();
            checks.extend(history.epochs.iter().filter_map(|epoch| epoch.validation_loss));
        }
        for (name, found) in [("losses", &*losses.borrow()), ("checks", &checks)] {
            let truth = doubles(tensors, &format!("{case}/{name}"));
            assert_eq!(found.len(), truth.len(), "{case}: {name}");
            for (found, truth) in found.iter().zip(truth) {
                assert!((found - truth).abs() <= 1e-12 * truth, "{case}: {name}: {found}, not {truth}");
            }
        }
    });
}

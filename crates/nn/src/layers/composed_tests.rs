//! Tests of layers that are composed of ops, on the CPU in f64. They compare outputs and gradients with numbers
//! computed by PyTorch 2.15, and check documented behaviour.
//!
//! Each number is a weighted sum of the elements of an output or a gradient; element `i` has the weight `cos(i)`.
//! Element `i` of the `k`-th variable is `sin(1.3·i + k)/2`; the inputs are computed with the same formula and the
//! `k` given in the test. In the backward pass, element `i` of each output gets the incoming gradient `cos(i)`.

use wgrad_core::plan::Plan;
use wgrad_core::{Array, CpuBackend, DType, Graph, Limits, Mode, Params, Session, Shape, Tensor, vjp};

use super::*;
use crate::Module;

fn wave(shape: &Shape, k: f64) -> Array {
    Array::new(shape, (0..shape.numel()).map(|i| (i as f64 * 1.3 + k).sin() * 0.5).collect()).unwrap()
}

fn cosines(shape: &Shape) -> Array {
    Array::new(shape, (0..shape.numel()).map(|i| (i as f64).cos()).collect()).unwrap()
}

fn weighted(array: &Array) -> f64 {
    array.to_f64().iter().zip(cosines(array.shape()).to_f64()).map(|(x, c)| x * c).sum()
}

/// Returns a weighted sum of the elements of each output, of the gradient of `x`, and of the gradient of each
/// variable.
fn sums(params: &Params, shape: &[usize], build: impl FnOnce(&Tensor) -> Vec<Tensor>) -> Vec<f64> {
    // The variables are in the order of PyTorch's parameters: the output projection of attention is last, although
    // its values are drawn first.
    let mut variables = params.variables();
    variables.sort_by_key(|variable| variable.name().starts_with("out_proj"));
    for (k, variable) in variables.iter().enumerate() {
        variable.set(wave(variable.shape(), k as f64)).unwrap();
    }
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", shape, DType::F32);
    let outputs = build(&x);
    graph.check().unwrap();
    let cotangents: Vec<_> = outputs.iter().map(|y| graph.array(cosines(&y.shape()))).collect();
    let mut wrt = vec![x.clone()];
    wrt.extend(variables.iter().map(|variable| graph.variable(variable)));
    let gradients = vjp(&outputs.iter().zip(&cotangents).collect::<Vec<_>>(), &wrt);
    let fetches: Vec<&Tensor> = outputs.iter().chain(gradients.iter().flatten()).collect();
    let mut session = Session::new(CpuBackend::<f64>::new(), params).unwrap();
    let step = session.compile(&graph, &fetches).unwrap();
    let results = session.run(&step, &[(&x, &wave(&x.shape(), 9.0))]).unwrap();
    results.iter().map(weighted).collect()
}

fn assert_near(got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{got:?}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= 1e-10 * (1.0 + expected.abs()), "number {i} is {got}, not {expected}");
    }
}

fn states((y, (h, c)): (Tensor, (Tensor, Tensor))) -> Vec<Tensor> {
    vec![y, h, c]
}

#[test]
fn an_lstm_is_that_of_pytorch() {
    let params = Params::seeded(0);
    let options = RecurrentOptions::new().num_layers(2).bidirectional(true);
    let lstm = Lstm::with(&params, 3, 4, options);
    assert_near(
        &sums(&params, &[5, 2, 3], |x| states(lstm.forward(x, None))),
        &[
            0.293_757_318_827,
            -0.195_870_002_93,
            -0.578_272_156_4,
            -0.473_151_662_681,
            -0.329_201_839_094,
            0.243_352_522_205,
            -0.884_200_358_294,
            -0.884_200_358_294,
            0.661_689_519_33,
            -0.459_515_742_681,
            1.750_926_048_78,
            1.750_926_048_78,
            0.874_575_792_803,
            0.638_208_157_821,
            2.028_912_962_9,
            2.028_912_962_9,
            0.254_393_010_793,
            -0.125_323_451_722,
            -0.355_004_466_591,
            -0.355_004_466_591,
        ],
    );
    let params = Params::seeded(0);
    let lstm = Lstm::with(&params, 3, 4, RecurrentOptions::new().proj_size(2).batch_first(true));
    let of = |x: &Tensor| {
        let [h, c] = [(2, 3.0), (4, 4.0)].map(|(size, k)| x.graph().array(wave(&[1, 2, size].into(), k)));
        states(lstm.forward(x, Some((&h, &c))))
    };
    assert_near(
        &sums(&params, &[2, 5, 3], of),
        &[
            -0.230_131_437_45,
            -0.021_036_694_862_1,
            0.686_077_357_095,
            0.351_667_619_713,
            0.211_764_009_845,
            0.080_423_893_009_5,
            -0.149_986_075_026,
            -0.149_986_075_026,
            0.346_329_728_369,
        ],
    );
}

#[test]
fn gated_units_are_those_of_pytorch() {
    let params = Params::seeded(0);
    let options = RecurrentOptions::new().num_layers(2).bidirectional(true);
    let gru = Gru::with(&params, 3, 4, options);
    let both = |(y, h): (Tensor, Tensor)| vec![y, h];
    assert_near(
        &sums(&params, &[5, 2, 3], |x| both(gru.forward(x, None))),
        &[
            0.036_720_562_965,
            -0.308_562_878_298,
            -0.140_121_000_406,
            -0.211_115_259_668,
            -0.033_611_891_567,
            -0.082_024_850_753_9,
            -0.031_037_339_861_2,
            0.094_070_948_813_8,
            -0.539_723_397_797,
            1.293_418_773_29,
            0.835_297_594_603,
            0.453_269_839_617,
            0.117_652_175_959,
            2.537_899_698_17,
            1.324_144_283_01,
            1.342_193_256_6,
            0.045_395_601_950_2,
            -1.081_096_031_07,
            -0.247_569_129_46,
        ],
    );
    let params = Params::seeded(0);
    let gru = Gru::with(&params, 3, 4, RecurrentOptions::new().bias(false));
    assert_near(
        &sums(&params, &[5, 3], |x| both(gru.forward(x, Some(&x.graph().array(wave(&[1, 4].into(), 3.0)))))),
        &[-0.193_519_985_601, 0.027_866_094_647_8, -0.151_059_855_776, -0.479_736_138_208, -0.178_358_334_55],
    );
    let params = Params::seeded(0);
    let rnn = Rnn::with(&params, 3, 4, RecurrentOptions::new().nonlinearity(Nonlinearity::Relu));
    assert_near(
        &sums(&params, &[5, 2, 3], |x| both(rnn.forward(x, None))),
        &[
            0.302_839_808_356,
            0.032_823_330_595_9,
            2.753_307_335_61,
            3.840_142_052_34,
            1.686_938_397_6,
            -4.984_992_273_48,
            -4.984_992_273_48,
        ],
    );
}

#[test]
fn cells_are_those_of_pytorch() {
    let params = Params::seeded(0);
    let cell = LstmCell::new(&params, 3, 4);
    let both = |(h, c): (Tensor, Tensor)| vec![h, c];
    assert_near(
        &sums(&params, &[2, 3], |x| both(cell.forward(x, None))),
        &[
            0.151_386_226_905,
            0.110_264_134_352,
            -0.422_735_257_615,
            -0.420_205_704_984,
            0.0,
            -0.630_359_881_315,
            -0.630_359_881_315,
        ],
    );
    let params = Params::seeded(0);
    let cell = GruCell::new(&params, 3, 4);
    assert_near(
        &sums(&params, &[2, 3], |x| vec![cell.forward(x, Some(&x.graph().array(wave(&[2, 4].into(), 3.0))))]),
        &[
            -0.013_739_330_368_3,
            -0.514_568_919_516,
            -0.627_516_441_853,
            -0.162_301_370_915,
            -0.708_052_464_497,
            -0.423_779_061_496,
        ],
    );
}

#[test]
fn multihead_attention_is_that_of_pytorch() {
    let params = Params::seeded(0);
    let attention = MultiheadAttention::new(&params, 6, 2);
    let both = |(y, weights): (Tensor, Option<Tensor>)| vec![y, weights.unwrap()];
    assert_near(
        &sums(&params, &[4, 3, 6], |x| both(attention.forward(x, x, x, MultiheadAttentionCall::new()))),
        &[
            0.453_305_537_713,
            -0.101_023_146_079,
            -4.290_519_076_61,
            -0.182_904_513_902,
            2.379_743_065_84,
            -15.738_065_438_8,
            1.394_332_011_23,
        ],
    );
    let masked = |x: &Tensor| {
        let padding = Array::new([3, 4], vec![0u32, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        let padding = x.graph().array(padding);
        let call = MultiheadAttentionCall::new().key_padding_mask(&padding).is_causal(true).average_attn_weights(false);
        both(attention.forward(x, x, x, call))
    };
    assert_near(
        &sums(&params, &[4, 3, 6], masked),
        &[
            -0.472_008_998_564,
            0.508_349_068_443,
            -21.544_159_418_8,
            -0.455_017_044_612,
            0.882_854_928_038,
            -16.118_656_924_2,
            1.394_332_011_23,
        ],
    );
}

#[test]
fn attention_to_others_with_added_keys_is_that_of_pytorch() {
    let params = Params::seeded(0);
    let options =
        MultiheadAttentionOptions::new().kdim(4).vdim(5).add_bias_kv(true).add_zero_attn(true).batch_first(true);
    let attention = MultiheadAttention::with(&params, 6, 2, options);
    let of = |x: &Tensor| {
        let [k, v, mask] = [(&[2, 4, 4], 1.0), (&[2, 4, 5], 2.0), (&[4, 3, 4], 3.0)]
            .map(|(s, k)| x.graph().array(wave(&s[..].into(), k)));
        let (y, weights) = attention.forward(x, &k, &v, MultiheadAttentionCall::new().attn_mask(&mask));
        vec![y, weights.unwrap()]
    };
    assert_near(
        &sums(&params, &[2, 3, 6], of),
        &[
            4.667_612_405_79,
            -0.336_859_218_648,
            0.383_798_148_742,
            -0.243_001_236_538,
            0.262_263_563_292,
            -2.577_426_555_5,
            2.293_651_498_48,
            0.453_245_083_023,
            1.463_388_289_91,
            -6.694_160_626_59,
            12.488_870_313_2,
        ],
    );
}

/// Runs the graph of `y`, which has no inputs, and returns the value of `y`.
fn value(params: &Params, y: &Tensor) -> Vec<f64> {
    let mut session = Session::new(CpuBackend::<f32>::new(), params).unwrap();
    let step = session.compile(y.graph(), &[y]).unwrap();
    session.run(&step, &[]).unwrap()[0].to_f64()
}

#[test]
fn fully_masked_queries_are_as_in_pytorch() {
    let params = Params::seeded(0);
    let attention = MultiheadAttention::new(&params, 4, 2);
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.array(wave(&[3, 2, 4].into(), 0.0));
    // Both masks exclude all keys of the second sequence.
    for mask in [
        graph.array(Array::new([2, 3], vec![0u32, 0, 1, 1, 1, 1]).unwrap()),
        graph.array(
            Array::new(
                [2, 3],
                [0.0, 0.0, 1.0, 1.0, 1.0, 1.0].map(|x: f32| if x > 0.0 { f32::NEG_INFINITY } else { x }).to_vec(),
            )
            .unwrap(),
        ),
    ] {
        let call = MultiheadAttentionCall::new().key_padding_mask(&mask);
        let (y, weights) = attention.forward(&x, &x, &x, call);
        let (y, weights) = (value(&params, &y), value(&params, &weights.unwrap()));
        assert!(y.chunks(4).enumerate().all(|(i, y)| y.iter().all(|y| y.is_nan() == (i % 2 == 1))), "{y:?}");
        assert!(weights[9..].iter().all(|weight| weight.is_nan()) && weights[2] == 0.0, "{weights:?}");
        let (y, none) = attention.forward(&x, &x, &x, call.need_weights(false));
        assert!(none.is_none());
        let y = value(&params, &y);
        assert!(y.chunks(4).enumerate().all(|(i, y)| y.iter().all(|&y| (y == 0.0) == (i % 2 == 1))), "{y:?}");
    }
}

#[test]
fn nonzero_masks_of_the_product_include_keys() {
    let params = Params::seeded(0);
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.array(wave(&[3, 4].into(), 0.0));
    let mask = graph.array(Array::new([3, 3], vec![1u32, 0, 0, 0, 0, 0, 1, 1, 1]).unwrap());
    let y = scaled_dot_product_attention(&x, &x, &x, AttentionCall::new().attn_mask(&mask));
    let (y, x) = (value(&params, &y), value(&params, &x));
    assert_eq!(y[..4], x[..4]);
    assert_eq!(y[4..8], [0.0; 4]);
}

#[test]
fn the_padding_row_is_initially_zero_and_has_no_gradient() {
    let params = Params::seeded(0);
    let words = Embedding::with(&params, 5, 3, EmbeddingOptions::new().padding_idx(-2));
    let begins = words.weight().value().unwrap().to_f64();
    assert!(begins[9..12] == [0.0; 3] && begins.iter().filter(|&&x| x == 0.0).count() == 3, "{begins:?}");
    let sums = sums(&params, &[1], |x| {
        let index = x.graph().array(Array::new([2, 3], vec![0u32, 3, 4, 3, 0, 2]).unwrap());
        vec![words.forward(&index)]
    });
    assert_near(&sums, &[0.505_640_548_259, 2.805_450_832_33]);
}

#[test]
fn pretrained_rows_are_kept_and_frozen_on_request() {
    let params = Params::seeded(0);
    let rows = wave(&[4, 2].into(), 1.0);
    let options = PretrainedOptions::new().padding_idx(1);
    let frozen = Embedding::from_pretrained_with(&params.at("a"), rows.clone(), options).unwrap();
    let free = Embedding::from_pretrained_with(&params.at("ab"), rows.clone(), options.freeze(false)).unwrap();
    assert_eq!(*frozen.weight().value().unwrap(), rows);
    assert!(!frozen.weight().is_trainable() && free.weight().is_trainable());
    let error = Embedding::from_pretrained(&params.at("c"), Array::scalar(1f32)).unwrap_err();
    assert!(error.to_string().contains("f32[num_embeddings, embedding_dim]"), "{error}");
}

fn drop(layer: &dyn Module, params: &Params, shape: &[usize]) -> Vec<f64> {
    let graph = Graph::new(Mode::Train);
    value(params, &layer.forward(&graph.array(Array::full(shape, 1f32))))
}

#[test]
fn channels_are_dropped_as_a_whole() {
    let params = Params::seeded(3);
    let line = Dropout1d::new(&params.at("line"), 0.25);
    let image = Dropout2d::new(&params.at("image"), 0.25);
    for (y, size) in [
        (drop(&line, &params, &[40, 10, 7]), 7),
        (drop(&line, &params, &[400, 7]), 7),
        (drop(&image, &params, &[40, 10, 3, 2]), 6),
        (drop(&image, &params, &[40, 10, 6]), 6),
    ] {
        let kept = y.chunks(size).filter(|channel| channel[0] != 0.0).count();
        // The range is the mean number of kept channels ± 4 standard deviations.
        assert!((265..=335).contains(&kept), "{kept}");
        #[allow(clippy::float_cmp, reason = "the elements of a channel have equal values")]
        let whole =
            |channel: &[f64]| channel.iter().all(|&x| x == channel[0] && (x == 0.0 || (x - 4.0 / 3.0).abs() < 1e-6));
        assert!(y.chunks(size).all(whole));
    }
    let evaluation = Graph::new(Mode::Evaluate);
    let x = evaluation.input("x", [2, 3, 4], DType::F32);
    assert_eq!(line.forward(&x).id(), x.id());
}

#[test]
fn alpha_dropout_has_the_values_of_pytorch() {
    let params = Params::seeded(3);
    let y = drop(&AlphaDropout::new(&params.at("drop"), 0.3), &params, &[4000]);
    // `torch.nn.AlphaDropout(0.3)` turns ones into these two values.
    assert!(y.iter().all(|y| (y + 1.059_5).abs() < 1e-4 || (y - 1.315).abs() < 1e-4), "{:?}", &y[..5]);
    let dropped = y.iter().filter(|&&y| y < 0.0).count();
    assert!((1084..=1316).contains(&dropped), "{dropped}");
    assert!(drop(&AlphaDropout::new(&params.at("all"), 1.0), &params, &[9]).iter().all(|&y| y == 0.0));
}

/// Returns the number of dispatches that one more time step adds, in evaluation or in training with the gradients
/// of all variables.
fn dispatches_per_step(training: bool, layer: impl Fn(&Params) -> Box<dyn Module>) -> usize {
    let count = |length: usize| {
        let params = Params::seeded(0);
        let layer = layer(&params);
        let graph = Graph::new(if training { Mode::Train } else { Mode::Evaluate });
        let y = layer.forward(&graph.input("x", [length, 4, 16], DType::F32));
        let mut fetches = vec![y.clone()];
        if training {
            let wrt: Vec<_> = params.variables().iter().map(|variable| graph.variable(variable)).collect();
            fetches.extend(vjp(&[(&y, &y)], &wrt).into_iter().flatten());
        }
        let plan = Plan::new(&graph, &fetches.iter().collect::<Vec<_>>(), &Limits::default()).unwrap();
        let text = plan.to_string();
        let before = text.split(" dispatches").next().unwrap();
        before.rsplit(' ').next().unwrap().parse::<usize>().unwrap()
    };
    count(12) - count(11)
}

#[test]
fn a_time_step_takes_the_documented_dispatches() {
    let cost = |layer: &dyn Fn(&Params) -> Box<dyn Module>| {
        (dispatches_per_step(false, layer), dispatches_per_step(true, layer))
    };
    let lstm = cost(&|p| Box::new(Lstm::new(p, 16, 16)));
    let gru = cost(&|p| Box::new(Gru::new(p, 16, 16)));
    let rnn = cost(&|p| Box::new(Rnn::new(p, 16, 16)));
    assert_eq!((lstm, gru, rnn), ((4, 16), (4, 20), (3, 7)));
}

//! Tests of the error messages of composed layers about their inputs and options.

use wgrad::prelude::*;

use super::{assert_brief, assert_says, compile_error, float, labels, train};

#[test]
fn embeddings_take_indices_and_have_the_row_of_padding() {
    let params = Params::seeded(0);
    let words = Embedding::new(&params.at("words"), 10, 4);
    let x = float(&train(), "x", [2, 3]);
    let here = line!() + 1;
    let y = words.forward(&x);
    assert_says(
        &compile_error(&params, &y),
        here,
        "
embedding(f32[2, 3]): an embedding takes indices, u32 below 10, not f32
  at HERE (in words)
  fix: feed u32, or cast with `.to_u32()`",
    );
    let words = Embedding::with(&params.at("others"), 10, 4, EmbeddingOptions::new().padding_idx(-11));
    assert_brief(
        &compile_error(&params, &words.forward(&labels(&train(), [3]))),
        "embedding(u32[3]): padding_idx -11 is not a row of a table of 10 / rows are 0 to 9, or -10 to -1 from the end",
    );
}

#[test]
fn channel_dropouts_say_which_shapes_they_take() {
    let params = Params::seeded(0);
    let y = Dropout2d::new(&params.at("drop"), 0.5).forward(&float(&train(), "x", [8, 3]));
    assert_brief(
        &compile_error(&params, &y),
        "dropout2d(f32[8, 3]): expected [N, C, H, W], not [8, 3] / for single elements use `Dropout`",
    );
    let y = Dropout1d::new(&params.at("other"), 1.5).forward(&float(&train(), "x", [8, 3, 5]));
    assert_brief(
        &compile_error(&params, &y),
        "dropout(f32[8, 3, 1], u32[]): the probability 1.5 is not between 0 and 1",
    );
}

#[test]
fn attention_says_which_shapes_belong_together() {
    let params = Params::seeded(0);
    let attention = MultiheadAttention::new(&params.at("attn"), 8, 2);
    let says = |query: &[usize], key: &[usize], padding: Option<&[usize]>, mask: Option<&[usize]>, expected: &str| {
        let graph = train();
        let (q, k) = (float(&graph, "q", query), float(&graph, "k", key));
        let padding = padding.map(|shape| labels(&graph, shape));
        let mask = mask.map(|shape| float(&graph, "mask", shape));
        let call = MultiheadAttentionCall::new().key_padding_mask(padding.as_ref()).attn_mask(mask.as_ref());
        assert_brief(&compile_error(&params, &attention.forward(&q, &k, &k, call).0), expected);
    };
    says(
        &[5, 3, 6],
        &[4, 3, 8],
        None,
        None,
        "multihead_attention(f32[5, 3, 6], f32[4, 3, 8], f32[4, 3, 8]): the query must be [L, N, 8] or [L, 8], not \
         f32[5, 3, 6] / embed_dim, kdim and vdim are the features of queries, keys and values; `batch_first` says which \
         axis is the batch",
    );
    says(
        &[5, 3, 8],
        &[4, 2, 8],
        None,
        None,
        "multihead_attention(f32[5, 3, 8], f32[4, 2, 8], f32[4, 2, 8]): queries [5, 3, 8], keys [4, 2, 8] and values \
         [4, 2, 8] do not match / keys and values must have the same length, and all three the same batch size / \
         `batch_first` is \
         false: sequences are [length, N, features]",
    );
    says(
        &[5, 3, 8],
        &[4, 3, 8],
        Some(&[4, 3]),
        None,
        "multihead_attention(f32[5, 3, 8], f32[4, 3, 8], f32[4, 3, 8], u32[4, 3]): key_padding_mask must be [3, 4], not \
         [4, 3] / one number per sequence and key; nonzero excludes the key",
    );
    says(
        &[5, 3, 8],
        &[4, 3, 8],
        None,
        Some(&[4, 5]),
        "multihead_attention(f32[5, 3, 8], f32[4, 3, 8], f32[4, 3, 8], f32[4, 5]): attn_mask must be [5, 4] or [6, 5, \
         4], not [4, 5] / one number per query and key, for all heads or for each of N·num_heads; nonzero excludes \
         the pair",
    );
    let odd = MultiheadAttention::new(&params.at("odd"), 8, 3);
    assert_brief(
        &compile_error(&params, &Module::forward(&odd, &float(&train(), "x", [5, 8]))),
        "multihead_attention(f32[5, 8], f32[5, 8], f32[5, 8]): 3 heads do not divide 8 features / choose embed_dim as a \
         multiple of num_heads, and both above 0",
    );
}

#[test]
fn products_of_attention_say_which_shapes_fit() {
    let params = Params::seeded(0);
    let says = |q: &[usize], k: &[usize], v: &[usize], mask: Option<&[usize]>, expected: &str| {
        let graph = train();
        let (q, k, v) = (float(&graph, "q", q), float(&graph, "k", k), float(&graph, "v", v));
        let mask = mask.map(|shape| labels(&graph, shape));
        let call = AttentionCall::new().attn_mask(mask.as_ref());
        let y = scaled_dot_product_attention(&q, &k, &v, call);
        let message = compile_error(&params, &y);
        assert_brief(message.trim_start_matches("scaled_dot_product_attention"), expected);
    };
    says(
        &[5, 4],
        &[7, 3],
        &[7, 4],
        None,
        "(f32[5, 4], f32[7, 3], f32[7, 4]): queries have 4 features, keys 3 / project both to the same number of \
         features, at least one",
    );
    says(
        &[5, 4],
        &[7, 4],
        &[6, 4],
        None,
        "(f32[5, 4], f32[7, 4], f32[6, 4]): there are 7 keys and 6 values / give one value per key, and at least one \
         key",
    );
    says(
        &[2, 5, 4],
        &[2, 7, 4],
        &[2, 7, 4],
        Some(&[7, 5]),
        "(f32[2, 5, 4], f32[2, 7, 4], f32[2, 7, 4], u32[7, 5]): the mask [7, 5] does not broadcast to the scores [2, 5, \
         7] / a mask has a row per query and a column per key: [L, S], with any leading axes before",
    );
}

#[test]
fn recurrent_layers_say_which_shapes_fit() {
    let params = Params::seeded(0);
    let lstm = Lstm::new(&params.at("lstm"), 10, 20);
    assert_brief(
        &compile_error(&params, &Module::forward(&lstm, &float(&train(), "x", [5, 3, 9]))),
        "lstm(f32[5, 3, 9]): expected [L, N, 10] or [L, 10], not f32[5, 3, 9] / the last axis is input_size; \
         `batch_first` says which of the others is the batch",
    );
    let graph = train();
    let (x, h, c) = (float(&graph, "x", [5, 3, 10]), float(&graph, "h", [3, 20]), float(&graph, "c", [1, 3, 20]));
    assert_brief(
        &compile_error(&params, &lstm.forward(&x, Some((&h, &c))).0),
        "lstm(f32[5, 3, 10], f32[3, 20], f32[1, 3, 20]): the first state must be f32[1, 3, 20], not f32[3, 20] / states \
         are [num_layers · directions, N, size], also with batch_first; without N for one sequence",
    );
    let options = RecurrentOptions::new().proj_size(4);
    let gru = Gru::with(&params.at("gru"), 10, 20, options);
    assert_brief(
        &compile_error(&params, &Module::forward(&gru, &float(&train(), "x", [5, 3, 10]))),
        "gru(f32[5, 3, 10]): proj_size 4 is only for an LSTM, and must be below its hidden_size 20 / 0 means no \
         projection",
    );
    let cell = LstmCell::new(&params.at("cell"), 10, 20);
    assert_brief(
        &compile_error(&params, &cell.forward(&float(&train(), "x", [5, 3, 10]), None).0),
        "lstm_cell(f32[5, 3, 10]): expected [N, 10] or [10], not f32[5, 3, 10] / a cell takes one step; for sequences \
         use the layer",
    );
}

#[test]
fn pairs_of_inputs_must_fit_a_bilinear_layer() {
    let params = Params::seeded(0);
    let graph = train();
    let (a, b) = (float(&graph, "a", [8, 5]), float(&graph, "b", [7, 4]));
    assert_brief(
        &compile_error(&params, &Bilinear::new(&params.at("pair"), 5, 4, 2).forward(&a, &b)),
        "bilinear(f32[8, 5], f32[7, 4], f32[2, 5, 4], f32[2]): the inputs must be […, 5] and […, 4] with equal \
         leading axes, not [8, 5] and [7, 4] / make the layer for 5 and 4 features, or reshape the inputs",
    );
}

#[test]
fn a_variable_is_replaced_once_and_before_it_is_read() {
    let params = Params::seeded(0);
    let fc = Linear::with(&params.at("fc"), 3, 2, LinearOptions::new().bias(false));
    let graph = train();
    let x = float(&graph, "x", [4, 3]);
    let y = fc.forward(&x);
    graph.replace(fc.weight(), &float(&graph, "w", [2, 3]));
    assert_brief(
        &compile_error(&params, &y),
        "replace(f32[2, 3]): `fc.weight` was read or replaced before / replace a variable once, before any layer that \
         reads it is traced",
    );
    let graph = train();
    let y = float(&graph, "x", [4, 3]);
    graph.replace(fc.weight(), &y);
    assert_brief(
        &compile_error(&params, &y),
        "replace(f32[4, 3]): `fc.weight` is f32[2, 3], its replacement f32[4, 3]",
    );
}

//! Cases of layers composed of ops. The inputs of a case are the inputs of the layer, followed by its variables.

use wgrad_core::{Params, Tensor};
use wgrad_nn::Module;
use wgrad_nn::layers::{
    AttentionCall, Bilinear, BinaryConv2d, BinaryLinear, Embedding, EmbeddingOptions, EncoderMasks, Gru, GruCell, Lstm,
    LstmCell, MultiheadAttention, MultiheadAttentionCall, MultiheadAttentionOptions, RecurrentOptions, Rnn,
    TransformerEncoderLayer, TransformerEncoderLayerOptions, scaled_dot_product_attention,
};

use crate::case::Fill::{self, Below, Normal, Uniform};
use crate::case::{Case, Inputs};
use crate::family::Family;

pub(super) const FAMILY: Family = Family::new(own);

type Made<'a> = Box<dyn Fn(&[Tensor]) -> Vec<Tensor> + 'a>;

/// Returns the case of a layer. `make` creates the layer; `call` calls it with the inputs that are not variables.
fn layer<L: 'static>(
    name: &str,
    inputs: Inputs<'_>,
    make: impl Fn(&Params) -> L + Send + Sync + 'static,
    call: impl Fn(&L, &[Tensor]) -> Vec<Tensor> + Send + Sync + 'static,
) -> Case {
    let params = Params::seeded(0);
    let _ = make(&params);
    let own = inputs.len();
    let shapes: Vec<Vec<usize>> = params.variables().iter().map(|v| v.shape().dims().to_vec()).collect();
    let weights = shapes.iter().map(|shape| (&shape[..], Uniform(-0.6, 0.6)));
    let all: Vec<(&[usize], Fill)> = inputs.iter().copied().chain(weights).collect();
    Case::several(format!("layer {name}"), &all, move |x| {
        let params = Params::seeded(0);
        let layer = make(&params);
        for (variable, weight) in params.variables().iter().zip(&x[own..]) {
            weight.graph().replace(variable, weight);
        }
        let call: Made<'_> = Box::new(|x| call(&layer, x));
        call(&x[..own])
    })
}

/// Returns the case of a layer with one input and one output.
fn module<L: Module + 'static>(
    name: &str,
    input: (&[usize], Fill),
    make: impl Fn(&Params) -> L + Send + Sync + 'static,
) -> Case {
    layer(name, &[input], make, |layer, x| vec![layer.forward(&x[0])])
}

fn own() -> Vec<Case> {
    let mut cases = recurrent();
    cases.extend(attention());
    cases.extend([
        module("embedding with padding", (&[4, 7], Below(9)), |p| {
            Embedding::with(p, 9, 5, EmbeddingOptions::new().padding_idx(-3))
        }),
        layer(
            "bilinear",
            &[(&[6, 5], Normal), (&[6, 7], Normal)],
            |p| Bilinear::new(p, 5, 7, 3),
            |layer, x| vec![layer.forward(&x[0], &x[1])],
        ),
        module("binary linear", (&[9, 33], Normal), |p| BinaryLinear::new(p, 33, 10)),
        module("binary conv2d", (&[2, 3, 7, 6], Normal), |p| BinaryConv2d::new(p, 3, 5, 3)),
    ]);
    cases
}

fn recurrent() -> Vec<Case> {
    let deep = RecurrentOptions::new().num_layers(2).bidirectional(true);
    let projected = RecurrentOptions::new().proj_size(3).batch_first(true);
    let plain = RecurrentOptions::new().bias(false);
    vec![
        layer(
            "lstm of two layers and directions",
            &[(&[4, 3, 5], Normal)],
            move |p| Lstm::with(p, 5, 6, deep),
            |lstm, x| {
                let (y, (h, c)) = lstm.forward(&x[0], None);
                vec![y, h, c]
            },
        ),
        layer(
            "lstm projected, from states",
            &[(&[2, 5, 4], Normal), (&[1, 2, 3], Normal), (&[1, 2, 7], Normal)],
            move |p| Lstm::with(p, 4, 7, projected),
            |lstm, x| {
                let (y, (h, c)) = lstm.forward(&x[0], Some((&x[1], &x[2])));
                vec![y, h, c]
            },
        ),
        layer(
            "gru of two layers and directions",
            &[(&[4, 3, 5], Normal)],
            move |p| Gru::with(p, 5, 6, deep),
            |gru, x| {
                let (y, h) = gru.forward(&x[0], None);
                vec![y, h]
            },
        ),
        layer(
            "gru without bias, of one sequence",
            &[(&[6, 5], Normal), (&[1, 9], Normal)],
            move |p| Gru::with(p, 5, 9, plain),
            |gru, x| {
                let (y, h) = gru.forward(&x[0], Some(&x[1]));
                vec![y, h]
            },
        ),
        module("rnn", (&[5, 3, 4], Normal), |p| Rnn::new(p, 4, 6)),
        layer(
            "cells",
            &[(&[3, 4], Normal)],
            |p| (LstmCell::new(&p.at("lstm"), 4, 5), GruCell::new(&p.at("gru"), 4, 5)),
            |(lstm, gru), x| {
                let (h, c) = lstm.forward(&x[0], None);
                vec![gru.forward(&x[0], Some(&h)), c]
            },
        ),
    ]
}

fn attention() -> Vec<Case> {
    let others =
        MultiheadAttentionOptions::new().kdim(5).vdim(4).add_bias_kv(true).add_zero_attn(true).batch_first(true);
    let encoder = |norm_first: bool| {
        TransformerEncoderLayerOptions::new().dim_feedforward(20).dropout(0.1).batch_first(true).norm_first(norm_first)
    };
    let products: Inputs<'_> = &[(&[2, 3, 5, 4], Normal), (&[2, 3, 7, 4], Normal), (&[2, 3, 7, 6], Normal)];
    let shared: Inputs<'_> = &[(&[2, 4, 5, 4], Normal), (&[2, 2, 7, 4], Normal), (&[2, 2, 7, 6], Normal)];
    let mut cases = vec![
        Case::several("attention, causal and with numbers added", &[products, &[(&[5, 7], Normal)]].concat(), |x| {
            let call = AttentionCall::new().attn_mask(&x[3]).is_causal(true);
            vec![scaled_dot_product_attention(&x[0], &x[1], &x[2], call)]
        }),
        Case::several("attention with shared heads and keys left out", shared, |x| {
            // All keys are masked for the first query.
            let graph = x[0].graph();
            let [row, column] = [[5, 1], [1, 7]].map(|shape| graph.iota(shape).to_f32());
            let mask = column.lt(&(row * 2.0));
            let call = AttentionCall::new().attn_mask(&mask).enable_gqa(true);
            vec![scaled_dot_product_attention(&x[0], &x[1], &x[2], call)]
        }),
        layer(
            "attention to oneself with padding",
            &[(&[5, 3, 8], Normal), (&[3, 5], Below(2))],
            |p| MultiheadAttention::new(p, 8, 2),
            |attention, x| {
                // The first key is never masked.
                let padding = x[1].logical_and(&x[1].graph().iota([1, 5]));
                let call = MultiheadAttentionCall::new().key_padding_mask(&padding).is_causal(true);
                let (y, weights) = attention.forward(&x[0], &x[0], &x[0], call);
                vec![y, weights.expect("weights are asked for")]
            },
        ),
        layer(
            "attention to others with added keys",
            &[(&[2, 3, 6], Normal), (&[2, 4, 5], Normal), (&[2, 4, 4], Normal), (&[4, 3, 4], Normal)],
            move |p| MultiheadAttention::with(p, 6, 2, others),
            |attention, x| {
                let call = MultiheadAttentionCall::new().attn_mask(&x[3]).average_attn_weights(false);
                let (y, weights) = attention.forward(&x[0], &x[1], &x[2], call);
                vec![y, weights.expect("weights are asked for")]
            },
        ),
    ];
    for norm_first in [false, true] {
        let place = if norm_first { "first" } else { "last" };
        cases.push(layer(
            &format!("transformer encoder with dropout, norm {place}"),
            &[(&[2, 5, 8], Normal)],
            move |p| TransformerEncoderLayer::with(p, 8, 2, encoder(norm_first)),
            |layer, x| vec![layer.forward(&x[0], EncoderMasks::new().is_causal(true))],
        ));
    }
    cases
}

//! Call adapters (functions that translate a call of PyTorch to a graph of wgrad) for layers with
//! parameters, attention and recurrent layers. Norms, convolutions and pooling are in other files.

use serde_json::Value;
use wgrad::prelude::*;

use crate::call::{Adapter, Call, Outcome, Refusal, lacks};

fn linear(at: &Call<'_>) -> Outcome {
    let options = LinearOptions::new().bias(at.option("bias").flag()?);
    let sizes = (at.option("in_features").size()?, at.option("out_features").size()?);
    at.module(&Linear::with(&at.params, sizes.0, sizes.1, options))
}

fn embedding(at: &Call<'_>) -> Outcome {
    if at.option("max_norm").some().is_some() || at.option("scale_grad_by_freq").flag()? {
        return lacks("max_norm or scale_grad_by_freq");
    }
    let padding_idx = at.option("padding_idx").some().map(|index| index.int()).transpose()?;
    let sizes = (at.option("num_embeddings").size()?, at.option("embedding_dim").size()?);
    at.module(&Embedding::with(&at.params, sizes.0, sizes.1, EmbeddingOptions::new().padding_idx(padding_idx)))
}

fn attention(at: &Call<'_>) -> Outcome {
    let size = |name| at.option(name).some().map(|size| size.size()).transpose();
    let options = MultiheadAttentionOptions::new()
        .dropout(at.option("dropout").number()?)
        .bias(at.option("bias").flag()?)
        .add_bias_kv(at.option("add_bias_kv").flag()?)
        .add_zero_attn(at.option("add_zero_attn").flag()?)
        .kdim(size("kdim")?)
        .vdim(size("vdim")?)
        .batch_first(at.option("batch_first").flag()?);
    let sizes = (at.option("embed_dim").size()?, at.option("num_heads").size()?);
    let layer = MultiheadAttention::with(&at.params, sizes.0, sizes.1, options);
    let (padding, mask) = (at.named("key_padding_mask").tensor_or_none()?, at.named("attn_mask").tensor_or_none()?);
    let call = MultiheadAttentionCall::new()
        .key_padding_mask(padding.as_ref())
        .attn_mask(mask.as_ref())
        .need_weights(at.named("need_weights").flag_or(true)?)
        .average_attn_weights(at.named("average_attn_weights").flag_or(true)?)
        .is_causal(false);
    let (q, k, v) = (at.x()?, at.arg(1, "key").tensor()?, at.arg(2, "value").tensor()?);
    let (y, weights) = layer.forward(&q, &k, &v, call);
    Ok([Some(y), weights].into_iter().flatten().collect())
}

/// Parses the sizes and options of a recurrent layer. Calls that must fail pass sizes by position.
fn recurrent(at: &Call<'_>) -> Result<(usize, usize, RecurrentOptions), Refusal> {
    let either = |name, position| {
        let option = at.option(name);
        if option.is_given() { option } else { at.option(position) }
    };
    let options = RecurrentOptions::new()
        .num_layers(either("num_layers", "2").size_or(1)?)
        .bias(at.option("bias").flag_or(true)?)
        .batch_first(at.option("batch_first").flag_or(false)?)
        .dropout(at.option("dropout").number_or(0.0)?)
        .bidirectional(at.option("bidirectional").flag_or(false)?)
        .proj_size(at.option("proj_size").size_or(0)?);
    Ok((either("input_size", "0").size()?, either("hidden_size", "1").size()?, options))
}

/// Returns the first argument. If the constructor must fail, there is no argument, and any valid tensor is
/// returned.
fn sequence(at: &Call<'_>, inputs: usize) -> Result<Tensor, Refusal> {
    let x = at.arg(0, "input");
    if x.is_given() { x.tensor() } else { Ok(at.graph.constant(0.0).expand([2, inputs])) }
}

fn lstm(at: &Call<'_>) -> Outcome {
    let (inputs, hidden, options) = recurrent(at)?;
    let layer = Lstm::with(&at.params, inputs, hidden, options);
    let first = at.arg(1, "hx").some().map(|first| first.tensors()).transpose()?;
    let first = first.as_ref().map(|first| (&first[0], &first[1]));
    let (y, (h, c)) = layer.forward(&sequence(at, inputs)?, first);
    Ok(vec![y, h, c])
}

fn gru(at: &Call<'_>) -> Outcome {
    let (inputs, hidden, options) = recurrent(at)?;
    let layer = Gru::with(&at.params, inputs, hidden, options);
    let first = at.arg(1, "hx").tensor_or_none()?;
    let (y, h) = layer.forward(&sequence(at, inputs)?, first.as_ref());
    Ok(vec![y, h])
}

fn rnn(at: &Call<'_>) -> Outcome {
    let (inputs, hidden, options) = recurrent(at)?;
    let nonlinearity = match at.option("nonlinearity").text_or("tanh")? {
        "tanh" => Nonlinearity::Tanh,
        "relu" => Nonlinearity::Relu,
        other => return Err(Refusal::Untypable(format!("the nonlinearity {other}"))),
    };
    let layer = Rnn::with(&at.params, inputs, hidden, options.nonlinearity(nonlinearity));
    let first = at.arg(1, "hx").tensor_or_none()?;
    let (y, h) = layer.forward(&sequence(at, inputs)?, first.as_ref());
    Ok(vec![y, h])
}

/// Creates a transformer encoder layer. `of` returns the option with the given name.
fn encoder_layer(params: &Params, of: &dyn Fn(&str) -> Value) -> Result<TransformerEncoderLayer, Refusal> {
    let size = |name: &str| of(name).as_u64().and_then(|size| usize::try_from(size).ok());
    let (Some(d_model), Some(nhead)) = (size("d_model"), size("nhead")) else {
        return Err(Refusal::Untypable("d_model or nhead".into()));
    };
    let activation = of("activation");
    let activation = match activation.as_str().or_else(|| activation.get("function")?.as_str()) {
        None | Some("relu") => TransformerActivation::Relu,
        Some("gelu") => TransformerActivation::Gelu,
        Some(other) => return Err(Refusal::Untypable(format!("the activation {other}"))),
    };
    let options = TransformerEncoderLayerOptions::new()
        .dim_feedforward(size("dim_feedforward").unwrap_or(2048))
        // All recorded calls have dropout 0, because random results cannot be compared.
        .dropout(of("dropout").as_f64().unwrap_or(0.0))
        .activation(activation)
        .layer_norm_eps(of("layer_norm_eps").as_f64().unwrap_or(1e-5))
        .batch_first(of("batch_first").as_bool().unwrap_or(false))
        .norm_first(of("norm_first").as_bool().unwrap_or(false))
        .bias(of("bias").as_bool().unwrap_or(true));
    Ok(TransformerEncoderLayer::with(params, d_model, nhead, options))
}

fn transformer_layer(at: &Call<'_>) -> Outcome {
    let layer = encoder_layer(&at.params, &|name| at.case.options.get(name).cloned().unwrap_or_default())?;
    let (mask, padding) = (at.named("src_mask").tensor_or_none()?, at.named("src_key_padding_mask").tensor_or_none()?);
    let masks = EncoderMasks::new()
        .src_mask(mask.as_ref())
        .src_key_padding_mask(padding.as_ref())
        .is_causal(at.named("is_causal").flag_or(false)?);
    Ok(vec![layer.forward(&at.x()?, masks)])
}

fn transformer(at: &Call<'_>) -> Outcome {
    let options = at.option("encoder_layer").value.clone();
    let of = |name: &str| options.get(name).cloned().unwrap_or_default();
    let _ = encoder_layer(&Params::seeded(0), &of)?;
    let build = |params: &Params| encoder_layer(params, &of).unwrap_or_else(|_| unreachable!("it was made before"));
    let encoder = TransformerEncoder::new(&at.params, at.option("num_layers").size()?, build);
    let (mask, padding) = (at.named("mask").tensor_or_none()?, at.named("src_key_padding_mask").tensor_or_none()?);
    let masks = EncoderMasks::new().src_mask(mask.as_ref()).src_key_padding_mask(padding.as_ref()).is_causal(false);
    Ok(vec![encoder.forward(&at.x()?, masks)])
}

fn product_attention(at: &Call<'_>) -> Outcome {
    let mask = at.arg(3, "attn_mask").tensor_or_none()?;
    let dropout = Dropout::new(&at.params.at("dropout"), certain(at.named("dropout_p").number_or(0.0)?)?);
    let call = AttentionCall::new()
        .attn_mask(mask.as_ref())
        .dropout(&dropout)
        .is_causal(at.named("is_causal").flag_or(false)?)
        .scale(at.named("scale").some().map(|scale| scale.number()).transpose()?)
        .enable_gqa(at.named("enable_gqa").flag_or(false)?);
    let (k, v) = (at.arg(1, "key").tensor()?, at.arg(2, "value").tensor()?);
    Ok(vec![scaled_dot_product_attention(&at.x()?, &k, &v, call)])
}

/// Accepts only the dropout probabilities 0 and 1, with which the result does not depend on random numbers.
fn certain(p: f64) -> Result<f64, Refusal> {
    if p > 0.0 && p < 1.0 { lacks("random draws") } else { Ok(p) }
}

/// Returns the dropout probability, which is 0 outside training.
fn dropped(at: &Call<'_>) -> Result<f64, Refusal> {
    let p = at.arg(1, "p").number_or(0.5)?;
    certain(if at.arg(2, "training").flag_or(true)? { p } else { 0.0 })
}

/// Parses the sizes and options of a recurrent cell. In calls that must fail, `bias` is text.
fn cell(at: &Call<'_>) -> Result<(usize, usize, RecurrentCellOptions), Refusal> {
    let options = RecurrentCellOptions::new().bias(at.option("bias").flag()?);
    Ok((at.option("input_size").size()?, at.option("hidden_size").size()?, options))
}

fn rnn_cell(at: &Call<'_>) -> Outcome {
    let (inputs, hidden, options) = cell(at)?;
    let nonlinearity = match at.option("nonlinearity").text()? {
        "relu" => Nonlinearity::Relu,
        _ => Nonlinearity::Tanh,
    };
    let layer = RnnCell::with(&at.params, inputs, hidden, options.nonlinearity(nonlinearity));
    Ok(vec![layer.forward(&at.x()?, at.arg(1, "hx").tensor_or_none()?.as_ref())])
}

fn gru_cell(at: &Call<'_>) -> Outcome {
    let (inputs, hidden, options) = cell(at)?;
    let layer = GruCell::with(&at.params, inputs, hidden, options);
    Ok(vec![layer.forward(&at.x()?, at.arg(1, "hx").tensor_or_none()?.as_ref())])
}

fn lstm_cell(at: &Call<'_>) -> Outcome {
    let (inputs, hidden, options) = cell(at)?;
    let layer = LstmCell::with(&at.params, inputs, hidden, options);
    let states = at.arg(1, "hx").some().map(|states| states.tensors()).transpose()?;
    let (h, c) = match states.as_deref() {
        Some([h, c]) => layer.forward(&at.x()?, Some((h, c))),
        _ => layer.forward(&at.x()?, None),
    };
    Ok(vec![h, c])
}

pub static ADAPTERS: &[(&str, Adapter)] = &[
    ("nn.Linear", linear),
    ("nn.Embedding", embedding),
    ("nn.MultiheadAttention", attention),
    ("nn.LSTM", lstm),
    ("nn.GRU", gru),
    ("nn.RNN", rnn),
    ("nn.RNNCell", rnn_cell),
    ("nn.GRUCell", gru_cell),
    ("nn.LSTMCell", lstm_cell),
    ("nn.TransformerEncoderLayer", transformer_layer),
    ("nn.TransformerEncoder", transformer),
    ("nn.functional.scaled_dot_product_attention", product_attention),
    ("nn.functional.dropout", |at| Ok(vec![at.x()?.dropout(dropped(at)?, [0; 2], 0, &at.graph.constant_u32(0))])),
    ("nn.functional.dropout2d", |at| at.module(&Dropout2d::new(&at.params, dropped(at)?))),
    ("nn.Bilinear", |at| {
        let sizes = [at.option("in1_features").size()?, at.option("in2_features").size()?];
        let (outputs, options) =
            (at.option("out_features").size()?, BilinearOptions::new().bias(at.option("bias").flag()?));
        let layer = Bilinear::with(&at.params, sizes[0], sizes[1], outputs, options);
        Ok(vec![layer.forward(&at.x()?, &at.arg(1, "input2").tensor()?)])
    }),
    ("nn.functional.bilinear", |at| {
        let (x2, weight) = (at.arg(1, "input2").tensor()?, at.arg(2, "weight").tensor()?);
        Ok(vec![bilinear(&at.x()?, &x2, &weight, at.arg(3, "bias").tensor_or_none()?.as_ref())])
    }),
    ("nn.functional.linear", |at| {
        let bias = at.arg(2, "bias").tensor_or_none()?;
        if at.case.error.is_none() && at.arg(1, "weight").tensor()?.shape().rank() == 1 {
            return lacks("a weight of one axis");
        }
        Ok(vec![at.x()?.linear(&at.arg(1, "weight").tensor()?, bias.as_ref())])
    }),
];

//! A small causal transformer that predicts the next character of a text.

use wgrad::prelude::*;

/// Sizes of a [`CharTransformer`].
#[derive(Clone, Copy)]
pub struct Sizes {
    pub characters: usize,
    /// Length of the longest text that the model can read.
    pub context: usize,
    pub features: usize,
    pub heads: usize,
    pub layers: usize,
    pub dropout: f64,
}

/// Model that predicts the next character at each position of a text from the characters up to that position.
pub struct CharTransformer {
    characters: Embedding,
    places: Embedding,
    encoder: TransformerEncoder,
    head: Linear,
}

impl CharTransformer {
    pub fn new(p: &Params, sizes: Sizes) -> Self {
        let Sizes { characters, context, features, heads, layers, dropout } = sizes;
        let options = TransformerEncoderLayerOptions::new()
            .dim_feedforward(4 * features)
            .dropout(dropout)
            .activation(TransformerActivation::Gelu)
            .batch_first(true)
            .norm_first(true);
        let norm = TransformerEncoderOptions::new().norm(LayerNormOptions::new());
        let layer = |p: &Params| TransformerEncoderLayer::with(p, features, heads, options);
        Self {
            characters: Embedding::new(&p.at("characters"), characters, features),
            places: Embedding::new(&p.at("places"), context, features),
            encoder: TransformerEncoder::with(&p.at("encoder"), layers, layer, norm),
            head: Linear::new(&p.at("head"), features, characters),
        }
    }

    /// Returns the mean cross-entropy. `x` and `next` have shape `[N, length]`; `next` contains the characters of
    /// `x` shifted by one position.
    pub fn loss(&self, x: &Tensor, next: &Tensor) -> Tensor {
        let logits = self.forward(x);
        let (rows, classes) = (next.shape().numel(), logits.shape().dims().last().copied().unwrap_or(1));
        CrossEntropyLoss::new().forward(&logits.reshape([rows, classes]), &next.reshape([rows]))
    }
}

impl Module for CharTransformer {
    /// Computes logits `[N, length, characters]` from characters `x`, `u32` of shape `[N, length]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        let length = x.shape().dims().last().copied().unwrap_or(0);
        let places = self.places.forward(&x.graph().iota([length]));
        let text = self.characters.forward(x) + places;
        let causal = EncoderMasks::new().is_causal(true);
        self.head.forward(&self.encoder.forward(&text, causal))
    }
}

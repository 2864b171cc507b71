//! A convolutional network for lines of text, given as rows of character codes.

use wgrad::prelude::*;

/// Convolutions with several kernel widths over neighbouring characters, followed by max pooling, batch norm, and
/// two linear layers. Max pooling keeps the largest value of each channel in the line. Source: Kim, "Convolutional
/// neural networks for sentence classification", 2014.
pub struct TextCnn {
    embedding: Embedding,
    convs: Vec<Conv1d>,
    norm: BatchNorm1d,
    fc1: Linear,
    dropout: Dropout,
    fc2: Linear,
}

const WIDTHS: [usize; 3] = [3, 4, 5];

impl TextCnn {
    /// Creates a model for `characters` codes (0 is padding), with `channels` channels for each kernel width.
    pub fn new(p: &Params, characters: usize, channels: usize, classes: usize, dropout: f64) -> Self {
        let features = 16;
        let padded = EmbeddingOptions::new().padding_idx(0);
        let conv = |(i, &width): (usize, &usize)| Conv1d::new(&p.at("convs").at(i), features, channels, width);
        let joined = channels * WIDTHS.len();
        Self {
            embedding: Embedding::with(&p.at("embedding"), characters, features, padded),
            convs: WIDTHS.iter().enumerate().map(conv).collect(),
            norm: BatchNorm1d::new(&p.at("norm"), joined),
            fc1: Linear::new(&p.at("fc1"), joined, 32),
            dropout: Dropout::new(&p.at("dropout"), dropout),
            fc2: Linear::new(&p.at("fc2"), 32, classes),
        }
    }
}

impl Module for TextCnn {
    /// Computes logits `[N, classes]` from codes `x` of shape `[N, length]`, as `u32` or as whole numbers in
    /// `f32`.
    fn forward(&self, x: &Tensor) -> Tensor {
        // The shape becomes [N, features, length], because convolutions expect channels before positions.
        let characters = self.embedding.forward(&x.to_u32()).transpose(1, 2);
        let largest = |conv: &Conv1d| conv.forward(&characters).relu().amax([-1]);
        let largest: Vec<Tensor> = self.convs.iter().map(largest).collect();
        let joined = self.norm.forward(&cat(&largest.iter().collect::<Vec<_>>(), 1));
        self.fc2.forward(&self.dropout.forward(&self.fc1.forward(&joined).relu()))
    }
}

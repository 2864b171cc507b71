//! One trunk with two heads: the digit that an image shows, and properties of that digit.

use wgrad::prelude::*;

/// Labels of the second head; any number of them can hold.
pub const PROPERTIES: [&str; 4] = ["even", "prime", "above 4", "has a loop"];

/// Returns the properties of each digit, one row per digit: 1 if it has the property.
pub fn properties() -> Array {
    let of = |digit: u32| {
        let facts = [digit.is_multiple_of(2), [2, 3, 5, 7].contains(&digit), digit > 4, [0, 6, 8, 9].contains(&digit)];
        facts.map(|fact| f32::from(u8::from(fact)))
    };
    Array::new([10, 4], (0..10).flat_map(of).collect()).expect("ten rows of four")
}

pub struct TwoHeads {
    fc1: Linear,
    fc2: Linear,
    digit: Linear,
    properties: Linear,
}

impl TwoHeads {
    pub fn new(p: &Params, pixels: usize) -> Self {
        Self {
            fc1: Linear::new(&p.at("fc1"), pixels, 64),
            fc2: Linear::new(&p.at("fc2"), 64, 64),
            digit: Linear::new(&p.at("digit"), 64, 10),
            properties: Linear::new(&p.at("properties"), 64, PROPERTIES.len()),
        }
    }

    /// Returns the logits of both heads, `[N, 10]` and `[N, 4]`.
    pub fn forward(&self, x: &Tensor) -> (Tensor, Tensor) {
        let trunk = self.fc2.forward(&self.fc1.forward(x).relu()).relu();
        (self.digit.forward(&trunk), self.properties.forward(&trunk))
    }

    /// Returns the sum of both heads' losses: one class of ten, and four labels that do not exclude each other.
    pub fn loss(&self, x: &Tensor, digits: &Tensor) -> Tensor {
        let (digit, property) = self.forward(x);
        // The targets of the second head follow from the digit: rows of a small table.
        let facts = x.graph().array(properties()).embedding(digits);
        // Each property has its own balance: four of ten digits are prime, so a positive counts 6/4.
        let binary = BceWithLogitsLoss::new().pos_weight([1.0, 1.5, 1.0, 1.5]);
        CrossEntropyLoss::new().forward(&digit, digits) + binary.forward(&property, &facts)
    }
}

//! Model whose hidden layers are shared by two output layers (heads): one for the digit that an image shows, one
//! for properties of that digit.

use wgrad::prelude::*;

/// Labels of the second head. Any number of them can apply to a digit.
pub const PROPERTIES: [&str; 4] = ["even", "prime", "above 4", "has a loop"];

/// Returns a table with a row for each digit and a column for each property: 1 if the digit has the property, else
/// 0.
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

    /// Returns the logits of both heads, of shapes `[N, 10]` and `[N, 4]`.
    pub fn forward(&self, x: &Tensor) -> (Tensor, Tensor) {
        let trunk = self.fc2.forward(&self.fc1.forward(x).relu()).relu();
        (self.digit.forward(&trunk), self.properties.forward(&trunk))
    }

    /// Returns the sum of both heads' losses: cross-entropy over ten classes, and binary cross-entropy over four
    /// labels.
    pub fn loss(&self, x: &Tensor, digits: &Tensor) -> Tensor {
        let (digit, property) = self.forward(x);
        // The targets of the second head follow from the digit, so they are looked up in the table of properties.
        let facts = x.graph().array(properties()).embedding(digits);
        // Each property has its own weight: four of ten digits are prime, so a positive row counts 6/4.
        let binary = BceWithLogitsLoss::new().pos_weight([1.0, 1.5, 1.0, 1.5]);
        CrossEntropyLoss::new().forward(&digit, digits) + binary.forward(&property, &facts)
    }
}

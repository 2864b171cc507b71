//! Numbers that keep their bits when they are saved as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Number that keeps its bits when it is saved: as a JSON number, or as a string of its bits if it is infinite or NaN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number(pub f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.serialize_str(&format!("{:016x}", self.0.to_bits()))
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Plain(f64),
            Bits(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Plain(number) => Ok(Self(number)),
            Either::Bits(bits) => u64::from_str_radix(&bits, 16)
                .map(|bits| Self(f64::from_bits(bits)))
                .map_err(|_| serde::de::Error::custom("the bits of a number are 16 hexadecimal digits")),
        }
    }
}

/// Tracked values by name.
pub(crate) type Numbers = BTreeMap<String, Vec<Number>>;

pub(crate) fn numbers(values: &BTreeMap<String, Vec<f64>>) -> Numbers {
    values.iter().map(|(name, values)| (name.clone(), values.iter().copied().map(Number).collect())).collect()
}

pub(crate) fn values(numbers: &Numbers) -> BTreeMap<String, Vec<f64>> {
    numbers.iter().map(|(name, numbers)| (name.clone(), numbers.iter().map(|number| number.0).collect())).collect()
}

/// Epoch with the best measure so far. In a file it is a list of the two.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "(usize, Number)", from = "(usize, Number)")]
pub(crate) struct BestEpoch {
    pub epoch: usize,
    pub value: Number,
}

impl BestEpoch {
    pub fn new(epoch: usize, value: f64) -> Self {
        Self { epoch, value: Number(value) }
    }

    pub fn value(self) -> f64 {
        self.value.0
    }
}

impl From<BestEpoch> for (usize, Number) {
    fn from(best: BestEpoch) -> Self {
        (best.epoch, best.value)
    }
}

impl From<(usize, Number)> for BestEpoch {
    fn from((epoch, value): (usize, Number)) -> Self {
        Self { epoch, value }
    }
}

//! Numbers that have the same bits after they are saved as JSON and read back, including infinities and NaN.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Number that has the same bits after it is saved as JSON and read back. A finite number is saved as a JSON
/// number; an infinity or NaN as a string with its bits in hexadecimal.
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

/// Values passed to [`Graph::track`](wgrad_core::Graph::track), by name.
pub(crate) type Numbers = BTreeMap<String, Vec<Number>>;

pub(crate) fn numbers(values: &BTreeMap<String, Vec<f64>>) -> Numbers {
    values.iter().map(|(name, values)| (name.clone(), values.iter().copied().map(Number).collect())).collect()
}

pub(crate) fn values(numbers: &Numbers) -> BTreeMap<String, Vec<f64>> {
    numbers.iter().map(|(name, numbers)| (name.clone(), numbers.iter().map(|number| number.0).collect())).collect()
}

/// Epoch with the best loss or metric so far. In JSON it is the list `[epoch, value]`.
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

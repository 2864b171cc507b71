//! Functions that read the fixtures: a safetensors file for each module or operator of PyTorch, with the recorded
//! calls in the file's metadata.

use std::collections::BTreeMap;
use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};
use wgrad::core::Array;

/// A module or operator of PyTorch with all recorded calls.
pub struct Subject {
    pub name: String,
    pub cases: Vec<Case>,
}

/// One recorded call.
pub struct Case {
    pub subject: String,
    pub number: u64,
    pub args: Map<String, Value>,
    pub options: Map<String, Value>,
    pub train: bool,
    pub outputs: usize,
    /// PyTorch's exception, if the call must fail.
    pub error: Option<String>,
    /// For each tensor: the error of PyTorch's `f32` run, and the change of its `f64` result when inputs are
    /// rounded.
    off: Map<String, Value>,
    tensors: BTreeMap<String, Array>,
}

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/torch")
}

pub fn json(file: &str) -> Value {
    let text = std::fs::read(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Returns all modules and operators, in the order of the index file.
pub fn subjects() -> Vec<Subject> {
    json("index.json")["subjects"].as_object().expect("names").keys().map(|name| read(name)).collect()
}

fn read(name: &str) -> Subject {
    let file = folder().join(format!("data/{name}.safetensors"));
    let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("a header");
    let cases: Value = serde_json::from_str(&metadata.metadata().as_ref().expect("metadata")["cases"]).expect("JSON");
    let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
    let mut by_case: BTreeMap<u64, BTreeMap<String, Array>> = BTreeMap::new();
    for (key, view) in tensors.tensors() {
        let (case, key) = key.split_once('/').expect("a case and a key");
        let (shape, data) = (view.shape(), view.data());
        let array = match view.dtype() {
            Dtype::F64 => Array::new(shape, data.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect()),
            Dtype::F32 => Array::new(shape, data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()),
            Dtype::I32 => Array::new(shape, data.as_chunks().0.iter().map(|&b| i32::from_le_bytes(b) as u32).collect()),
            Dtype::U8 => Array::new(shape, data.iter().map(|&byte| u32::from(byte)).collect()),
            other => panic!("{name}/{key} is {other:?}"),
        };
        by_case.entry(case.parse().expect("a number")).or_default().insert(key.into(), array.expect("full"));
    }
    let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let case = |value: &Value| {
        let number = value["case"].as_u64().expect("a number");
        Case {
            subject: name.into(),
            number,
            args: object(&value["args"]),
            options: object(&value["options"]),
            // For a function, the mode is an argument.
            train: value["train"].as_bool().or(value["args"]["training"].as_bool()).unwrap_or(true),
            outputs: usize::try_from(value["outputs"].as_u64().unwrap_or(0)).expect("few"),
            error: value["error"].as_str().map(Into::into),
            off: object(&value["off"]),
            tensors: by_case.remove(&number).unwrap_or_default(),
        }
    };
    Subject { name: name.into(), cases: cases.as_array().expect("cases").iter().map(case).collect() }
}

impl Case {
    pub fn has(&self, key: &str) -> bool {
        self.tensors.contains_key(key)
    }

    pub fn array(&self, key: &str) -> Array {
        self.tensors.get(key).unwrap_or_else(|| panic!("{self} has no {key}")).clone()
    }

    /// Returns all keys that begin with `start`, without that beginning.
    pub fn keys<'a>(&'a self, start: &'a str) -> impl Iterator<Item = &'a str> {
        self.tensors.keys().filter_map(move |key| key.strip_prefix(start))
    }

    /// Returns the error of PyTorch's `f32` run, and the change of its `f64` result when inputs are rounded.
    pub fn off(&self, key: &str) -> (f64, f64) {
        let pair = &self.off[key];
        (pair[0].as_f64().expect("a number"), pair[1].as_f64().expect("a number"))
    }

    /// Describes the call without its sizes and numbers: options, arguments, and ranks of tensors.
    pub fn form(&self) -> String {
        let ranks: Vec<_> = self
            .tensors
            .iter()
            .filter(|(key, _)| key.starts_with("in/"))
            .map(|(key, array)| (key, array.shape().rank(), array.dtype()))
            .collect();
        format!("{:?} {:?} {} {ranks:?} {}", self.options, self.args, self.train, self.error.is_some())
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.subject, self.number)
    }
}

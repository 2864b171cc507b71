//! Functions that read the fixtures (recorded results of PyTorch) and compare results with them.

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use wgrad::prelude::*;

/// Cases in which PyTorch itself is less accurate: the start of the case's name, its bound in `f64`, and the
/// reason.
const LOOSER: [(&str, f64, &str); 3] = [
    ("activations/softplus", 2e-9, "PyTorch takes y = x above its threshold of 20"),
    (
        "curves/bce-batchnorm-adamw/final/fc1.bias",
        1e-8,
        "a bias before a batch norm has a gradient of rounding errors only, which AdamW scales up to steps",
    ),
    ("curves/bce-batchnorm-adamw/final/bn1.running_mean", 1e-8, "moves with that bias"),
];
/// Cases with a larger bound in `f32`: the start of the case's name, the bound, and the reason.
const LOOSER_F32: [(&str, f64, &str); 2] = [
    ("curves/bce-batchnorm-adamw/final/fc1.bias", 0.1, "as in f64, with larger rounding errors"),
    ("curves/bce-batchnorm-adamw/final/bn1.running_mean", 0.1, "moves with that bias"),
];

/// Precision in which a case runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Run {
    F64,
    F32,
}

impl Run {
    pub fn session(self, params: &Params) -> Session {
        match self {
            Self::F64 => Session::new(CpuBackend::<f64>::new(), params),
            Self::F32 => Session::new(CpuBackend::<f32>::new(), params),
        }
        .unwrap()
    }
}

/// One test case of a group, to run in one precision.
pub struct Case<'a> {
    group: &'a str,
    pub name: String,
    pub options: Value,
    names: Vec<String>,
    tensors: &'a SafeTensors<'a>,
    pub run: Run,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Runs every case of a group in both precisions, and reports all differences at the end.
pub fn each(group: &str, mut body: impl FnMut(&Case<'_>) -> Vec<(String, Array)>) {
    let index: Value = serde_json::from_slice(&std::fs::read(folder().join("index.json")).unwrap()).unwrap();
    let bytes = std::fs::read(folder().join(format!("{group}.safetensors"))).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let (mut wrong, mut values) = (vec![], 0);
    let cases = index[group].as_array().unwrap();
    for case in cases {
        for run in [Run::F64, Run::F32] {
            let names = case["tensors"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().into()).collect();
            let name = case["name"].as_str().unwrap().to_string();
            let case = Case { group, name, options: case["options"].clone(), names, tensors: &tensors, run };
            for (name, found) in body(&case) {
                values += found.shape().numel();
                wrong.extend(case.difference(&name, &found));
            }
        }
    }
    println!("{group}: {} cases, {values} values compared in f64 and f32", cases.len());
    assert!(wrong.is_empty(), "{} of {group} differ:\n{}", wrong.len(), wrong.join("\n"));
}

impl Case<'_> {
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Returns a tensor of the case. Integers are converted to `u32`; only their low 32 bits are kept.
    pub fn array(&self, name: &str) -> Array {
        let view = self.tensors.tensor(&format!("{}/{name}", self.name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (shape, bytes) = (view.shape(), view.data());
        match view.dtype() {
            Dtype::F64 => Array::new(shape, bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect()),
            Dtype::F32 => Array::new(shape, bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()),
            Dtype::I64 => {
                let word = |&b: &[u8; 8]| i64::from_le_bytes(b) as u32;
                Array::new(shape, bytes.as_chunks().0.iter().map(word).collect())
            }
            other => panic!("{name} is {other:?}"),
        }
        .unwrap()
    }

    /// Returns the tensor to which an option refers by name.
    pub fn option_array(&self, option: &str) -> Option<Array> {
        self.options[option].as_str().map(|name| self.array(name))
    }

    pub fn number(&self, option: &str) -> f64 {
        self.options[option].as_f64().unwrap_or_else(|| panic!("{option} of {}", self.name))
    }

    pub fn size(&self, option: &str) -> usize {
        usize::try_from(self.options[option].as_u64().unwrap()).unwrap()
    }

    pub fn flag(&self, option: &str) -> bool {
        self.options[option].as_bool().unwrap_or_else(|| panic!("{option} of {}", self.name))
    }

    /// Compares a result with the fixture. Returns a message if they differ.
    fn difference(&self, name: &str, found: &Array) -> Option<String> {
        let truth = self.array(name);
        let at = format!("{}/{}/{name}", self.group, self.name);
        if found.shape() != truth.shape() {
            return Some(format!("{at}: the shape is {}, not {}", found.shape(), truth.shape()));
        }
        let truth = truth.to_f64();
        let bound = match self.run {
            Run::F64 => LOOSER.iter().find(|(start, ..)| at.starts_with(start)).map_or(1e-11, |(_, bound, _)| *bound),
            Run::F32 => {
                let pytorch = self.array(&format!("f32/{name}")).to_f64();
                let worst = pytorch.iter().zip(&truth).map(|(&a, &b)| distance(a, b)).fold(0.0, f64::max);
                let looser = LOOSER_F32.iter().find(|(start, ..)| at.starts_with(start));
                looser.map_or((4.0 * worst).max(64.0 * 2f64.powi(-24)), |(_, bound, _)| *bound)
            }
        };
        let values = found.to_f64();
        let (i, worst) = values
            .iter()
            .zip(&truth)
            .map(|(&a, &b)| distance(a, b))
            .enumerate()
            .fold((0, 0.0), |worst, (i, distance)| if distance > worst.1 { (i, distance) } else { worst });
        let run = if self.run == Run::F64 { "f64" } else { "f32" };
        (worst > bound).then(|| {
            format!("{at} in {run}: element {i} is {}, not {}: {worst:.2e} above {bound:.2e}", values[i], truth[i])
        })
    }
}

/// Returns the distance of two numbers relative to `max(1, |truth|)`. The distance between two NaN is 0.
fn distance(a: f64, b: f64) -> f64 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (false, false) => (a - b).abs() / b.abs().max(1.0),
        _ => f64::INFINITY,
    }
}

/// Graph with its feeds, and the outputs and gradients to fetch, by name.
pub struct Trace {
    pub graph: Graph,
    feeds: Vec<(Tensor, Array)>,
    fetches: Vec<(String, Tensor)>,
}

impl Trace {
    pub fn new(mode: Mode) -> Self {
        Self { graph: Graph::new(mode), feeds: vec![], fetches: vec![] }
    }

    pub fn feed(&mut self, name: &str, array: Array) -> Tensor {
        let dtype = if array.dtype() == DType::U32 { DType::U32 } else { DType::F32 };
        let tensor = self.graph.input(name, array.shape(), dtype);
        self.feeds.push((tensor.clone(), array));
        tensor
    }

    pub fn fetch(&mut self, name: impl Into<String>, tensor: &Tensor) {
        self.fetches.push((name.into(), tensor.clone()));
    }

    /// Fetches the gradients of `y`, weighted with `cotangent`, with respect to the tensors in `wrt` on which `y`
    /// depends.
    pub fn gradients(&mut self, y: &Tensor, cotangent: Array, wrt: &[(String, Tensor)]) {
        let cotangent = self.feed("cotangent", cotangent);
        let tensors: Vec<_> = wrt.iter().map(|(_, tensor)| tensor.clone()).collect();
        for ((name, _), gradient) in wrt.iter().zip(vjp(&[(y, &cotangent)], &tensors)) {
            self.fetch(name, &gradient.unwrap_or_else(|| panic!("no gradient {name}")));
        }
    }

    pub fn run(&self, session: &mut Session) -> Result<Vec<(String, Array)>> {
        let fetches: Vec<_> = self.fetches.iter().map(|(_, tensor)| tensor).collect();
        let step = session.compile(&self.graph, &fetches)?;
        let feeds: Vec<_> = self.feeds.iter().map(|(tensor, array)| (tensor, array)).collect();
        let arrays = session.run(&step, &feeds)?;
        Ok(self.fetches.iter().map(|(name, _)| name.clone()).zip(arrays).collect())
    }
}

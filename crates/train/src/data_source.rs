//! Data set as input of training steps: features and targets of rows, gathered into arrays.
//!
//! This is the only place where training reads a data set. Another kind of data needs another source and nothing else.

use std::sync::Arc;

use wgrad_core::{Array, DType, Graph, Limits, Result, Tensor};

use crate::error::TrainSettingError;
use wgrad_data::Dataset;

/// Form in which the loss receives the classes of a batch of `N` rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Targets {
    /// [`Self::Binary`] for two classes, [`Self::Classes`] for more.
    #[default]
    Automatic,
    /// `f32[N, 1]`, 1 for the positive class: for `BceWithLogitsLoss` with a model of one output.
    Binary,
    /// `u32[N]`: for `CrossEntropyLoss` with a model of one output per class.
    Classes,
}

impl Targets {
    /// Resolves [`Self::Automatic`] for a data set.
    ///
    /// # Errors
    /// When the targets are binary and the data set does not have two classes.
    fn of(self, data: &Dataset) -> Result<Self> {
        let classes = data.classes();
        match self {
            Self::Automatic | Self::Binary if classes.len() == 2 => Ok(Self::Binary),
            Self::Automatic | Self::Classes => Ok(Self::Classes),
            Self::Binary => Err(TrainSettingError::BinaryTargets { classes: classes.to_vec() }.into()),
        }
    }

    #[track_caller]
    fn input(self, graph: &Graph, rows: usize) -> Tensor {
        match self {
            Self::Classes => graph.input("y", [rows], DType::U32),
            _ => graph.input("y", [rows, 1], DType::F32),
        }
    }

    /// Returns the targets of rows with these labels, in a shape that begins with `dims`.
    fn array(self, dims: &[usize], labels: Vec<u32>) -> Result<Array> {
        match self {
            Self::Classes => Array::new(dims, labels),
            _ => Array::new([dims, &[1]].concat(), labels.into_iter().map(|label| label as f32).collect()),
        }
    }
}

/// Largest features, in bytes, that are kept on a device. A quarter of its largest buffer binding is a limit as well.
const RESIDENT: u64 = 1 << 30;

/// Data set with the form of its targets.
#[derive(Clone, Copy)]
pub(crate) struct DataSource<'a> {
    data: &'a Dataset,
    targets: Targets,
}

/// Features and targets of all rows, kept on a device.
pub(crate) struct Resident {
    x: Arc<Array>,
    y: Arc<Array>,
}

/// Features and targets of a batch in a graph, and the graph inputs that they are computed from.
pub(crate) struct BatchTensors {
    pub inputs: Vec<Tensor>,
    pub x: Tensor,
    pub y: Tensor,
}

impl<'a> DataSource<'a> {
    pub fn new(data: &'a Dataset, targets: Targets) -> Result<Self> {
        Ok(Self { data, targets: targets.of(data)? })
    }

    /// Returns a source over another data set, with targets of the same form.
    pub fn like(self, data: &'a Dataset) -> Self {
        Self { data, ..self }
    }

    /// Returns whether a data set's features are kept on a device with these limits.
    pub fn fits(data: &Dataset, limits: &Limits) -> bool {
        !data.is_on_disk() && data.feature_bytes() <= RESIDENT.min(limits.binding_bytes / 4)
    }

    pub fn data(self) -> &'a Dataset {
        self.data
    }

    pub fn rows(self) -> usize {
        self.data.rows()
    }

    /// Returns the bytes of a row's features.
    pub fn row_bytes(self) -> usize {
        self.data.features() * size_of::<f32>()
    }

    /// Returns the arrays of all rows.
    pub fn resident(self) -> Result<Resident> {
        let y = self.targets.array(&[self.data.rows()], self.data.y().to_vec())?;
        Ok(Resident { x: self.data.x_shared(), y: Arc::new(y) })
    }

    /// Declares a batch whose features and targets are fed from the host.
    pub fn fed(self, graph: &Graph, rows: usize) -> BatchTensors {
        let x = graph.input("x", [rows, self.data.features()], DType::F32);
        let y = self.targets.input(graph, rows);
        BatchTensors { inputs: vec![x.clone(), y.clone()], x, y }
    }

    /// Gathers features and targets of some rows, in shapes that begin with `dims`.
    pub fn gather(self, rows: &[u32], dims: &[usize]) -> Result<Vec<Array>> {
        let x = Array::new([dims, &[self.data.features()]].concat(), self.data.gather(rows)?)?;
        let y = self.targets.array(dims, rows.iter().map(|&row| self.data.y()[row as usize]).collect())?;
        Ok(vec![x, y])
    }
}

impl Resident {
    /// Declares a batch whose rows are gathered on the device by their numbers.
    pub fn picked(&self, graph: &Graph, rows: usize) -> BatchTensors {
        let index = graph.input("rows", [rows], DType::U32);
        let [x, y] = [&self.x, &self.y].map(|array| graph.array(array.clone()).embedding(&index));
        BatchTensors { inputs: vec![index], x, y }
    }
}

/// Describes a data set: rows, features, classes and a checksum of all values.
pub(crate) fn describe(data: &Dataset) -> Result<String> {
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = vec![];
    // A few rows at a time, since the features may be on disk.
    let rows: Vec<u32> = (0..u32::MAX).take(data.rows()).collect();
    for rows in rows.chunks(((1 << 14) / data.features().max(1)).max(1)) {
        let values = data.gather(rows)?;
        bytes.clear();
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        hasher.update(&bytes);
    }
    for labels in data.y().chunks(1 << 14) {
        bytes.clear();
        bytes.extend(labels.iter().flat_map(|label| label.to_le_bytes()));
        hasher.update(&bytes);
    }
    let (rows, features, classes) = (data.rows(), data.features(), data.classes().len());
    Ok(format!("{rows} of {features} features and {classes} classes, checksum {:08x}", hasher.finalize()))
}

//! Conversion of a data set's rows to the inputs of training steps: arrays of features and targets.
//!
//! Training reads data sets only in this module. To support another kind of data, nothing else has to change.

use std::sync::Arc;

use wgrad_core::{Array, DType, Graph, Limits, Result, Tensor};

use crate::error::TrainSettingError;
use wgrad_data::Dataset;

/// Form of the targets (the class of each row) that the loss function receives for a batch of `N` rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Targets {
    /// [`Self::Binary`] for two classes, [`Self::Classes`] for more.
    #[default]
    Automatic,
    /// `f32[N, 1]` with 1 for the positive class and 0 for the other; for `BceWithLogitsLoss` and a model with one
    /// output.
    Binary,
    /// `u32[N]` with the class numbers; for `CrossEntropyLoss` and a model with one output per class.
    Classes,
}

impl Targets {
    /// Replaces [`Self::Automatic`] by the form that fits the data set's classes. Returns other forms unchanged.
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

    /// Returns the targets for these labels. The shape is `dims`, followed by 1 if the targets are binary.
    fn array(self, dims: &[usize], labels: Vec<u32>) -> Result<Array> {
        match self {
            Self::Classes => Array::new(dims, labels),
            _ => Array::new([dims, &[1]].concat(), labels.into_iter().map(|label| label as f32).collect()),
        }
    }
}

/// Largest total size, in bytes, of features that are kept on the device. A quarter of the device's largest buffer
/// binding is a second limit.
const RESIDENT: u64 = 1 << 30;

/// Data set with the form of its targets.
#[derive(Clone, Copy)]
pub(crate) struct DataSource<'a> {
    data: &'a Dataset,
    targets: Targets,
}

/// Features and targets of all rows, which are uploaded to the device once.
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

    /// Returns a source for another data set, with the same form of targets.
    pub fn like(self, data: &'a Dataset) -> Self {
        Self { data, ..self }
    }

    /// Returns whether a data set is in memory and its features are small enough to be kept on a device with these
    /// limits.
    pub fn fits(data: &Dataset, limits: &Limits) -> bool {
        !data.is_on_disk() && data.feature_bytes() <= RESIDENT.min(limits.binding_bytes / 4)
    }

    pub fn data(self) -> &'a Dataset {
        self.data
    }

    pub fn rows(self) -> usize {
        self.data.rows()
    }

    /// Returns the size of one row's features, in bytes.
    pub fn row_bytes(self) -> usize {
        self.data.features() * size_of::<f32>()
    }

    /// Returns the features and targets of all rows.
    pub fn resident(self) -> Result<Resident> {
        let y = self.targets.array(&[self.data.rows()], self.data.y().to_vec())?;
        Ok(Resident { x: self.data.x_shared(), y: Arc::new(y) })
    }

    /// Declares a batch whose features and targets are graph inputs, which the host uploads in each step.
    pub fn fed(self, graph: &Graph, rows: usize) -> BatchTensors {
        let x = graph.input("x", [rows, self.data.features()], DType::F32);
        let y = self.targets.input(graph, rows);
        BatchTensors { inputs: vec![x.clone(), y.clone()], x, y }
    }

    /// Copies the features and targets of the given rows into arrays whose shapes begin with `dims`.
    pub fn gather(self, rows: &[u32], dims: &[usize]) -> Result<Vec<Array>> {
        let x = Array::new([dims, &[self.data.features()]].concat(), self.data.gather(rows)?)?;
        let y = self.targets.array(dims, rows.iter().map(|&row| self.data.y()[row as usize]).collect())?;
        Ok(vec![x, y])
    }
}

impl Resident {
    /// Declares a batch whose rows the device gathers. The only graph input is the row numbers.
    pub fn picked(&self, graph: &Graph, rows: usize) -> BatchTensors {
        let index = graph.input("rows", [rows], DType::U32);
        let [x, y] = [&self.x, &self.y].map(|array| graph.array(array.clone()).embedding(&index));
        BatchTensors { inputs: vec![index], x, y }
    }
}

/// Describes a data set in one line of text: the numbers of rows, features and classes, and a checksum of all
/// values.
pub(crate) fn describe(data: &Dataset) -> Result<String> {
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = vec![];
    // Reads a few rows at a time, because the features may be on disk.
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

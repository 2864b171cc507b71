//! A data set as the steps of a training see it: rows with features and targets, gathered into arrays.
//!
//! Everything that training asks of a data set is here, so that another kind of data needs another source and nothing else.

use std::sync::Arc;

use wgrad_core::{Array, DType, Graph, Limits, Result, Tensor};

use crate::error::SettingError;
use wgrad_data::Dataset;

/// In which form the loss gets the classes of a batch of `N` rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Targets {
    /// [`Self::Binary`] for two classes, [`Self::Classes`] for more.
    #[default]
    Automatic,
    /// `f32[N, 1]`, 1 for the positive class: what `BceWithLogitsLoss` takes with a model of one output.
    Binary,
    /// `u32[N]`: what `CrossEntropyLoss` takes with a model of one output per class.
    Classes,
}

impl Targets {
    /// Settles the automatic choice.
    ///
    /// # Errors
    /// When the dataset has no two classes but the targets are binary.
    fn of(self, data: &Dataset) -> Result<Self> {
        let classes = data.classes();
        match self {
            Self::Automatic | Self::Binary if classes.len() == 2 => Ok(Self::Binary),
            Self::Automatic | Self::Classes => Ok(Self::Classes),
            Self::Binary => Err(SettingError::BinaryTargets { classes: classes.to_vec() }.into()),
        }
    }

    #[track_caller]
    fn input(self, graph: &Graph, rows: usize) -> Tensor {
        match self {
            Self::Classes => graph.input("y", [rows], DType::U32),
            _ => graph.input("y", [rows, 1], DType::F32),
        }
    }

    /// Makes the targets of rows with these labels, in a shape that begins with `dims`.
    fn array(self, dims: &[usize], labels: Vec<u32>) -> Result<Array> {
        match self {
            Self::Classes => Array::new(dims, labels),
            _ => Array::new([dims, &[1]].concat(), labels.into_iter().map(|label| label as f32).collect()),
        }
    }
}

/// The most bytes of features that are kept on a device, if its largest binding is not smaller than four times that.
const RESIDENT: u64 = 1 << 30;

/// Data set whose classes have a settled form.
#[derive(Clone, Copy)]
pub(crate) struct DataSource<'a> {
    data: &'a Dataset,
    targets: Targets,
}

/// Features and targets of all rows, to be kept on a device.
pub(crate) struct Resident {
    x: Arc<Array>,
    y: Arc<Array>,
}

/// Features and targets of a batch in a graph, and the inputs that they are made of.
pub(crate) struct BatchTensors {
    pub inputs: Vec<Tensor>,
    pub x: Tensor,
    pub y: Tensor,
}

impl<'a> DataSource<'a> {
    pub fn new(data: &'a Dataset, targets: Targets) -> Result<Self> {
        Ok(Self { data, targets: targets.of(data)? })
    }

    /// Returns another data set in the same form.
    pub fn like(self, data: &'a Dataset) -> Self {
        Self { data, ..self }
    }

    /// Returns whether a data set's features are kept on a device of these limits.
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

    /// Makes the arrays of all rows.
    pub fn resident(self) -> Result<Resident> {
        let y = self.targets.array(&[self.data.rows()], self.data.y().to_vec())?;
        Ok(Resident { x: self.data.x_shared(), y: Arc::new(y) })
    }

    /// Declares a batch that is fed.
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
    /// Declares a batch whose rows are picked on the device by their numbers.
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
    // Wherever the features are, a few at a time.
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

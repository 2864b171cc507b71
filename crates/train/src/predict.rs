//! Prediction with a model, and evaluation of its predictions.

use wgrad_core::{Array, DType, Fetching, Graph, Mode, Result, Session, Step, Tensor};

use crate::error::ModelError;
use crate::steps::{CHUNK, FED};
use crate::trainer::{EVALUATION_ROWS, Trainer};
use wgrad_data::Dataset;
use wgrad_metrics::Report;

impl Trainer<'_> {
    /// Evaluates a model on a data set. `model` computes logits from features `x: f32[N, features]`: one logit per
    /// class, or only one logit per row if there are two classes.
    ///
    /// The loss in the report is the mean cross-entropy without class weights or label smoothing.
    ///
    /// # Errors
    /// Returns errors of the model's ops, such as mismatched shapes, with their source lines. Also returns an
    /// error if the number of logits per row does not fit the classes, or if a logit is not finite.
    pub fn evaluate(&mut self, data: &Dataset, model: impl Fn(&Tensor) -> Tensor) -> Result<Report> {
        let Logits { values: logits, width } = self.logits_of(data, model)?;
        let classes = data.classes();
        if !(width == classes.len() || (width == 1 && classes.len() == 2)) {
            return Err(ModelError::Outputs { width, classes: classes.to_vec() }.into());
        }
        if let Some(at) = logits.iter().position(|logit| !logit.is_finite()) {
            return Err(ModelError::NotFinite { value: logits[at], row: at / width }.into());
        }
        let losses = logits.chunks(width).zip(data.y()).map(|(logits, &label)| cross_entropy(logits, label));
        let loss = losses.sum::<f64>() / data.rows() as f64;
        let probabilities = probabilities(&logits, width);
        match (classes.len(), width) {
            (2, 1) => Report::binary(&probabilities, data.y(), classes, loss),
            (2, _) => {
                let positive: Vec<_> = probabilities.chunks(2).map(|row| row[1]).collect();
                Report::binary(&positive, data.y(), classes, loss)
            }
            _ => Report::multiclass(&probabilities, data.y(), classes, loss),
        }
    }

    /// Returns the class probabilities of each row of a data set; see [`Self::predict_rows`].
    ///
    /// # Errors
    /// The same as those of [`Self::predict_rows`].
    pub fn predict(&mut self, data: &Dataset, model: impl Fn(&Tensor) -> Tensor) -> Result<Array> {
        self.logits_of(data, model)?.probabilities()
    }

    /// Returns the class probabilities of each row of `x: f32[N, features]`. If the model returns one logit per
    /// row, the result is `[N, 1]` with the probabilities of class 1; otherwise it is `[N, classes]`.
    ///
    /// # Errors
    /// Returns errors of the model's ops, such as mismatched shapes, with their source lines. Also returns an
    /// error if `x` is empty or not a matrix, or if the model does not return logits for each row.
    pub fn predict_rows(&mut self, x: &Array, model: impl Fn(&Tensor) -> Tensor) -> Result<Array> {
        self.logits_of_rows(x, model)?.probabilities()
    }

    /// Returns the logits of each row of a data set, in the shape `[N, 1]` or `[N, classes]`. Use them instead of
    /// probabilities to fit thresholds and calibration, because probabilities near 0 and 1 lose digits to
    /// rounding.
    ///
    /// # Errors
    /// The same as those of [`Self::predict_rows`].
    pub fn predict_logits(&mut self, data: &Dataset, model: impl Fn(&Tensor) -> Tensor) -> Result<Array> {
        self.logits_of(data, model)?.into_array()
    }

    /// Returns the logits of each row of `x: f32[N, features]`, in the shape `[N, 1]` or `[N, classes]`.
    ///
    /// # Errors
    /// The same as those of [`Self::predict_rows`].
    pub fn predict_logits_rows(&mut self, x: &Array, model: impl Fn(&Tensor) -> Tensor) -> Result<Array> {
        self.logits_of_rows(x, model)?.into_array()
    }

    fn logits_of_rows(&mut self, x: &Array, model: impl Fn(&Tensor) -> Tensor) -> Result<Logits> {
        let &[rows, features] = x.shape().dims() else {
            return Err(ModelError::Features { shape: x.shape().clone() }.into());
        };
        let values = x.to_f32();
        let rows_of = |batch: &[u32]| {
            let rows = batch.iter().flat_map(|&row| &values[row as usize * features..][..features]);
            Ok(rows.copied().collect())
        };
        logits(self.session()?, Features { rows, features, gather: rows_of }, model)
    }

    fn logits_of(&mut self, data: &Dataset, model: impl Fn(&Tensor) -> Tensor) -> Result<Logits> {
        let gather = |rows: &[u32]| data.gather(rows);
        logits(self.session()?, Features { rows: data.rows(), features: data.features(), gather }, model)
    }
}

/// Logits of all rows, in row-major order.
struct Logits {
    values: Vec<f64>,
    /// Number of logits per row.
    width: usize,
}

impl Logits {
    fn into_array(self) -> Result<Array> {
        Array::new([self.values.len() / self.width, self.width], self.values)
    }

    fn probabilities(self) -> Result<Array> {
        Self { values: probabilities(&self.values, self.width), ..self }.into_array()
    }
}

/// Rows to predict. `gather` returns the features of the rows with the given numbers.
struct Features<G> {
    rows: usize,
    features: usize,
    gather: G,
}

/// Compiled model for a fixed number of rows.
struct Plan {
    size: usize,
    input: Tensor,
    step: Step,
}

impl Plan {
    fn new(session: &mut Session, size: usize, features: usize, model: &impl Fn(&Tensor) -> Tensor) -> Result<Self> {
        let graph = Graph::new(Mode::Evaluate);
        let input = graph.input("x", [size, features], DType::F32);
        let output = model(&input);
        let step = session.compile(&graph, &[&output])?;
        let shape = output.shape();
        if !(matches!(shape.rank(), 1 | 2) && shape.dims()[0] == size && shape.numel() > 0) {
            return Err(ModelError::Shape { shape, rows: size }.into());
        }
        Ok(Self { size, input, step })
    }
}

/// Computes the logits of all rows. Full batches are submitted several at a time; the remaining rows are a smaller
/// last batch.
fn logits(
    session: &mut Session,
    data: Features<impl Fn(&[u32]) -> Result<Vec<f32>>>,
    model: impl Fn(&Tensor) -> Tensor,
) -> Result<Logits> {
    let Features { rows, features, gather } = data;
    if rows == 0 || features == 0 {
        return Err(ModelError::NoRows.into());
    }
    let (size, left) = (EVALUATION_ROWS.min(rows), if rows > EVALUATION_ROWS { rows % EVALUATION_ROWS } else { 0 });
    let mut plans = vec![Plan::new(session, size, features, &model)?];
    if left > 0 {
        plans.push(Plan::new(session, left, features, &model)?);
    }
    let most = (FED / (size * features * size_of::<f32>())).clamp(1, CHUNK);
    let order: Vec<u32> = (0..).take(rows).collect();
    let (full, rest) = order.split_at(rows - left);
    let chunks = full.chunks(size * most).chain((left > 0).then_some(rest));
    let (mut values, mut under_way) = (vec![], None::<Fetching>);
    for chunk in chunks {
        let Plan { size, input, step } = &plans[usize::from(chunk.len() < plans[0].size)];
        let steps = chunk.len() / size;
        let x = Array::new([steps, *size, features], gather(chunk)?)?;
        let next = session.run_many_later(step, steps, &[(input, &x)])?;
        if let Some(done) = under_way.replace(next) {
            values.extend(done.wait()?[0].to_f64());
        }
    }
    if let Some(done) = under_way {
        values.extend(done.wait()?[0].to_f64());
    }
    let width = values.len() / rows;
    Ok(Logits { values, width })
}

/// Returns the cross-entropy of one row. If there is only one logit, there are two classes, and the logit is that
/// of class 1.
fn cross_entropy(logits: &[f64], label: u32) -> f64 {
    if let [x] = *logits {
        let wrong = if label == 0 { x } else { -x };
        return wrong.max(0.0) + (-x.abs()).exp().ln_1p();
    }
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|x| (x - max).exp()).sum();
    sum.ln() + max - logits[label as usize]
}

/// Converts logits to probabilities: with a sigmoid for one logit per row, with a softmax for several.
fn probabilities(logits: &[f64], width: usize) -> Vec<f64> {
    if width == 1 {
        return logits.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
    }
    let mut result = logits.to_vec();
    for row in result.chunks_mut(width) {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for x in &mut *row {
            *x = (*x - max).exp();
        }
        let sum: f64 = row.iter().sum();
        for x in row {
            *x /= sum;
        }
    }
    result
}

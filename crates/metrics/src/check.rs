//! Checks that several metrics need: of lengths, scores, probabilities and class numbers.

use super::MetricError;

/// Checks that there is at least one label, and that there are `width` predictions per label.
pub(super) fn lengths(predictions: usize, width: usize, labels: usize) -> Result<(), MetricError> {
    if labels == 0 {
        return Err(MetricError::NoRows);
    }
    if labels.checked_mul(width) != Some(predictions) {
        return Err(MetricError::Lengths { predictions, width, rows: labels });
    }
    Ok(())
}

/// Converts scores to `f64`, with -0.0 as 0.0, and checks that none is NaN.
pub(super) fn scores<S: Copy + Into<f64>>(
    scores: impl Iterator<Item = S>,
    width: usize,
) -> Result<Vec<f64>, MetricError> {
    let scores: Vec<f64> = scores.map(|score| score.into() + 0.0).collect();
    match scores.iter().position(|score| score.is_nan()) {
        None => Ok(scores),
        Some(at) => Err(MetricError::NanScore { row: at / width }),
    }
}

/// Converts probabilities to `f64`, and checks that they are between 0 and 1.
pub(super) fn probabilities<S: Copy + Into<f64>>(values: &[S], width: usize) -> Result<Vec<f64>, MetricError> {
    let values = scores(values.iter().copied(), width)?;
    match values.iter().position(|p| !(0.0..=1.0).contains(p)) {
        None => Ok(values),
        Some(at) => Err(MetricError::Probability { row: at / width, value: values[at] }),
    }
}

/// Checks that every label is below the number of classes.
pub(super) fn classes(labels: &[u32], classes: usize) -> Result<(), MetricError> {
    match labels.iter().position(|&label| label as usize >= classes) {
        None => Ok(()),
        Some(row) => Err(MetricError::Class { row, class: labels[row], classes }),
    }
}

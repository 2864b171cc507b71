//! What every metric asks of its inputs.

use wgrad_core::{Error, Result};

use wgrad_core::text::count;

fn error<T>(message: String) -> Result<T> {
    Err(Error::Data(message))
}

/// `width` numbers per label, and at least one label.
pub(super) fn lengths(values: usize, width: usize, labels: usize) -> Result<()> {
    if labels == 0 {
        return error("there are no rows to judge".into());
    }
    if labels.checked_mul(width) != Some(values) {
        let needed = match width {
            1 => "one prediction per row is needed".to_string(),
            _ => format!("{width} predictions per row are needed, one for each class"),
        };
        return error(format!("{needed}, not {values} for {}", count(labels, "row")));
    }
    Ok(())
}

/// Scores as `f64`, none of them NaN, with one zero instead of two.
pub(super) fn scores<S: Copy + Into<f64>>(scores: impl Iterator<Item = S>, width: usize) -> Result<Vec<f64>> {
    let scores: Vec<f64> = scores.map(|score| score.into() + 0.0).collect();
    match scores.iter().position(|score| score.is_nan()) {
        None => Ok(scores),
        Some(at) => error(format!(
            "the score of row {} is NaN: training may have diverged, or an input was not finite. \
             Try a smaller learning rate.",
            at / width
        )),
    }
}

/// Scores that are probabilities.
pub(super) fn probabilities<S: Copy + Into<f64>>(values: &[S], width: usize) -> Result<Vec<f64>> {
    let values = scores(values.iter().copied(), width)?;
    match values.iter().position(|p| !(0.0..=1.0).contains(p)) {
        None => Ok(values),
        Some(at) => error(format!(
            "{} in row {} is no probability. Logits need a sigmoid (two classes) or a softmax first.",
            values[at],
            at / width
        )),
    }
}

/// Every label below the number of classes.
pub(super) fn classes(labels: &[u32], classes: usize) -> Result<()> {
    match labels.iter().position(|&label| label as usize >= classes) {
        None => Ok(()),
        Some(row) => {
            error(format!("row {row} is of class {}, but there are {classes} classes, numbered from 0", labels[row]))
        }
    }
}

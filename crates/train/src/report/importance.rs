//! Permutation importance: the increase of the loss when the values of a feature are shuffled.

use wgrad_core::{Array, Result};

use super::scores::Scores;
use crate::error::TrainSettingError;
use wgrad_core::SplitMix64;
use wgrad_data::{Dataset, Seed, Span};
use wgrad_metrics::Decision;

/// Largest number of feature values that are passed to the model in one call.
const VALUES: usize = 4 << 20;
/// Total number of rows that the model evaluates, over all features and shuffles.
const BUDGET: usize = 400_000;
/// Smallest number of rows per feature for a useful estimate.
const FEWEST: usize = 100;
/// Largest number of rows per shuffle.
const MOST: usize = 1000;
/// Largest number of shuffles per feature.
const REPEATS: usize = 5;

/// Importance of a feature: the increase of the loss when the feature's values are shuffled among the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// Name of the column.
    pub feature: String,
    /// Increase of the loss, as a mean over the shuffles.
    pub mean: f64,
    /// Standard deviation of this increase over the shuffles.
    pub deviation: f64,
}

impl Importance {
    /// Computes the importance of a feature from `rises`, the increase of the loss in each shuffle.
    fn of(feature: &str, rises: &[f64]) -> Self {
        let mean = rises.iter().sum::<f64>() / rises.len() as f64;
        let variance = rises.iter().map(|rise| (rise - mean).powi(2)).sum::<f64>() / rises.len() as f64;
        Self { feature: feature.into(), mean, deviation: variance.sqrt() }
    }
}

/// Returns the permutation importance of each column, the most important column first. The importance is the
/// increase of the mean cross-entropy when the values of the column are shuffled among the rows. If several
/// features were created from a text column, they are shuffled together. Source: Breiman, Random Forests, 2001.
///
/// Correlated features split their importance: if one of them is shuffled, the model can still use the other.
/// `logits` computes the model's logits from features `f32[N, features]`. To limit the cost, at most 1000 rows are
/// used, chosen at random with `seed`, and each feature is shuffled five times. With more than 80 features there
/// are fewer shuffles or rows, so that the model evaluates about 400,000 rows in total.
///
/// ```
/// use wgrad_core::Array;
/// use wgrad_data::{Dataset, Seed};
/// use wgrad_train::report::permutation_importance;
/// let (x, y) = (0..60u8).map(|i| ([f32::from(i % 7) - 3.0, f32::from(i % 5)], u32::from(i % 7 > 3))).unzip();
/// let x: Vec<[f32; 2]> = x;
/// let data = Dataset::new(["a", "b"], x.concat(), y, ["no", "yes"])?;
/// // A model that uses `a` only.
/// let model = |x: &Array| Ok(x.to_f32().chunks(2).map(|row| 4.0 * f64::from(row[0])).collect());
/// let all = permutation_importance(&data, Seed(7), model)?;
/// assert_eq!((&all[0].feature[..], &all[1].feature[..], all[1].mean), ("a", "b", 0.0));
/// assert!(all[0].mean > 0.5);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// Returns the errors of `logits` and of [`Scores::new`], and an error if there are more than 4000 columns, which
/// would take too long.
pub fn permutation_importance(
    data: &Dataset,
    seed: Seed,
    mut logits: impl FnMut(&Array) -> Result<Vec<f64>>,
) -> Result<Vec<Importance>> {
    let (features, preprocess) = (data.features(), data.preprocess().clone());
    let columns = preprocess.spans();
    if columns.len() * FEWEST > BUDGET {
        return Err(TrainSettingError::TooManyFeatures { features: columns.len(), most: BUDGET / FEWEST }.into());
    }
    let mut random = SplitMix64::new(seed, u64::MAX);
    let repeats = (BUDGET / (columns.len() * data.rows().min(MOST))).clamp(1, REPEATS);
    let rows = (BUDGET / (columns.len() * repeats)).min(MOST).min(data.rows());
    let mut order: Vec<u32> = (0..).take(data.rows()).collect();
    if rows < order.len() {
        random.shuffle(&mut order);
        order.truncate(rows);
        order.sort_unstable();
    }
    let x = data.gather(&order)?;
    let data = data.subset(&order)?;
    let size = x.len();
    let mut loss = |x: Vec<f32>| -> Result<Vec<f64>> {
        let copies = x.len() / size;
        let logits = logits(&Array::new([copies * rows, features], x)?)?;
        let all = logits.chunks((logits.len() / copies).max(1)).map(|logits| {
            let losses = Scores::new(logits, data.y(), data.classes())?.losses(&Decision::default());
            Ok(losses.iter().sum::<f64>() / rows as f64)
        });
        all.collect()
    };
    let base = loss(x.clone())?[0];
    let mut rises = Vec::with_capacity(columns.len() * repeats);
    let mut waiting = vec![];
    let mut shuffled: Vec<usize> = (0..rows).collect();
    for Span { features: span, .. } in &columns {
        for _ in 0..repeats {
            random.shuffle(&mut shuffled);
            let start = waiting.len();
            waiting.extend_from_slice(&x);
            for (row, &other) in shuffled.iter().enumerate() {
                let (to, from) = (start + row * features, other * features);
                waiting[to + span.start..to + span.end].copy_from_slice(&x[from + span.start..from + span.end]);
            }
            let last = rises.len() + waiting.len() / x.len() == columns.len() * repeats;
            if last || waiting.len() + x.len() > VALUES {
                rises.extend(loss(std::mem::take(&mut waiting))?.into_iter().map(|loss| loss - base));
            }
        }
    }
    let rises = columns.iter().zip(rises.chunks(repeats));
    let mut all: Vec<Importance> = rises.map(|(span, rises)| Importance::of(span.column, rises)).collect();
    all.sort_by(|a, b| b.mean.total_cmp(&a.mean));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_data::Table;

    #[test]
    fn importances_are_seeded_and_made_in_several_calls() {
        let x: Vec<f32> = (0..3000u16).flat_map(|i| (0..40).map(move |f| f32::from((i * 7 + f * 13) % 19))).collect();
        let y: Vec<u32> = (0..3000u32).map(|i| u32::from((i * 7 + 13) % 19 > 9)).collect();
        let names: Vec<String> = (0..40).map(|f| format!("f{f}")).collect();
        let data = Dataset::new(names, x, y, ["no", "yes"]).unwrap();
        let mut calls = vec![];
        let mut measure = |seed| {
            permutation_importance(&data, Seed(seed), |x| {
                calls.push(x.shape().dims()[0]);
                Ok(x.to_f32().chunks(40).map(|row| f64::from(row[1]) - 9.5).collect())
            })
        };
        let all = measure(3).unwrap();
        assert_eq!((all.len(), &all[0].feature[..], all[39].mean), (40, "f1", 0.0));
        assert_eq!(all, measure(3).unwrap());
        assert_ne!(all[0], measure(4).unwrap()[0]);
        // The first call has the 1000 unshuffled rows. The others have 40 features, each shuffled five times, with
        // 1000 rows each.
        assert_eq!(calls[0], 1000);
        assert_eq!(calls.iter().take(calls.len() / 3).skip(1).sum::<usize>(), 200_000);
        assert!(calls.iter().all(|rows| rows * 40 <= VALUES));
    }

    #[test]
    fn a_column_of_text_is_one_feature() {
        let rows: Vec<_> = (0..60).map(|i| format!("{},{},{}", ["a", "b", "c"][i % 3], i % 7, i % 3 / 2)).collect();
        let table = Table::parse("t.csv", format!("word,n,y\n{}\n", rows.join("\n")).as_bytes()).unwrap();
        let data = table.target("y").unwrap().standardize(false).dataset().unwrap();
        assert_eq!(data.features(), 5);
        let at = data.feature_names().iter().position(|name| name == "word=c").unwrap();
        let all = permutation_importance(&data, Seed(1), |x| {
            Ok(x.to_f32().chunks(5).map(|row| 8.0 * f64::from(row[at]) - 4.0).collect())
        });
        let names: Vec<_> = all.unwrap().into_iter().map(|of| (of.feature, of.mean > 1.0)).collect();
        assert_eq!(names, [("word".to_string(), true), ("n".to_string(), false)]);
    }
}

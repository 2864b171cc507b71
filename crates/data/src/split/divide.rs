//! Divides rows in two: by class, by group, by time.

use std::collections::HashMap;

use wgrad_core::{Result, Seed, SplitMix64};

use crate::error::{SplitError, SplitPart};

/// Rows of the two sides of a division.
pub(super) struct Sides {
    pub left: Vec<u32>,
    pub right: Vec<u32>,
}

/// Whole groups in random order, until the second side has its share.
pub(super) fn by_group(
    rows: Vec<u32>,
    groups: &[u32],
    column: &str,
    fraction: f64,
    random: &mut SplitMix64,
) -> Result<Sides> {
    let mut sizes: HashMap<u32, usize> = HashMap::new();
    for &row in &rows {
        *sizes.entry(groups[row as usize]).or_default() += 1;
    }
    let mut order: Vec<(u32, usize)> = sizes.into_iter().collect();
    if order.len() < 2 {
        return Err(SplitError::TooFewGroups { column: column.to_string() }.into());
    }
    order.sort_unstable();
    random.shuffle(&mut order);
    let target = rows.len() as f64 * (1.0 - fraction);
    let (mut chosen, mut count) = (std::collections::HashSet::new(), 0);
    for &(group, size) in &order {
        // A group goes where that brings the count closer to the target.
        let closer = count as f64 + size as f64 / 2.0 <= target;
        if closer && chosen.len() + 1 < order.len() {
            chosen.insert(group);
            count += size;
        }
    }
    if chosen.is_empty() {
        chosen.extend(order.iter().min_by_key(|(_, size)| size).map(|(group, _)| *group));
    }
    let (left, right) = rows.into_iter().partition(|&row| !chosen.contains(&groups[row as usize]));
    Ok(Sides { left, right })
}

/// The oldest rows, and the newest ones.
pub(super) fn by_time(mut rows: Vec<u32>, times: &[f64], fraction: f64) -> Sides {
    rows.sort_by(|&a, &b| times[a as usize].total_cmp(&times[b as usize]));
    let newest = rows.split_off(share(rows.len(), fraction));
    Sides { left: rows, right: newest }
}

/// Each class by itself.
pub(super) fn by_class(rows: &[u32], y: &[u32], fraction: f64, random: &mut SplitMix64) -> Sides {
    let classes = y.iter().max().map_or(0, |&last| last as usize + 1);
    let mut by_class = vec![vec![]; classes];
    for &row in rows {
        by_class[y[row as usize] as usize].push(row);
    }
    let (mut train, mut test) = (vec![], vec![]);
    for mut rows in by_class {
        random.shuffle(&mut rows);
        let (left, right) = rows.split_at(share(rows.len(), fraction));
        train.extend_from_slice(left);
        test.extend_from_slice(right);
    }
    Sides { left: train, right: test }
}

/// Splits each class by itself, so that both sides have it in the same proportion.
///
/// Of the `n` rows of a class, `n * fraction` rounded to the nearest train, but at least one row is on each side if
/// there are two; a single row trains. The rows of each class are shuffled, class by class, with one generator; both
/// sides are returned in the order of the rows.
pub(crate) fn stratified(y: &[u32], fraction: f64, seed: Seed) -> Result<(Vec<u32>, Vec<u32>)> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(SplitError::Fraction { part: SplitPart::Train, fraction }.into());
    }
    let rows: Vec<u32> = (0..u32::MAX).take(y.len()).collect();
    let Sides { left: mut train, right: mut test } = by_class(&rows, y, fraction, &mut SplitMix64::new(seed, 0));
    if test.is_empty() {
        return Err(SplitError::NoClassOfTwo.into());
    }
    train.sort_unstable();
    test.sort_unstable();
    Ok((train, test))
}

/// How many of `n` rows train.
pub(super) fn share(n: usize, fraction: f64) -> usize {
    if n < 2 { n } else { ((n as f64 * fraction).round() as usize).clamp(1, n - 1) }
}

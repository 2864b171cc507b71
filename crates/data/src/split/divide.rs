//! Splits of rows into two sides: by class, by group or by time.

use std::collections::HashMap;

use wgrad_core::{Result, Seed, SplitMix64};

use crate::error::{SplitError, SplitPart};

/// Rows of the two sides of a split.
pub(super) struct Sides {
    pub left: Vec<u32>,
    pub right: Vec<u32>,
}

/// Splits the rows by group: moves complete groups, in random order, to `Sides::right` until it has about the
/// fraction `1 - fraction` of the rows.
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
        // A group is moved if this brings the number of moved rows closer to the target.
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

/// Splits the rows by time: the oldest rows are on the left side, the newest on the right side.
pub(super) fn by_time(mut rows: Vec<u32>, times: &[f64], fraction: f64) -> Sides {
    rows.sort_by(|&a, &b| times[a as usize].total_cmp(&times[b as usize]));
    let newest = rows.split_off(left_count(rows.len(), fraction));
    Sides { left: rows, right: newest }
}

/// Splits the rows of each class separately, at random.
pub(super) fn by_class(rows: &[u32], y: &[u32], fraction: f64, random: &mut SplitMix64) -> Sides {
    let classes = y.iter().max().map_or(0, |&last| last as usize + 1);
    let mut by_class = vec![vec![]; classes];
    for &row in rows {
        by_class[y[row as usize] as usize].push(row);
    }
    let (mut train, mut test) = (vec![], vec![]);
    for mut rows in by_class {
        random.shuffle(&mut rows);
        let (left, right) = rows.split_at(left_count(rows.len(), fraction));
        train.extend_from_slice(left);
        test.extend_from_slice(right);
    }
    Sides { left: train, right: test }
}

/// Splits rows into training and test rows so that both have each class in the same proportion.
///
/// Of the `n` rows of a class, `n * fraction`, rounded to the nearest integer, are training rows. If the class has
/// two rows or more, both sides get at least one; a single row is a training row. One generator shuffles the rows
/// of each class in turn. Both sides are returned in the order of the data.
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

/// Returns how many of `n` rows belong to the left side.
pub(super) fn left_count(n: usize, fraction: f64) -> usize {
    if n < 2 { n } else { ((n as f64 * fraction).round() as usize).clamp(1, n - 1) }
}

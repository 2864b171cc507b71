//! Suggestions for misspelt names.

/// Returns the name in `names` that is closest to `name`, if their edit distance is at most a third of the longer
/// name's length.
///
/// ```
/// use wgrad_core::nearest;
/// assert_eq!(nearest("fc1.weigth", ["fc1.bias", "fc1.weight"]), Some("fc1.weight"));
/// assert_eq!(nearest("head", ["fc1.bias", "fc1.weight"]), None);
/// ```
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = names.into_iter().map(|other| (edit_distance(name, other), other));
    let near = near.filter(|&(far, other)| far <= name.len().max(other.len()) / 3);
    near.min_by_key(|&(far, _)| far).map(|(_, other)| other)
}

/// Returns the Levenshtein distance: the number of letters to change, insert or delete to turn one word into
/// another.
///
/// ```
/// assert_eq!(wgrad_core::edit_distance("kitten", "sitting"), 3);
/// ```
pub fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, &y) in b.iter().enumerate() {
            let changed = before + usize::from(x != y);
            before = row[j + 1];
            row[j + 1] = changed.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::edit_distance;

    #[test]
    fn distances_count_letters() {
        let pairs = [("", "abc"), ("kitten", "sitting"), ("weight", "weight"), ("ab", "ba")];
        assert_eq!(pairs.map(|(a, b)| (edit_distance(a, b), edit_distance(b, a))), [(3, 3), (3, 3), (0, 0), (2, 2)]);
    }
}

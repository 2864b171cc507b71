//! Helpers that format parts of messages.

use crate::edit_distance;

/// Returns the first ten names in backticks, separated by commas, and the number of remaining names.
pub fn list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    let mut words: Vec<String> = names.iter().take(10).map(|name| format!("`{}`", name.as_ref())).collect();
    if names.len() > 10 {
        words.push(format!("and {} more", names.len() - 10));
    }
    words.join(", ")
}

/// Returns words separated by commas, with "or" between the last two.
pub fn one_of<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match &words[..] {
        [] => String::new(),
        [word] => (*word).into(),
        [words @ .., last] => format!("{} or {last}", words.join(", ")),
    }
}

/// Returns a number with a noun in the singular or plural: `1 row`, `2 rows`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Returns ` Did you mean `x`?`, or an empty string if no candidate is close to `name`.
pub fn did_you_mean<S: AsRef<str>>(name: &str, candidates: impl IntoIterator<Item = S>) -> String {
    let lower = name.to_lowercase();
    let letters = lower.chars().count();
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(&lower, &candidate.as_ref().to_lowercase()), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance < letters && *distance <= 1.max(letters / 3))
        .map_or_else(String::new, |(_, candidate)| format!(" Did you mean `{}`?", candidate.as_ref()))
}

/// Returns a number of bytes with a unit: `1.5 MiB`.
pub fn human_bytes(bytes: usize) -> String {
    let value = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", value / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", value / 1_048_576.0),
        _ => format!("{:.2} GiB", value / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_suggested_unless_it_is_far_off() {
        assert_eq!(did_you_mean("malignent", ["benign", "malignant"]), " Did you mean `malignant`?");
        assert_eq!(did_you_mean("Age", ["age", "page"]), " Did you mean `age`?");
        assert_eq!(did_you_mean("y", ["radius", "texture"]), "");
        assert_eq!(did_you_mean("X", ["B", "M"]), "");
        assert_eq!(did_you_mean("m", ["B", "M"]), " Did you mean `M`?");
        assert_eq!(did_you_mean("y", Vec::<String>::new()), "");
    }

    #[test]
    fn long_lists_are_cut_at_ten() {
        assert_eq!(list(["a", "b"]), "`a`, `b`");
        assert!(list((0..12).map(|i| i.to_string())).ends_with("`9`, and 2 more"));
    }

    #[test]
    fn one_row_and_two_rows() {
        assert_eq!((count(1, "row"), count(2, "row")), ("1 row".into(), "2 rows".into()));
    }
}

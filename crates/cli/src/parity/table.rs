//! The result by kernel, for a terminal.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use wgrad_parity::{Examination, Tally};

use crate::output::count;

/// What a kernel's name begins with, if it is one of many that are a line together as long as they pass.
const GROUPS: [(&str, &str); 2] = [("row ", "pointwise row"), ("CPU: ", "op of the CPU backend")];

/// A line per kernel; those of a group that pass are one line, and what failed comes first.
pub fn lines(all: &Examination) -> Vec<(String, Tally)> {
    let mut lines: Vec<(String, Tally)> = vec![];
    let mut groups: BTreeMap<usize, (usize, Tally)> = BTreeMap::new();
    for (name, tally) in &all.kernels {
        let group = GROUPS.iter().position(|(prefix, _)| name.starts_with(prefix));
        match group.filter(|_| tally.failures == 0) {
            Some(group) => {
                let (members, sum) = groups.entry(group).or_default();
                *members += 1;
                sum.results += tally.results;
                sum.cases.extend(tally.cases.iter().cloned());
                sum.ulp = sum.ulp.max(tally.ulp);
                if sum.worst.is_none() || tally.share > sum.share {
                    sum.share = tally.share;
                    sum.worst.clone_from(&tally.worst);
                }
            }
            None => lines.push((name.clone(), tally.clone())),
        }
    }
    lines.extend(groups.into_iter().map(|(group, (members, sum))| (count(members, GROUPS[group].1), sum)));
    lines.sort_by_key(|(_, tally)| tally.failures == 0);
    lines
}

/// The table.
pub fn by_kernel(all: &Examination) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(vec!["kernel", "cases", "worst ULP", "of bound", "worst case", "result"]);
    for (name, tally) in lines(all) {
        let result = if tally.failures == 0 { "pass".into() } else { format!("{} FAILED", tally.failures) };
        table.add_row(vec![
            name,
            tally.cases.len().to_string(),
            short(tally.ulp),
            format!("{} %", short(100.0 * tally.share)),
            tally.worst.map(|(case, setting)| format!("{case} ({setting})")).unwrap_or_default(),
            result,
        ]);
    }
    for column in 1..4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A number with about two digits.
pub fn short(x: f64) -> String {
    match x {
        0.0 => "0".into(),
        x if !x.is_finite() => "∞".into(),
        x if x >= 1e5 => format!("{x:.1e}"),
        x if x >= 10.0 => format!("{x:.0}"),
        x if x >= 0.1 => format!("{x:.1}"),
        _ => "<0.1".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_pass_are_one_line_and_what_fails_comes_first() {
        let tally = |failures: usize, share: f64| Tally {
            results: 2,
            share,
            failures,
            worst: Some((format!("case of {share}"), "here".into())),
            ..Tally::default()
        };
        let kernels = [("matmul", 0, 0.5), ("row exp", 0, 0.2), ("row log", 0, 0.3), ("row log1p", 1, 7.0)];
        let kernels = kernels.into_iter().map(|(name, failures, share)| (name.to_string(), tally(failures, share)));
        let all = Examination { kernels: kernels.collect(), ..Examination::default() };
        let lines = lines(&all);
        let names: Vec<_> = lines.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["row log1p", "matmul", "2 pointwise rows"]);
        assert_eq!(lines[2].1.worst.as_ref().map(|(case, _)| case.as_str()), Some("case of 0.3"));
        assert_eq!(lines[2].1.results, 4);
    }
}

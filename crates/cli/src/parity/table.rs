//! Parity report as a table for a terminal, with a line for each kernel or group of kernels.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use wgrad_parity::{DeviceSetting, Failure, ParityReport, Tally, family};

use crate::output::count;

/// Returns the name of the table line to which a passing kernel belongs, and the noun for the kernels that share
/// the line. Pointwise ops share one line, as do the CPU's ops; other kernels are grouped by shader.
fn group(kernel: &str) -> (String, &'static str) {
    if kernel.starts_with("pointwise ") {
        ("pointwise op".into(), "op")
    } else if kernel.starts_with("CPU: ") {
        ("CPU backend".into(), "op")
    } else {
        (family(kernel).into(), "kernel")
    }
}

/// Returns the lines of the table: one for each kernel that failed, then one for each group of kernels that
/// passed.
pub fn lines(all: &ParityReport) -> Vec<(String, Tally)> {
    let mut failed = vec![];
    let mut groups: BTreeMap<(String, &str), (usize, Tally)> = BTreeMap::new();
    for (name, tally) in &all.kernels {
        if tally.failures > 0 {
            failed.push((name.clone(), tally.clone()));
            continue;
        }
        let (members, sum) = groups.entry(group(name)).or_default();
        *members += 1;
        sum.results += tally.results;
        sum.cases.extend(tally.cases.iter().cloned());
        sum.ulp = sum.ulp.max(tally.ulp);
        if sum.worst.is_none() || tally.share > sum.share {
            sum.share = tally.share;
            sum.worst.clone_from(&tally.worst);
        }
    }
    let named = |((name, what), (members, sum)): ((String, &str), (usize, Tally))| {
        (if members > 1 { format!("{name} ({})", count(members, what)) } else { name }, sum)
    };
    failed.into_iter().chain(groups.into_iter().map(named)).collect()
}

/// Returns the failures, each with the names of the other device configurations in which the same case fails in
/// the same kernels.
pub fn failures(all: &ParityReport) -> Vec<(&Failure, Vec<&str>)> {
    let mut found: Vec<(&Failure, Vec<&str>)> = vec![];
    for failure in &all.failures {
        match found.iter_mut().find(|(first, _)| first.case == failure.case && first.kernels == failure.kernels) {
            Some((_, others)) => others.push(&failure.setting),
            None => found.push((failure, vec![])),
        }
    }
    found
}

/// Formats a failure and the names of the other device configurations in which it occurs.
pub fn text(failure: &Failure, others: &[&str]) -> String {
    let also = if others.is_empty() { String::new() } else { format!("\n  also on {}", others.join(", ")) };
    format!("{failure}{also}")
}

/// Returns the table. The column `on` shows a device configuration as its number in `settings`, from 1.
pub fn by_kernel(all: &ParityReport, settings: &[DeviceSetting]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(vec!["kernel", "cases", "worst ULP", "of bound", "on", "worst case", "result"]);
    for (name, tally) in lines(all) {
        let number = |name: &str| settings.iter().position(|setting| setting.name == name).map(|i| (i + 1).to_string());
        let (case, on) = tally.worst.unwrap_or_default();
        let result = if tally.failures == 0 { "pass".into() } else { format!("{} FAILED", tally.failures) };
        table.add_row(vec![
            name,
            tally.cases.len().to_string(),
            short(tally.ulp),
            format!("{} %", short(100.0 * tally.share)),
            number(&on).unwrap_or(on),
            case,
            result,
        ]);
    }
    for column in 1..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Formats a number with about two significant digits.
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

/// Formats a number with thousands separators, as in `12,345,678`.
pub fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_grouped_by_shader_and_failures_come_first() {
        let tally = |failures: usize, share: f64| Tally {
            results: 2,
            share,
            failures,
            worst: Some((format!("case of {share}"), "here".into())),
            ..Tally::default()
        };
        let kernels = [
            ("sort", 0, 0.5),
            ("sum.first", 0, 0.1),
            ("sum_e", 0, 0.1),
            ("pointwise exp", 0, 0.2),
            ("pointwise log", 0, 0.3),
            ("pointwise log1p", 1, 7.0),
        ];
        let kernels = kernels.into_iter().map(|(name, failures, share)| (name.to_string(), tally(failures, share)));
        let all = ParityReport { kernels: kernels.collect(), ..ParityReport::default() };
        let lines = lines(&all);
        let names: Vec<_> = lines.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["pointwise log1p", "pointwise op (2 ops)", "sort", "sum (2 kernels)"]);
        assert_eq!(lines[1].1.worst.as_ref().map(|(case, _)| case.as_str()), Some("case of 0.3"));
        assert_eq!(lines[1].1.results, 4);
    }
}

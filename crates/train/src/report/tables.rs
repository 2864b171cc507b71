//! Tables of the report page.

#![allow(
    clippy::format_collect,
    clippy::write_with_newline,
    reason = "a page is small, and its code should read as the page does"
)]

use std::fmt::Write;

use wgrad_core::Result;

use super::contents::{Contents, Part};
use super::scores::Scores;
use super::svg::{escape, short};
use wgrad_metrics::{ConfusionMatrix, Ratio, Reliability, pr_auc, roc_auc};

/// Largest number of classes whose confusion matrix is shown.
const CLASSES: usize = 25;
/// Largest number of features in the table of importances, and of classes in the table of class counts.
const FEATURES: usize = 200;

/// Returns the section with the metrics of each class and the confusion matrix, for more than two classes.
pub(super) fn classes(report: &Contents, scores: &Scores) -> Result<String> {
    let (names, n) = (scores.classes(), scores.classes().len());
    let matrix = ConfusionMatrix::new(&scores.predicted(&report.decision), scores.labels(), names)?;
    let probabilities = scores.probabilities(&report.decision);
    let mut rows = String::new();
    for (class, name) in names.iter().enumerate() {
        let labels: Vec<u32> = scores.labels().iter().map(|&label| u32::from(label as usize == class)).collect();
        let own: Vec<f64> = probabilities.iter().skip(class).step_by(n).copied().collect();
        let area = |area: Result<f64>| area.map_or_else(|_| "–".into(), |area| format!("{area:.3}"));
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{:.3}</td><td>{:.3}</td><td>{:.3}</td><td>{}</td><td>{}</td></tr>",
            escape(name),
            labels.iter().sum::<u32>(),
            matrix.ratio(Ratio::Precision, class),
            matrix.ratio(Ratio::Recall, class),
            matrix.ratio(Ratio::FBeta(1.0), class),
            area(roc_auc(&own, &labels)),
            area(pr_auc(&own, &labels)),
        );
    }
    let mut html = format!(
        "<section aria-labelledby=\"classes-title\"><h2 id=\"classes-title\">Class by class</h2>\n<div class=\"grid2\">\n\
         <div class=\"card\"><h3>Metrics of each class</h3><div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Metrics of each class\"><table><thead><tr><th scope=\"col\">class</th><th scope=\"col\">rows</th><th scope=\"col\">prec.</th>\
         <th scope=\"col\">recall</th><th scope=\"col\">F1</th><th scope=\"col\">ROC</th><th scope=\"col\">PR</th></tr></thead>\n<tbody>{rows}</tbody></table></div></div>\n"
    );
    html += &if n <= CLASSES { confusion(&matrix) } else { confused(&matrix) };
    Ok(html + "</div></section>\n")
}

/// Returns the confusion matrix as a table. A cell is darker if it has a larger fraction of the rows in its table
/// row.
fn confusion(matrix: &ConfusionMatrix) -> String {
    let names = matrix.classes();
    let long = names.iter().any(|name| name.chars().count() > 4);
    // If names are long, columns have only numbers. The first cell of each row has the number and the name.
    let column = |i: usize| if long { (i + 1).to_string() } else { escape(&names[i]) };
    let row = |i: usize| if long { format!("{} {}", i + 1, escape(&names[i])) } else { escape(&names[i]) };
    let heads: String = (0..names.len())
        .map(|i| format!("<th scope=\"col\" title=\"{}\">{}</th>", escape(&names[i]), column(i)))
        .collect();
    let mut rows = String::new();
    for (i, counts) in matrix.counts().iter().enumerate() {
        let all = counts.iter().sum::<u64>().max(1) as f64;
        let cell = |&count: &u64| {
            let fraction = count as f64 / all;
            let style = if count == 0 {
                String::new()
            } else {
                format!(" style=\"background:rgba(var(--heat),{:.2})\"", 0.08 + 0.42 * fraction)
            };
            format!("<td{style}>{count}</td>")
        };
        let _ =
            writeln!(rows, "<tr><th scope=\"row\">{}</th>{}</tr>", row(i), counts.iter().map(cell).collect::<String>());
    }
    format!(
        "<div class=\"card\"><h3>Confusion matrix: a row per true class, a column per predicted one</h3><div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Confusion matrix\">\
         <table class=\"matrix many\"><thead><tr><th scope=\"col\">truth</th>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div></div>\n"
    )
}

/// Returns a table of the most frequent mistakes, if there are too many classes for a matrix.
fn confused(matrix: &ConfusionMatrix) -> String {
    let names = matrix.classes();
    let cells =
        matrix.counts().iter().enumerate().flat_map(|(i, row)| row.iter().enumerate().map(move |(j, &n)| (n, i, j)));
    let mut wrong: Vec<_> = cells.filter(|(n, i, j)| *n > 0 && i != j).collect();
    wrong.sort_by_key(|&(n, i, j)| (std::cmp::Reverse(n), i, j));
    let rows: String = (wrong.iter().take(30))
        .map(|&(n, i, j)| {
            format!("<tr><th scope=\"row\">{}</th><td>{}</td><td>{n}</td></tr>\n", escape(&names[i]), escape(&names[j]))
        })
        .collect();
    format!(
        "<div class=\"card\"><h3>Most frequent mistakes</h3><table><thead><tr><th scope=\"col\">truth</th><th scope=\"col\">predicted</th><th scope=\"col\">rows</th></tr></thead>\n<tbody>{rows}</tbody></table></div>\n"
    )
}

/// Returns tables with the numbers of the reliability diagrams.
pub(super) fn bins(plain: &Reliability, calibrated: Option<&Reliability>) -> String {
    let table = |caption: &str, diagram: &Reliability| {
        let rows: String = (diagram.bins().iter())
            .map(|bin| {
                format!(
                    "<tr><th scope=\"row\">{:.4}</th><td>{:.4}</td><td>{}</td></tr>\n",
                    bin.predicted, bin.observed, bin.rows
                )
            })
            .collect();
        format!(
            "<div class=\"card\"><h3>{caption}: expected calibration error {:.4}, largest {:.4}</h3><table><thead><tr><th scope=\"col\">predicted</th>\
             <th scope=\"col\">observed</th><th scope=\"col\">rows</th></tr></thead>\n<tbody>{rows}</tbody></table></div>\n",
            diagram.error(),
            diagram.largest_error()
        )
    };
    let first = table(if calibrated.is_some() { "Before calibration" } else { "Without calibration" }, plain);
    let second = calibrated.map_or_else(String::new, |diagram| table("After calibration", diagram));
    format!(
        "<details><summary>The numbers of the reliability diagram</summary><div class=\"grid2\">{first}{second}</div></details>\n"
    )
}

/// Returns a table with the statistics of each epoch.
pub(super) fn epochs(report: &Contents) -> String {
    let cell = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| escape(&short(value)));
    let rows: String = (report.history.iter().enumerate())
        .map(|(i, e)| {
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{:.3}</td></tr>\n",
                i + 1,
                cell(Some(e.loss)),
                cell(e.validation_loss),
                cell(report.rates.get(i).copied()),
                e.seconds
            )
        })
        .collect();
    format!(
        "<details><summary>The numbers of all epochs</summary><div class=\"card\"><table><thead><tr><th scope=\"col\">epoch</th><th scope=\"col\">loss</th>\
         <th scope=\"col\">validation</th><th scope=\"col\">rate</th><th scope=\"col\">seconds</th></tr></thead>\n<tbody>{rows}</tbody></table></div></details>\n"
    )
}

/// Returns the importances of the features, in tables of ten rows.
pub(super) fn importance(report: &Contents) -> String {
    let shown = report.importance.iter().take(FEATURES).enumerate();
    let rows: String = shown
        .map(|(i, each)| {
            let (name, rise, spread) =
                (escape(&each.feature), escape(&short(each.mean)), escape(&short(each.deviation)));
            format!("<tr><th scope=\"row\">{}. {name}</th><td>{rise}<small>± {spread}</small></td></tr>\n", i + 1)
        })
        .collect::<Vec<_>>()
        .chunks(10)
        .enumerate()
        .map(|(i, rows)| {
            let head = "<thead><tr><th scope=\"col\">feature</th><th scope=\"col\">rise ± deviation</th></tr></thead>";
            let table = format!("<table>{head}\n<tbody>{}</tbody></table>", rows.concat());
            if i == 0 {
                table
            } else {
                format!(
                    "<details><summary>Features {} to {}</summary>{table}</details>",
                    i * 10 + 1,
                    i * 10 + rows.len()
                )
            }
        })
        .collect();
    let more = report.importance.len().saturating_sub(FEATURES);
    let rest = if more > 0 { format!("<p>{more} more features are less important.</p>") } else { String::new() };
    format!("<div class=\"card\">{rows}{rest}</div>\n")
}

/// Returns a table with the number of rows of each class in each part of the data.
pub(super) fn parts(report: &Contents) -> String {
    let part = |name: &str, scores: &Option<Scores>| {
        scores.as_ref().map(|scores| Part {
            name: name.into(),
            classes: scores.classes().to_vec(),
            counts: scores.class_counts().iter().map(|&count| count as f64).collect(),
            weighted: false,
        })
    };
    let mut all = report.parts.clone();
    all.extend(part("validation", &report.validation));
    all.extend(part("test", &report.test));
    let Some(first) = all.iter().max_by_key(|part| part.classes.len()) else { return String::new() };
    let heads: String = all.iter().map(|part| format!("<th scope=\"col\">{}</th>", escape(&part.name))).collect();
    let cell = |part: &Part, class: usize| {
        let (count, sum) = (part.counts.get(class).copied().unwrap_or(0.0), part.counts.iter().sum::<f64>());
        let percentage = format!("{} %", escape(&percent(if sum > 0.0 { count / sum } else { 0.0 })));
        if part.weighted {
            format!("<td>{percentage}</td>")
        } else {
            format!("<td>{count:.0} <small>{percentage}</small></td>")
        }
    };
    let rows: String = (first.classes.iter().enumerate().take(FEATURES))
        .map(|(class, name)| {
            let cells: String = all.iter().map(|part| cell(part, class)).collect();
            format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escape(name))
        })
        .collect();
    let sums: String = (all.iter())
        .map(|part| {
            if part.weighted { "<td></td>".into() } else { format!("<td>{:.0}</td>", part.counts.iter().sum::<f64>()) }
        })
        .collect();
    let why = if all.iter().any(|part| part.weighted) {
        "Rows per class. The effective prevalence is what the loss sees, with the weights of the classes. It differs from the \
         frequencies of the classes, so the model's probabilities are too high for classes with larger weights, unless they are \
         calibrated."
    } else {
        "Rows per class. The loss sees the classes with these frequencies."
    };
    format!(
        "<section aria-labelledby=\"data-title\"><h2 id=\"data-title\">Data</h2>\n<p class=\"why\">{why}</p>\n\
         <div class=\"card\"><div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Rows per class\"><table><thead><tr><th scope=\"col\">class</th>{heads}</tr></thead>\n\
         <tbody>{rows}<tr><th scope=\"row\">all</th>{sums}</tr></tbody></table></div></div></section>\n"
    )
}

/// Formats a fraction as a percentage with three significant digits.
fn percent(fraction: f64) -> String {
    let percent = fraction * 100.0;
    if percent >= 10.0 { format!("{percent:.1}") } else { short((percent * 1e4).round() / 1e4) }
}

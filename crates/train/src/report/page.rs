//! Page of a report: one HTML file that contains its style, plots and script.

#![allow(
    clippy::format_collect,
    clippy::write_with_newline,
    reason = "a page is small, and its code should read as the page does"
)]

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use wgrad_core::Result;

use super::contents::{Contents, Fact};
use super::figures::ReliabilityFigure;
use super::resample::MetricInterval;
use super::scores::Scores;
use super::svg::{Figure, escape};
use super::tables::{bins, classes, epochs, importance, parts};
use super::{figures, slider};
use wgrad_metrics::Interval;

/// Draws all plots, in the order of the page.
pub(super) fn figures(report: &Contents) -> Result<Vec<Figure>> {
    let mut all: Vec<Figure> = vec![];
    if let Some(scores) = report.evaluated() {
        all.extend(figures::roc(scores, &report.decision)?);
        all.extend(figures::precision_recall(scores, &report.decision)?);
        all.push(figures::reliability(scores, &report.decision)?.figure);
        all.push(figures::histogram(scores, &report.decision));
    }
    all.extend(figures::loss(&report.history));
    all.extend(figures::learning_rate(&report.rates));
    all.extend(figures::importance(&report.importance));
    Ok(all)
}

/// Returns the complete HTML page.
pub(super) fn html(report: &Contents) -> Result<String> {
    let title = escape(&report.title);
    let mut body = String::new();
    let _ = write!(body, "<header><h1>{title}</h1>\n{}</header>\n", about(report));
    for note in &report.notes {
        let _ = writeln!(body, "<p class=\"note\">{}</p>", escape(note));
    }
    let plots = figures(report)?;
    let cards = |ids: &[&str]| {
        let chosen = plots.iter().filter(|figure| ids.contains(&figure.id));
        let cards: String = chosen.map(card).collect();
        if cards.is_empty() { cards } else { format!("<div class=\"grid2\">\n{cards}</div>\n") }
    };
    let mut script = String::new();
    if let Some(scores) = report.evaluated() {
        body += &headline(report, scores)?;
        if scores.classes().len() == 2 {
            body += &slider::html(report, scores, &report.decision)?;
            script = format!("<script>\n{}\n</script>\n", include_str!("slider.js").trim());
        } else {
            body += &classes(report, scores)?;
        }
        let ReliabilityFigure { plain, calibrated, .. } = figures::reliability(scores, &report.decision)?;
        let _ = write!(
            body,
            "<section aria-labelledby=\"plots-title\"><h2 id=\"plots-title\">Ranking and probabilities</h2>\n{}{}</section>\n",
            cards(&["roc", "precision_recall", "reliability", "scores"]),
            bins(&plain, calibrated.as_ref())
        );
    }
    if !report.history.is_empty() {
        let _ = write!(
            body,
            "<section aria-labelledby=\"training-title\"><h2 id=\"training-title\">Training</h2>\n{}{}</section>\n",
            cards(&["loss", "learning_rate"]),
            epochs(report)
        );
    }
    if !report.importance.is_empty() {
        let _ = write!(
            body,
            "<section aria-labelledby=\"importance-title\"><h2 id=\"importance-title\">Feature importance</h2>\n\
             <p class=\"why\">Rise of the loss when the values of one feature are shuffled among the rows: an estimate of the \
             feature's contribution. Correlated features split their importance.</p>\n\
             <div class=\"grid2\">{}{}</div></section>\n",
            plots.iter().filter(|figure| figure.id == "importance").map(card).collect::<String>(),
            importance(report)
        );
    }
    body += &parts(report);
    body += &model(report);
    Ok(document(&report.title, &body, &script))
}

/// Returns an HTML page with the style of reports. The page fits screens of any width, in light or dark mode. It
/// opens from disk and loads nothing from a network. `body` is HTML, in which the caller has escaped all text with
/// [`escape`](super::escape). `script` is a `<script>` element or empty.
pub fn document(title: &str, body: &str, script: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>\n{}\n{}\n</style>\n</head>\n<body>\n<main>\n{body}</main>\n{script}</body>\n</html>\n",
        include_str!("plot.css").trim(),
        include_str!("page.css").trim(),
    )
}

/// Returns lines of HTML about the evaluated rows, the decision and the start time.
fn about(report: &Contents) -> String {
    let mut lines = String::new();
    if let Some(scores) = report.evaluated() {
        let which = if report.test.is_some() {
            "test rows, which were not used for training"
        } else {
            "validation rows, as there are no test rows"
        };
        let mut decision = report.decision.to_string();
        if scores.classes().len() > 2 {
            decision.truncate(decision.find(';').unwrap_or(decision.len()));
        }
        let _ = writeln!(lines, "<p>Evaluated on {} {which}. {}.</p>", scores.rows(), escape(&capital(&decision)));
    }
    if let Some(time) = report.begun {
        let _ = writeln!(lines, "<p>Started {}</p>", date(time));
    }
    lines
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Returns the HTML of a plot with its title and summary.
fn card(figure: &Figure) -> String {
    let (title, summary) = (escape(&figure.title), escape(&figure.summary));
    format!(
        "<figure class=\"card\"><figcaption>{title}<span>{summary}</span></figcaption>\n{}</figure>\n",
        figure.inline()
    )
}

/// Returns the name of a metric as the page shows it.
fn display_name(name: &str) -> &str {
    match name {
        "f1" => "F1",
        "roc_auc" => "ROC-AUC",
        "pr_auc" => "PR-AUC",
        "log_loss" => "log loss",
        "brier" => "Brier score",
        other => other,
    }
}

/// Returns the section of the page with the metrics and their intervals.
fn headline(report: &Contents, scores: &Scores) -> Result<String> {
    let all = report.intervals()?;
    let two = scores.classes().len() == 2;
    let mut tiles = String::new();
    let of = |name: &str| all.iter().find(|m| m.name == name).and_then(|m| m.interval);
    for name in if two { ["pr_auc", "roc_auc", "f1", "accuracy"] } else { ["accuracy", "f1", "roc_auc", "log_loss"] } {
        let (value, low, high) = match of(name) {
            Some(Interval { value, low, high, .. }) => {
                (format!("{value:.3}"), format!("{low:.3}"), format!("{high:.3}"))
            }
            None => ("–".into(), "–".into(), "–".into()),
        };
        let _ =
            write!(tiles, "<div><dt>{}</dt><dd>{value}<small>{low} to {high}</small></dd></div>\n", display_name(name));
    }
    let row = |m: &MetricInterval| {
        let Some(Interval { value, low, high, .. }) = m.interval else {
            let cells = "<td>undefined</td><td>–</td><td class=\"whisker\"></td>";
            return format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", display_name(m.name));
        };
        let at = |x: f64| (x * 100.0).clamp(0.0, 100.0);
        let track = if high <= 1.0 {
            format!(
                "<span class=\"track\"><i style=\"left:{:.1}%;width:{:.1}%\"></i><b style=\"left:{:.1}%\"></b></span>",
                at(low),
                at(high - low),
                at(value)
            )
        } else {
            String::new()
        };
        format!(
            "<tr><th scope=\"row\">{}</th><td>{value:.4}</td><td>{low:.4} to {high:.4}</td><td class=\"whisker\">{track}</td></tr>\n",
            display_name(m.name)
        )
    };
    let rows: String = all.iter().map(row).collect();
    let of = if two {
        format!(
            "Precision, recall, F1 and PR-AUC are those of <b>{}</b>, at the model's threshold.",
            escape(&scores.classes()[1])
        )
    } else {
        "Precision, recall and F1 are macro averages over the classes; the areas are means of one class against the rest.".into()
    };
    let which = if report.test.is_some() { "the test rows" } else { "the validation rows" };
    Ok(format!(
        "<section aria-labelledby=\"metrics-title\"><h2 id=\"metrics-title\">Metrics</h2>\n\
         <p class=\"why\">On {which}, with 95 % bootstrap intervals: the range in which each metric varies between samples of this size. {of}</p>\n\
         <dl class=\"tiles\">{tiles}</dl>\n\
         <div class=\"card\"><table><thead><tr><th scope=\"col\">metric</th><th scope=\"col\">value</th><th scope=\"col\">95 % interval</th>\
         <th scope=\"col\" class=\"whisker\">0 to 1</th></tr></thead>\n<tbody>{rows}</tbody></table></div></section>\n"
    ))
}

fn model(report: &Contents) -> String {
    let mut html =
        "<section aria-labelledby=\"run-title\"><h2 id=\"run-title\">The run</h2>\n<div class=\"card\">\n".to_string();
    if !report.command.is_empty() {
        let _ = write!(html, "<h3>Command to repeat it</h3><pre class=\"wrap\">{}</pre>\n", escape(&report.command));
    }
    let facts = report.facts.iter().map(|Fact { name, value }| (&name[..], value.clone()));
    let rows: String = facts
        .chain([("wgrad", env!("CARGO_PKG_VERSION").to_string())])
        .map(|(name, value)| format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(name), escape(&value)))
        .collect();
    let _ = write!(html, "<table class=\"facts\"><tbody>{rows}</tbody></table>\n");
    for (name, text) in [("The model", &report.model), ("The plan of a training step", &report.plan)] {
        if !text.is_empty() {
            let _ = write!(
                html,
                "<details><summary>{name}</summary><pre tabindex=\"0\">{}</pre></details>\n",
                escape(text)
            );
        }
    }
    html + "</div></section>\n"
}

/// Formats a time as `2026-11-21 16:02:45 UTC`.
pub fn date(time: SystemTime) -> String {
    // Converts days, counted from 1 March of the year 0, to a date of the Gregorian calendar.
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month < 3);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let of = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(of(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(of(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(of(951_827_696), "2000-02-29 12:34:56 UTC");
        assert_eq!(of(4_107_542_400), "2100-03-01 00:00:00 UTC");
    }
}

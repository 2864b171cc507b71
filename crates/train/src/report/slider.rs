//! Threshold slider of the report page: its stops (the positions to which it can be moved), and the numbers that
//! the page shows at each stop.

#![allow(clippy::write_with_newline, reason = "the code should read as the page does")]

use std::fmt::Write;

use wgrad_core::Result;

use super::contents::Contents;
use super::figures::cut_at_threshold;
use super::scores::Scores;
use super::svg::{FRAME, escape, short};
use wgrad_metrics::{Costs, Cut, Cuts, Decision};

/// Number of parts into which the rows, and separately the positive rows, are divided to choose the stops. There
/// are at most about twice as many stops as parts.
const STEPS: u64 = 150;

/// Stop: a position of the threshold slider.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SliderStop {
    /// Logit above which a row is predicted as positive. Infinite at the two ends of the slider.
    pub threshold: f64,
    /// Probability that corresponds to `threshold`, after calibration.
    pub probability: f64,
    /// Counts of true and false positives at this threshold.
    pub cut: Cut,
}

/// Stops of the threshold slider (the positions to which it can be moved).
#[derive(Clone, Debug, PartialEq)]
pub struct SliderStops {
    /// Stops in ascending order of the threshold.
    pub all: Vec<SliderStop>,
    /// Index of the stop at the decision's threshold.
    pub chosen: usize,
}

/// Selects the stops of the slider. If the rows have few different logits, there is a stop for each of them.
/// Otherwise the stops are selected so that from one stop to the next, less than about one per cent of the
/// positive rows, and less than about one per cent of all rows, change their predicted class.
pub(super) fn stops(scores: &Scores, decision: &Decision) -> Result<Option<SliderStops>> {
    let Some(margins) = scores.margins() else { return Ok(None) };
    let cuts = Cuts::new(&margins, scores.labels())?;
    let own = cut_at_threshold(&cuts, decision);
    let rows = |cut: &Cut| cut.true_positives + cut.false_positives;
    let all = cuts.all();
    let mut kept: Vec<Cut> = vec![];
    for (i, cut) in all.iter().enumerate() {
        let far = kept.last().is_none_or(|last| {
            (cut.true_positives - last.true_positives) * STEPS >= cut.positives
                || (rows(cut) - rows(last)) * STEPS >= cut.positives + cut.negatives
        });
        if all.len() as u64 <= 2 * STEPS || (far && rows(cut) > 0) || i == 0 || i + 1 == all.len() || *cut == own {
            kept.push(*cut);
        }
    }
    kept.reverse();
    let at = kept.iter().position(|cut| *cut == own).unwrap_or(0);
    let stop = |(i, cut): (usize, Cut)| {
        let threshold = if i == at { decision.threshold() } else { cut.threshold };
        let probability = match threshold {
            t if t >= f64::MAX => 1.0,
            t if t <= f64::MIN => 0.0,
            t => decision.probability(t),
        };
        SliderStop { threshold, probability, cut }
    };
    Ok(Some(SliderStops { all: kept.into_iter().enumerate().map(stop).collect(), chosen: at }))
}

/// Number on the page that changes when the slider moves.
struct LiveNumber {
    /// Suffix of the element's id in the page.
    id: &'static str,
    label: &'static str,
    value: f64,
}

fn numbers(cut: &Cut, costs: &Costs) -> Vec<LiveNumber> {
    let predicted = cut.true_positives + cut.false_positives;
    let accuracy =
        (cut.true_positives + cut.negatives - cut.false_positives) as f64 / (cut.positives + cut.negatives) as f64;
    let number = |id, label, value| LiveNumber { id, label, value };
    vec![
        number("precision", "precision", if predicted == 0 { 0.0 } else { cut.precision() }),
        number("recall", "recall", if cut.positives == 0 { 0.0 } else { cut.recall() }),
        number("f1", "F1", cut.f_beta(1.0)),
        number("specificity", "specificity", if cut.negatives == 0 { 0.0 } else { 1.0 - cut.false_positive_rate() }),
        number("accuracy", "accuracy", accuracy),
        number("cost", "cost", cut.cost(costs)),
    ]
}

/// Returns the section of the page with the slider, and the data for the page's script.
pub(super) fn html(report: &Contents, scores: &Scores, decision: &Decision) -> Result<String> {
    let Some(SliderStops { all: stops, chosen: at }) = stops(scores, decision)? else { return Ok(String::new()) };
    let costs =
        decision.rule().costs().unwrap_or(Costs { false_negative: 1.0, false_positive: 1.0, ..Costs::default() });
    let [negative, positive] = [0, 1].map(|class| escape(&scores.classes()[class]));
    let SliderStop { cut, probability, .. } = stops[at];
    let Cut { true_positives: tp, false_positives: fp, positives, negatives, .. } = cut;
    let (missed, rest) = (positives - tp, negatives - fp);
    let cell = |name: &str, count: u64, what: &str| {
        format!("<td id=\"{name}\" data-value=\"{count}\"><span>{count}</span><small>{what}</small></td>")
    };
    let mut html = format!(
        "<section aria-labelledby=\"threshold-title\"><h2 id=\"threshold-title\">Threshold</h2>\n\
         <p class=\"why\">A row is predicted as <b>{positive}</b> if its probability is above the threshold. The slider starts at the \
         model's threshold, {}. Move it to see the metrics of the {} evaluated rows at other thresholds; the marks in the plots \
         below move with it.</p>\n\
         <div class=\"grid2\"><div class=\"card slider\">\n\
         <label for=\"threshold\"><span>Threshold</span> <output for=\"threshold\" id=\"at\" data-value=\"{probability:?}\">{}</output></label>\n\
         <input type=\"range\" id=\"threshold\" min=\"0\" max=\"{}\" step=\"1\" value=\"{at}\" aria-describedby=\"say\" disabled>\n\
         <p class=\"say\" id=\"say\" aria-live=\"polite\">{tp} of {positives} rows of class {positive} found; {fp} of {negatives} rows of \
         class {negative} mistaken for it.</p>\n<dl class=\"live\">",
        escape(&format!("{probability:.4}, {}", rule(report, decision))),
        scores.rows(),
        format_args!("{probability:.4}"),
        stops.len() - 1,
    );
    for LiveNumber { id, label, value } in numbers(&cut, &costs) {
        let text = if id == "cost" { short(value) } else { format!("{value:.4}") };
        let _ = write!(html, "<div><dt>{label}</dt><dd id=\"live-{id}\" data-value=\"{value:?}\">{text}</dd></div>");
    }
    let _ = write!(
        html,
        "</dl>\n<div class=\"costs\"><label>cost of a false positive <input type=\"number\" id=\"cost-fp\" value=\"{}\" step=\"any\" disabled></label>\
         <label>of a false negative <input type=\"number\" id=\"cost-fn\" value=\"{}\" step=\"any\" disabled></label></div>\n\
         <p class=\"buttons\"><button type=\"button\" id=\"cheapest\" disabled>Go to the lowest cost</button> <button type=\"button\" id=\"back\" disabled>Back to the model's threshold</button></p>\n\
         <noscript><p class=\"note\">The slider needs JavaScript. The numbers are those of the model's threshold.</p></noscript>\n</div>\n\
         <div class=\"card\"><h3>Confusion matrix</h3><table class=\"matrix\"><thead><tr><th scope=\"col\">truth</th>\
         <th scope=\"col\">predicted<br>{negative}</th><th scope=\"col\">predicted<br>{positive}</th></tr></thead>\n<tbody>\
         <tr><th scope=\"row\">{negative}</th>{}{}</tr>\n<tr><th scope=\"row\">{positive}</th>{}{}</tr></tbody></table></div></div></section>\n",
        costs.false_positive,
        costs.false_negative,
        cell("tn", rest, "true negatives"),
        cell("fp", fp, "false positives"),
        cell("fn", missed, "false negatives"),
        cell("tp", tp, "true positives"),
    );
    html += &data(&stops, at, &costs);
    Ok(html)
}

/// Returns the stops as JSON for the script of the page.
fn data(stops: &[SliderStop], at: usize, costs: &Costs) -> String {
    let Cut { positives, negatives, .. } = stops[at].cut;
    let rows: Vec<String> = stops
        .iter()
        .map(|SliderStop { threshold, probability, cut }| {
            let text = if threshold.abs() < f64::MAX { format!("{threshold:?}") } else { "null".into() };
            format!("[{text},{probability:?},{},{}]", cut.true_positives, cut.false_positives)
        })
        .collect();
    let [left, top, right, bottom] = FRAME;
    format!(
        "<script type=\"application/json\" id=\"stops\">{{\"at\":{at},\"positives\":{positives},\"negatives\":{negatives},\
         \"tp\":{},\"tn\":{},\"frame\":[{left},{top},{right},{bottom}],\"stops\":[{}]}}</script>\n",
        costs.true_positive,
        costs.true_negative,
        rows.join(",")
    )
}

/// Describes how the threshold was chosen.
fn rule(report: &Contents, decision: &Decision) -> String {
    match (decision.chosen_on(), report.validation.is_some()) {
        (None, _) => "which was given".into(),
        (Some(_), true) => format!("was chosen on the validation rows for {}", decision.rule().words()),
        (Some(_), false) => format!("was chosen for {}", decision.rule().words()),
    }
}

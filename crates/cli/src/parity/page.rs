//! Parity report as an HTML page.

#![allow(
    clippy::format_collect,
    clippy::write_with_newline,
    reason = "a page is small, and its code should read as the page does"
)]

use std::fmt::Write;

use wgrad_kernels::{Adapter, WGPU};
use wgrad_parity::{DeviceSetting, Failure, ParityReport, Tally};
use wgrad_train::report::{date, document, escape};

use super::record::Record;
use super::table::{self, grouped, lines, short, text};

/// Formats the parity report as an HTML page.
pub fn html(record: &Record<'_>) -> String {
    let all = record.report;
    let mut body = format!(
        "<header><h1>{}</h1>\n<p>wgrad parity, {}</p>\n<p>{}</p></header>\n",
        if all.passed() { "Every number is within its bound" } else { "Some numbers are not within their bounds" },
        date(record.begun),
        escape(&record.summary())
    );
    body += &tiles(record);
    body += &failures(all);
    body += &kernels(all);
    body += &devices(record);
    document("wgrad parity", &body, "")
}

/// Extra style rules: kernel names stay on one line, and the cause of an error may take several lines.
const STYLE: &str = "<style>
.kernels th:first-child { min-width: 11em; overflow-wrap: normal; } .kernels td { white-space: nowrap; }
.kernels .whisker { width: 16%; } .kernels .case { text-align: left; } .kernels td.case, .kernels .case small { white-space: normal; }
@media (max-width: 560px) { .kernels th:first-child { min-width: 8em; overflow-wrap: anywhere; } .kernels td.case { min-width: 16em; } }
</style>
";

fn tiles(record: &Record<'_>) -> String {
    let all = record.report;
    let worst = all.kernels.values().map(|tally| tally.share).fold(0.0, f64::max);
    let settings = record.settings.len();
    let tile = |name: &str, value: String, more: String| {
        format!("<div><dt>{name}</dt><dd>{value}<small>{more}</small></dd></div>\n")
    };
    let tiles = [
        tile("failures", all.failures.len().to_string(), format!("of {} runs", all.runs)),
        tile("cases", all.cases.to_string(), format!("on {settings} settings")),
        tile("kernels", all.kernels.len().to_string(), "and pointwise ops".into()),
        tile("worst error", format!("{} %", short(100.0 * worst)), "of its bound".into()),
        tile("numbers compared", grouped(all.elements), format!("of {} results", grouped(all.results))),
    ];
    format!("<dl class=\"tiles\">{}</dl>\n", tiles.concat())
}

fn section(id: &str, title: &str, why: &str, content: &str) -> String {
    format!(
        "<section aria-labelledby=\"{id}\"><h2 id=\"{id}\">{title}</h2>\n<p class=\"why\">{why}</p>\n{content}</section>\n"
    )
}

fn failures(all: &ParityReport) -> String {
    if all.passed() {
        return String::new();
    }
    let card = |(failure, others): (&Failure, Vec<&str>)| {
        let kernels = failure.kernels.iter().map(|kernel| escape(kernel)).collect::<Vec<_>>().join(", ");
        let kernels = if kernels.is_empty() { "did not run".into() } else { kernels };
        let text = escape(&text(failure, &others));
        format!("<div class=\"card\"><h3>{kernels}</h3><pre class=\"wrap\">{text}</pre></div>\n")
    };
    let cards: String = table::failures(all).into_iter().map(card).collect();
    let why = "The first wrong kernel, the case, and the element with the largest error, with its inputs.";
    section("failures", "Failures", why, &format!("<div class=\"grid2\">\n{cards}</div>\n"))
}

/// Draws an error as a bar; a bar of full width is an error as large as its bound.
fn bar(share: f64) -> String {
    let percent = (100.0 * share).clamp(0.0, 100.0);
    format!("<span class=\"track\"><i style=\"left:0;width:{percent:.1}%\"></i></span>")
}

fn row(name: &str, tally: &Tally) -> String {
    let worst =
        tally.worst.as_ref().map(|(case, setting)| format!("{}<small>{}</small>", escape(case), escape(setting)));
    let result = if tally.failures == 0 { "pass".into() } else { format!("<b>{} failed</b>", tally.failures) };
    format!(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{} %</td><td class=\"whisker\">{}</td><td>{result}</td>\
         <td class=\"case\">{}</td></tr>\n",
        escape(name),
        tally.cases.len(),
        short(tally.ulp),
        short(100.0 * tally.share),
        bar(tally.share),
        worst.unwrap_or_default()
    )
}

fn frame(rows: &str) -> String {
    format!(
        "<div class=\"card wide kernels\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">kernel</th><th scope=\"col\">cases</th>\
         <th scope=\"col\">worst ULP</th><th scope=\"col\">of bound</th><th scope=\"col\" class=\"whisker\">0 to its bound</th>\
         <th scope=\"col\">result</th><th scope=\"col\" class=\"case\">worst case</th></tr></thead>\n<tbody>{rows}</tbody></table></div>\n"
    )
}

fn kernels(all: &ParityReport) -> String {
    let rows: String = lines(all).iter().map(|(name, tally)| row(name, tally)).collect();
    let each: String = all.kernels.iter().map(|(name, tally)| row(name, tally)).collect();
    let each = format!(
        "<details><summary>Each kernel, pointwise op and op of the CPU backend</summary>{}</details>\n",
        frame(&each)
    );
    let why = "Largest errors over all devices and cases, against the reference in f64: in units in the last place (ULP), \
               which are large where a sum cancels, and as a fraction of the bound that is derived for each number; \
               beyond 100 % it fails.";
    section("kernels", "Kernels", why, &format!("{STYLE}\n{}{each}", frame(&rows)))
}

fn devices(record: &Record<'_>) -> String {
    let mut cards = String::new();
    let mut seen: Vec<&DeviceSetting> = vec![];
    for setting in record.settings {
        if seen.iter().any(|other| other.device.info() == setting.device.info()) {
            continue;
        }
        seen.push(setting);
        let info = setting.device.info();
        let ways = record.settings.iter().filter(|other| other.device.info() == info);
        let ways: Vec<_> = ways.map(|way| if way.change.is_empty() { "as it is" } else { way.change }).collect();
        let mut facts = vec![
            ("adapter", info.adapter.clone()),
            ("backend", info.api.clone()),
            ("driver", info.driver.clone()),
            ("computes on", if info.software || setting.adapter.is_none() { "the CPU" } else { "a GPU" }.into()),
            ("checked", ways.join("; ")),
        ];
        if setting.adapter.is_some() {
            facts.push(("wgpu", WGPU.into()));
        }
        let facts: String =
            facts.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| fact(name, value)).collect();
        let _ = write!(
            cards,
            "<div class=\"card\"><h3>{}</h3><table class=\"facts\"><tbody>{facts}</tbody></table>{}</div>\n",
            escape(&setting.name),
            setting.adapter.as_ref().map(limits).unwrap_or_default()
        );
    }
    let why = "The devices that were checked. A software adapter also runs the kernels that a real GPU would get, and those for six \
               storage buffers.";
    section("devices", "Devices", why, &format!("<div class=\"grid2\">\n{cards}</div>\n"))
}

fn fact(name: &str, value: &str) -> String {
    format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(name), escape(value))
}

/// Formats the limits and features that the adapter's driver reports as HTML.
fn limits(adapter: &Adapter) -> String {
    let text = format!("{:?}", adapter.limits());
    let inside = text.split_once('{').map_or("", |(_, rest)| rest).trim_end_matches(['}', ' ']);
    let rows: String = inside
        .split(", ")
        .filter_map(|field| field.split_once(": "))
        .map(|(name, value)| fact(name.trim(), value))
        .collect();
    let features: Vec<_> = adapter.features().iter_names().map(|(name, _)| escape(name)).collect();
    format!(
        "<details><summary>Limits</summary><table class=\"facts\"><tbody>{rows}</tbody></table></details>\n\
         <details><summary>{} features</summary><pre class=\"wrap\">{}</pre></details>\n",
        features.len(),
        features.join(", ")
    )
}

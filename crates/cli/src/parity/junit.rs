//! Report as `JUnit` XML, with a test suite for each device and a test for each case.

use std::fmt::Write;

use wgrad_train::report::escape;

use super::record::Record;

/// Removes the control characters that XML forbids.
fn xml_text(text: &str) -> String {
    escape(&text.chars().filter(|c| !c.is_control() || *c == '\n' || *c == '\t').collect::<String>())
}

/// Formats the report as `JUnit` XML.
pub fn xml(record: &Record<'_>) -> String {
    let all = record.report;
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (tests, failures, time) = (all.runs, all.failures.len(), record.took.as_secs_f64());
    let _ = writeln!(
        xml,
        "<testsuites name=\"wgrad parity\" tests=\"{tests}\" failures=\"{failures}\" time=\"{time:.3}\">"
    );
    for setting in record.settings {
        let suite = xml_text(&setting.name);
        let outcomes = || all.outcomes.iter().filter(|outcome| outcome.setting == setting.name);
        let failed = outcomes().filter(|outcome| outcome.failure.is_some()).count();
        let time: f64 = outcomes().map(|outcome| outcome.seconds).sum();
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{suite}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\" time=\"{time:.3}\">",
            outcomes().count()
        );
        for outcome in outcomes() {
            let case = xml_text(&outcome.case);
            let _ = write!(xml, "    <testcase classname=\"{suite}\" name=\"{case}\" time=\"{:.3}\"", outcome.seconds);
            match outcome.failure.map(|failure| &all.failures[failure]) {
                None => xml.push_str("/>\n"),
                Some(failure) => {
                    let kernels = failure.kernels.iter().cloned().collect::<Vec<_>>().join(", ");
                    let message = if kernels.is_empty() { "did not run".into() } else { xml_text(&kernels) };
                    let text = xml_text(&failure.to_string());
                    let _ = writeln!(xml, ">\n      <failure message=\"{message}\">{text}</failure>\n    </testcase>");
                }
            }
        }
        xml.push_str("  </testsuite>\n");
    }
    xml + "</testsuites>\n"
}

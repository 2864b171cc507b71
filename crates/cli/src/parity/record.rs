//! Parity report as text and as JSON.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use wgrad_core::Result;
use wgrad_parity::{DeviceSetting, Failure, ParityReport};

use super::options::Args;
use super::table;
use crate::output::{count, note, print};

/// A finished parity run, with everything that its reports show.
pub struct Record<'a> {
    pub args: &'a Args,
    pub settings: &'a [DeviceSetting],
    pub report: &'a ParityReport,
    pub begun: SystemTime,
    pub took: Duration,
}

impl Record<'_> {
    /// Prints the result.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn print(&self) -> Result<()> {
        let all = self.report;
        for (failure, others) in table::failures(all) {
            note(&format!("FAILED {}\n", table::text(failure, &others)));
        }
        if self.args.json {
            return print(&format!("{}\n", self.json()));
        }
        print(&format!("{}\n", table::by_kernel(all, self.settings)))?;
        print(&format!("{}\n", self.summary()))
    }

    /// Describes the result in one sentence.
    pub fn summary(&self) -> String {
        let all = self.report;
        let wrong =
            if all.passed() { "all within their bounds".into() } else { format!("{} failed", all.failures.len()) };
        format!(
            "{}, {} on {}, {} numbers compared with the reference: {wrong} ({:.0} s)",
            count(all.cases, "case"),
            count(all.runs, "run"),
            count(self.settings.len(), "setting"),
            table::grouped(all.elements),
            self.took.as_secs_f64()
        )
    }

    fn json(&self) -> Value {
        let all = self.report;
        let device = |setting: &DeviceSetting| {
            let info = setting.device.info();
            json!({
                "setting": setting.name,
                "change": setting.change,
                "kind": info.kind,
                "adapter": info.adapter,
                "backend": info.api,
                "driver": info.driver,
                "software": info.software,
            })
        };
        let kernel = |(name, tally): (&String, &wgrad_parity::Tally)| {
            let (case, setting) = tally.worst.clone().unzip();
            json!({
                "kernel": name,
                "cases": tally.cases.len(),
                "results": tally.results,
                "ulp": number(tally.ulp),
                "share": number(tally.share),
                "case": case,
                "setting": setting,
                "failures": tally.failures,
            })
        };
        json!({
            "passed": all.passed(),
            "mode": if self.args.full { "full" } else { "quick" },
            "seconds": self.took.as_secs_f64(),
            "seed": self.args.seed,
            "cases": all.cases,
            "runs": all.runs,
            "results": all.results,
            "numbers": all.elements,
            "settings": self.settings.iter().map(device).collect::<Vec<_>>(),
            "kernels": all.kernels.iter().map(kernel).collect::<Vec<_>>(),
            "failures": all.failures.iter().map(failure).collect::<Vec<_>>(),
        })
    }
}

/// Converts a number to JSON. Infinity and NaN become text, because JSON has no such numbers.
fn number(x: f64) -> Value {
    if x.is_finite() { x.into() } else { x.to_string().into() }
}

fn failure(failure: &Failure) -> Value {
    let result = |result: &wgrad_parity::ResultComparison| {
        let worst = result.worst.as_ref();
        json!({
            "part": result.part.to_string(),
            "index": worst.map(|worst| &worst.index),
            "got": worst.map(|worst| number(worst.deviation.got)),
            "truth": worst.map(|worst| number(worst.deviation.truth)),
            "bound": worst.map(|worst| number(worst.deviation.bound)),
            "ulp": number(result.ulp),
            "share": number(result.share()),
            "fed": worst.map(|worst| {
                worst.fed.iter().map(|(name, x)| (name.clone(), number(*x))).collect::<serde_json::Map<_, _>>()
            }),
        })
    };
    json!({
        "case": failure.case,
        "setting": failure.setting,
        "kernels": failure.kernels,
        "node": failure.node.as_ref().map(|(name, _)| name),
        "at": failure.node.as_ref().map(|(_, site)| site.to_string()),
        "inputs": failure.inputs,
        "results": failure.results.iter().map(result).collect::<Vec<_>>(),
        "error": failure.error,
    })
}

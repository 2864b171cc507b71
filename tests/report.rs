//! Tests of the threshold slider in a report, run in a browser. At every position, the page must show what Rust
//! computes for that threshold.
//!
//! The tests need Chromium: the program that the environment variable `CHROMIUM` names, or the first of the usual
//! names that exists. Without it, the tests are listed as ignored.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use wgrad::metrics::{Calibrate, ConfusionMatrix, Decision, Ratio, Rule};
use wgrad::train::report::{RunReport, Scores, SliderStops};

const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
const PATIENCE: Duration = Duration::from_mins(2);

fn browser() -> Option<PathBuf> {
    if let Some(path) = env::var_os("CHROMIUM") {
        return Some(path.into());
    }
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).flat_map(|folder| NAMES.map(|name| folder.join(name))).find(|path| path.is_file())
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let browser = browser();
    let cases: [(&str, u32, &str, Calibrate); 4] = [
        ("few_rows", 60, "f1", Calibrate::None),
        ("calibrated_and_costly", 400, "cost=1:10", Calibrate::Platt),
        ("many_rows_few_positives", 30_000, "precision=0.5", Calibrate::Isotonic),
        ("no_row_is_positive", 80, "cost=100:0", Calibrate::Temperature),
    ];
    let trial = |(name, rows, rule, calibrate): (&str, u32, &'static str, Calibrate)| {
        let path = browser.clone();
        let test = move || check_slider(&path.ok_or("there is no browser")?, rows, rule, calibrate);
        Trial::test(format!("the_slider_shows_what_rust_computes::{name}"), test).with_ignored_flag(browser.is_none())
    };
    libtest_mimic::run(&arguments, cases.map(trial).into()).exit_code()
}

/// Returns logits and labels that are correlated. If there are many rows, only few are positive.
fn rows(n: u32) -> (Vec<f64>, Vec<u32>) {
    let noise = |i: u32| f64::from((i * 7919) % 1009) / 1009.0;
    let rare = if n > 1000 { 50 } else { 3 };
    let label = |i: u32| u32::from(i.is_multiple_of(rare));
    let logits = (0..n).map(|i| 2.5 * f64::from(label(i)) - 2.0 + 3.0 * (noise(i) + noise(i + 77) - 1.0));
    (logits.collect(), (0..n).map(label).collect())
}

fn check_slider(browser: &Path, n: u32, rule: &str, calibrate: Calibrate) -> Result<(), Failed> {
    let (logits, labels) = rows(n);
    let rule: Rule = rule.parse()?;
    let classes = ["<b>no</b>", "yes & \"so\""];
    let scores = Scores::new(&logits, &labels, &classes)?;
    let decision = Decision::fit(&logits, &labels, calibrate, rule)?;
    let report = RunReport::new("slider").test(scores).decision(decision.clone());
    let SliderStops { all: stops, chosen: at } = report.stops()?.ok_or("a slider for two classes")?;

    let page =
        report.html()?.replace("</body>", concat!("<script>", include_str!("report/driver.js"), "</script></body>"));
    let state = run(browser, &page)?;
    let matrix = |threshold: f64| {
        let predicted: Vec<u32> = logits.iter().map(|&z| u32::from(z > threshold)).collect();
        ConfusionMatrix::new(&predicted, &labels, &classes)
    };
    let same = |state: &Value, name: &str, expected: f64| {
        let value = state[name].as_f64().unwrap_or(f64::NAN);
        let fits = (value - expected).abs() <= 1e-12 * expected.abs().max(1.0);
        if fits { Ok(()) } else { Err(Failed::from(format!("{name} is {value}, not {expected}"))) }
    };
    let check = |state: &Value, threshold: f64, (fp, fneg): (f64, f64)| -> Result<(), Failed> {
        let matrix = matrix(threshold)?;
        let count = |truth, predicted| matrix.count(truth, predicted) as f64;
        for (name, truth, predicted) in [("tn", 0, 0), ("fp", 0, 1), ("fn", 1, 0), ("tp", 1, 1)] {
            same(state, name, count(truth, predicted))?;
            let shown = state[format!("{name} shown")].as_str().unwrap_or_default().to_string();
            if shown != matrix.count(truth, predicted).to_string() {
                return Err(format!("{name} shows {shown}").into());
            }
        }
        let ratios =
            [("live-precision", matrix.precision(1)), ("live-recall", matrix.recall(1)), ("live-f1", matrix.f1(1))];
        let others = [("live-specificity", matrix.ratio(Ratio::Specificity, 1)), ("live-accuracy", matrix.accuracy())];
        for (name, value) in ratios.into_iter().chain(others) {
            same(state, name, value)?;
            let shown: f64 = state[format!("{name} shown")].as_str().unwrap_or_default().parse()?;
            if (shown - value).abs() > 5.1e-5 {
                return Err(format!("{name} shows {shown} for {value}").into());
            }
        }
        same(state, "live-cost", fp * count(0, 1) + fneg * count(1, 0))?;
        // The marks must be on the curves, whose frame is 320 wide and 220 high.
        let mark = |name: &str, axis: usize| state[name][axis].as_f64().unwrap_or(f64::NAN);
        let recall = (252.0 - mark("roc-mark", 1)) / 220.0;
        if (recall - matrix.recall(1)).abs() > 1e-9 || (mark("pr-mark", 0) - 70.0 - 320.0 * recall).abs() > 1e-6 {
            return Err(format!("the marks are at a recall of {recall}, not {}", matrix.recall(1)).into());
        }
        Ok(())
    };
    let costs = rule.costs().map_or((1.0, 1.0), |costs| (costs.false_positive, costs.false_negative));
    check(&state["first"], decision.threshold(), costs)?;
    let visited = state["stops"].as_array().ok_or("no stops")?;
    assert_eq!(visited.len(), stops.len());
    for (state, stop) in visited.iter().zip(&stops) {
        check(state, stop.threshold, (2.0, 7.5)).map_err(|error| format!("at {stop:?}: {error:?}"))?;
        assert_eq!(state["at"], state["spoken"]);
        assert!(state["words"].as_str().is_some_and(|words| words.contains("of class yes & \"so\" found")), "{state}");
    }
    let cost = |at: &Value| at["live-cost"].as_f64().unwrap_or(f64::NAN);
    let cheapest = usize::try_from(state["cheapest"].as_u64().ok_or("no place")?)?;
    assert!(visited.iter().all(|each| cost(each) >= cost(&visited[cheapest])));
    assert_eq!((state["begin"].as_u64(), state["back"].as_u64()), (Some(at as u64), Some(at as u64)));
    assert_eq!((&state["focus"], &state["label"]), (&true.into(), &1.into()));
    assert!(state["width"].as_u64().is_some_and(|width| width <= 380), "{}", state["width"]);
    Ok(())
}

/// Opens the page in the browser and returns the values that the test script wrote.
fn run(browser: &Path, page: &str) -> Result<Value, Failed> {
    let folder = tempfile::tempdir()?;
    let (file, out) = (folder.path().join("page.html"), folder.path().join("dom.html"));
    fs::write(&file, page)?;
    let mut child = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("file://{}", file.display()))
        .stdout(fs::File::create(&out)?)
        .stderr(Stdio::null())
        .spawn()?;
    let begin = Instant::now();
    while child.try_wait()?.is_none() {
        if begin.elapsed() > PATIENCE {
            child.kill()?;
            return Err("the browser does not terminate".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let dom = fs::read_to_string(&out)?;
    let text = dom.split("<pre id=\"result\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let text = text.ok_or("the page's script did not run to its end")?;
    Ok(serde_json::from_str(&text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))?)
}

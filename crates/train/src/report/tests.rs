//! Tests of the pages, plots and files of reports.

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::report::*;
use wgrad_metrics::{Calibrate, Cuts, Rule};

/// Names that contain HTML markup or could end a script element.
const HOSTILE: [&str; 2] = ["<script>alert(1)</script>", "\"'><img src=x onerror=alert(2)>&"];

fn scores(rows: u32, names: &[&str]) -> Scores {
    let logits: Vec<f64> = (0..rows).map(|i| f64::from((i * 37) % 41) / 10.0 - 2.0).collect();
    let labels: Vec<u32> = (0..rows).map(|i| u32::from((i * 37) % 41 + (i * 13) % 17 > 32)).collect();
    Scores::new(&logits, &labels, names).unwrap()
}

fn many(rows: u32, classes: u32) -> Scores {
    let names: Vec<String> = (0..classes).map(|class| format!("class <{class}>")).collect();
    let labels: Vec<u32> = (0..rows).map(|i| (i * 7) % classes).collect();
    let logit =
        |i: u32| f64::from((i * 31) % 23) / 8.0 + 2.0 * f64::from(u8::from((i / classes * 7) % classes == i % classes));
    let logits: Vec<f64> = (0..rows * classes).map(logit).collect();
    Scores::new(&logits, &labels, &names).unwrap()
}

fn history() -> Vec<Epoch> {
    let epoch = |i: u32| Epoch {
        loss: 1.0 / f64::from(i),
        validation_loss: Some(1.2 / f64::from(i)),
        seconds: 0.5,
        tracked: vec![],
    };
    (1..9).map(epoch).collect()
}

fn report(names: &[&str]) -> RunReport {
    let (validation, test) = (scores(120, names), scores(90, names));
    let decision = validation.decide(Calibrate::Platt, Rule::FBeta(2.0)).unwrap();
    let all = Importance { feature: HOSTILE[0].into(), mean: 0.25, deviation: 0.125 };
    let mut report = RunReport::new(HOSTILE[1]);
    report.contents.history = history();
    report
        .begun(UNIX_EPOCH + Duration::from_secs(1_000_000_000))
        .learning_rates((0..8).map(|i| 1e-3 * f64::from(8 - i)))
        .part(HOSTILE[0], names, &[70, 20])
        .weighted_part("effective", names, &[70.0, 70.0])
        .validation(validation)
        .test(test)
        .decision(decision)
        .importance(vec![all])
        .note(HOSTILE[0])
        .fact(HOSTILE[0], HOSTILE[1])
        .model(HOSTILE[0])
        .plan("matmul <f32[32, 30]>")
        .command("wgrad train '</pre><script>' --x")
}

/// Checks that tags are closed in the right order and that attributes are quoted.
fn check_markup(text: &str) {
    let mut open: Vec<&str> = vec![];
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').expect("a tag ends");
        let (tag, after) = (&rest[..end], &rest[end + 1..]);
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        rest = after;
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap_or_default();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{name}> closes another");
        } else if !(tag.ends_with('/')
            || tag.starts_with('!')
            || ["meta", "link", "input", "br", "img"].contains(&name))
        {
            open.push(name);
        }
        if ["style", "script"].contains(&name) && !tag.starts_with('/') {
            let close = format!("</{name}>");
            rest = &rest[rest.find(&close).expect("it ends")..];
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn the_page_has_all_contents() {
    let page = report(&["no", "yes"]).html().unwrap();
    check_markup(&page);
    for word in [
        "2001-09-09 01:46:40 UTC",
        "ROC-AUC",
        "PR-AUC",
        "Brier score",
        "id=\"threshold\"",
        "id=\"roc-mark\"",
        "prevalence 0.",
        "Effective",
        "before",
        "after calibration",
        "Feature importance",
        "Learning rate",
        "matmul &lt;f32[32, 30]&gt;",
        "best F2",
        "95 % interval",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(word) || page.contains(&word.to_lowercase()), "{word} is missing");
    }
    for word in ["http://", "https://", "src=\"", "@import", "url("] {
        assert!(!page.contains(word), "{word} asks for something else");
    }
    for Plot { name, svg: text } in report(&["no", "yes"]).plots().unwrap() {
        check_markup(&text);
        assert!(text.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && text.contains("<title"), "{name}");
        assert!(!text.contains("NaN") && !text.contains("inf"), "{name}");
    }
}

#[test]
fn names_are_escaped_everywhere() {
    for names in [HOSTILE, ["\u{202e}evil\u{0}", "</svg></style></script><b>"]] {
        let page = report(&names).html().unwrap();
        check_markup(&page);
        assert!(!page.contains("<script>alert") && !page.contains("<img") && !page.contains("<b>\""), "{names:?}");
        assert!(!page.contains('\u{202e}') && !page.contains('\0'));
        assert_eq!(page.matches("<script").count(), 2);
    }
    let page = RunReport::new("many").test(many(60, 4)).html().unwrap();
    check_markup(&page);
    assert!(page.contains("class &lt;3&gt;") && !page.contains("class <3>"));
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let (a, b) = (report(&["no", "yes"]), report(&["no", "yes"]));
    assert_eq!(a.html().unwrap(), b.html().unwrap());
    assert_eq!(a.plots().unwrap(), b.plots().unwrap());
    assert_eq!((a.metrics_csv(), a.events().unwrap()), (b.metrics_csv(), b.events().unwrap()));
    assert_eq!(
        a.contents.test.as_ref().unwrap().to_safetensors().unwrap(),
        b.contents.test.as_ref().unwrap().to_safetensors().unwrap()
    );
}

#[test]
fn missing_contents_are_not_shown() {
    let page = RunReport::new("nothing").html().unwrap();
    check_markup(&page);
    assert!(!page.contains("<svg") && !page.contains("<script") && page.contains("nothing"));
    assert!(RunReport::new("nothing").plots().unwrap().is_empty());
    let page = RunReport::new("v").validation(scores(50, &["no", "yes"])).html().unwrap();
    assert!(page.contains("as there are no test rows"));
    // With one row, one class or equal logits, some curves are undefined. The page must not contain NaN or
    // infinity.
    for (logits, labels) in [(vec![0.5], vec![0]), (vec![0.0, 0.0], vec![1, 1]), (vec![3.0; 4], vec![0, 1, 0, 1])] {
        let one = RunReport::new("one").test(Scores::new(&logits, &labels, &["no", "yes"]).unwrap()).html().unwrap();
        check_markup(&one);
        assert!(!one.contains("NaN") && !one.contains(">inf"), "{labels:?}");
    }
    for classes in [3, 26, 40] {
        let page = RunReport::new("many").test(many(130, classes)).html().unwrap();
        check_markup(&page);
        assert!(!page.contains("id=\"threshold\"") && page.contains("Class by class") && !page.contains("NaN"));
        assert_eq!(page.contains("Most frequent mistakes"), classes > 25);
    }
}

#[test]
fn the_stops_are_cuts_with_that_of_the_decision() {
    let logits: Vec<f64> = (0..20_000u32).map(|i| f64::from((i * 7919) % 20_011) / 1000.0 - 10.0).collect();
    let labels: Vec<u32> = logits.iter().map(|z| u32::from(*z > 9.7)).collect();
    let test = Scores::new(&logits, &labels, &["no", "yes"]).unwrap();
    let decision = Decision::fixed(None, Rule::Fixed(0.77)).unwrap();
    let report = RunReport::new("rare").test(test.clone()).decision(decision.clone());
    let SliderStops { all: stops, chosen: at } = report.stops().unwrap().unwrap();
    let positives = labels.iter().sum::<u32>();
    assert!((150..700).contains(&stops.len()) && positives > 100, "{}", stops.len());
    assert_eq!(stops[at].threshold.to_bits(), decision.threshold().to_bits());
    let cuts = Cuts::new(&logits, &labels).unwrap();
    for stop in &stops {
        let above =
            |class| logits.iter().zip(&labels).filter(|(z, y)| **z > stop.threshold && **y == class).count() as u64;
        assert_eq!((stop.cut.true_positives, stop.cut.false_positives), (above(1), above(0)), "{stop:?}");
        assert!(cuts.all().contains(&stop.cut));
    }
    let last = (stops[0].cut, stops[stops.len() - 1].cut);
    assert_eq!((last.0.true_positives, last.1.true_positives, last.1.false_positives), (u64::from(positives), 0, 0));
    assert!(stops.is_sorted_by(|a, b| a.threshold < b.threshold));
    assert!(report.html().unwrap().len() < 120_000);
}

#[test]
fn files_replace_those_of_an_earlier_report() {
    let folder = tempfile::tempdir().unwrap();
    report(&["no", "yes"]).write(folder.path()).unwrap();
    let names = |below: &str| {
        let entries = std::fs::read_dir(folder.path().join(below)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(""), [EVENTS, METRICS, PLOTS, PAGE]);
    assert_eq!(names(PLOTS).len(), 8);
    RunReport::new("less").test(scores(40, &["no", "yes"])).write(folder.path()).unwrap();
    assert_eq!(names(PLOTS), ["confusion.svg", "precision_recall.svg", "reliability.svg", "roc.svg", "scores.svg"]);
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(report(&["no", "yes"]).write(&file).is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"");
}

#[test]
fn scores_survive_a_file_and_damage_is_an_error() {
    let test = many(30, 3);
    let bytes = test.to_safetensors().unwrap();
    let back = Scores::from_safetensors("t", &bytes).unwrap();
    assert_eq!((back.labels(), back.classes(), back.width()), (test.labels(), test.classes(), 3));
    assert!(!back.same_rows(&back), "rows without features are not known to be the same");
    for length in 0..bytes.len() {
        let error = Scores::from_safetensors("t", &bytes[..length]).unwrap_err().to_string();
        assert!(error.starts_with("t does not hold the scores of a model: "), "{error}");
    }
    let mut seed = 1u64;
    for _ in 0..2000 {
        let mut damaged = bytes.clone();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = usize::try_from(seed >> 33).unwrap() % damaged.len();
        damaged[at] ^= 1 << (seed % 7);
        // Damaged bytes may still be parsed, but only to valid scores.
        let _ = Scores::from_safetensors("t", &damaged).map(|scores| scores.report(&Decision::default()).unwrap());
    }
}

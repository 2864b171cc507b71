use super::*;
use crate::log_loss_multiclass;

fn rows() -> (Vec<f64>, Vec<u32>) {
    let logits: Vec<f64> = (0..300).map(|i| f64::from((i * 97) % 301) / 30.0 - 5.0).collect();
    let labels = logits.iter().zip(0u32..).map(|(z, i)| u32::from(z / 2.0 + f64::from((i * 31) % 17) / 4.0 > 3.5));
    let labels = labels.collect();
    (logits, labels)
}

/// Returns how many positive rows and how many negative rows the decision counts as positive.
fn positives(decision: &Decision, logits: &[f64], labels: &[u32]) -> (u64, u64) {
    let count = |class| {
        let hits = logits.iter().zip(labels).filter(|(z, y)| **y == class && decision.is_positive(**z));
        hits.count() as u64
    };
    (count(1), count(0))
}

#[test]
fn every_rule_selects_the_rows_of_its_cut() {
    let (logits, labels) = rows();
    let cuts = Cuts::new(&logits, &labels).unwrap();
    for rule in ["f1", "f2", "precision=0.9", "fpr=0", "fpr=5/1000", "cost=1:10", "cost=10:1", "cost=0:1", "cost=1:0"] {
        let rule: Rule = rule.parse().unwrap();
        let cut = rule.choose(&cuts).unwrap().unwrap();
        for calibrate in [Calibrate::None, Calibrate::Temperature, Calibrate::Platt, Calibrate::Isotonic] {
            let decision = Decision::fit(&logits, &labels, calibrate, rule).unwrap();
            assert_eq!(positives(&decision, &logits, &labels), (cut.true_positives, cut.false_positives), "{rule}");
            let chosen = decision.chosen_on().unwrap();
            assert_eq!((chosen.true_positives, chosen.false_positives), (cut.true_positives, cut.false_positives));
            let text = serde_json::to_string(&decision).unwrap();
            assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision, "{text}");
        }
    }
}

#[test]
fn a_fixed_probability_is_one_after_calibration() {
    let (logits, labels) = rows();
    for calibrate in [Calibrate::None, Calibrate::Temperature, Calibrate::Platt, Calibrate::Isotonic] {
        for p in [0.05, 0.3, 0.5, 0.9] {
            let decision = Decision::fit(&logits, &labels, calibrate, Rule::Fixed(p)).unwrap();
            for &z in &logits {
                // Exactly at the threshold, the result depends on rounding.
                if (z - decision.threshold()).abs() > 1e-9 {
                    assert_eq!(decision.is_positive(z), decision.probability(z) > p, "{calibrate} {p} {z}");
                }
            }
        }
    }
    assert_eq!(Decision::fixed(None, Rule::default()).unwrap(), Decision::default());
    assert!(!Decision::default().is_positive(0.0));
}

#[test]
fn two_logits_are_one_and_more_are_a_softmax() {
    let decision = Decision::fixed(Some(Calibration::Temperature(2.0)), Rule::Fixed(0.5)).unwrap();
    assert_eq!(decision.probabilities(&[1.0, 3.0])[1].to_bits(), decision.probability(2.0).to_bits());
    assert_eq!((decision.class(&[1.0, 3.0]), decision.class(&[3.0, 3.0]), decision.class(&[0.5])), (1, 0, 1));
    let three = decision.probabilities(&[2.0, 0.0, 4.0]);
    approx::assert_relative_eq!(three[2] / three[0], 1f64.exp(), max_relative = 1e-12);
    assert_eq!(decision.class(&[2.0, 4.0, 4.0]), 1);
}

#[test]
fn the_multiclass_temperature_minimises_the_loss() {
    let labels: Vec<u32> = (0..200).map(|i| (i * 7) % 3).collect();
    let logit = |row: u32, class: u32, label: u32| {
        f64::from((row * 31 + class * 17) % 13) / 2.0 + if class == label { 4.0 } else { 0.0 }
    };
    let logits: Vec<f64> = (0u32..).zip(&labels).flat_map(|(row, &y)| (0..3).map(move |c| logit(row, c, y))).collect();
    let Calibration::Temperature(best) = Calibration::temperature_multiclass(&logits, &labels, 3).unwrap() else {
        panic!()
    };
    let loss = |t: f64| {
        let p: Vec<f64> = logits.chunks(3).flat_map(|row| softmax(row, t)).collect();
        log_loss_multiclass(&p, &labels, 3).unwrap()
    };
    assert!(loss(best * 1.001) > loss(best) && loss(best / 1.001) > loss(best), "{best}");
    // The temperature for two logits is the same as that for their difference.
    let (z, y) = rows();
    let pairs: Vec<f64> = z.iter().flat_map(|&z| [0.25 - z / 2.0, 0.25 + z / 2.0]).collect();
    let (Calibration::Temperature(two), Calibration::Temperature(one)) =
        (Calibration::temperature_multiclass(&pairs, &y, 2).unwrap(), Calibration::temperature(&z, &y).unwrap())
    else {
        panic!()
    };
    approx::assert_relative_eq!(two, one, max_relative = 1e-9);
}

#[test]
fn rows_without_a_decision_are_errors() {
    let message = |result: Result<Decision>| result.unwrap_err().to_string();
    let rule = Rule::Precision(0.9);
    assert_eq!(
        message(Decision::fit(&[0.1, 0.9], &[1, 0], Calibrate::None, rule)),
        "no threshold has a precision of 0.9; the highest is 0.5000"
    );
    let turned = Calibration::Platt { slope: -1.0, intercept: 0.0 };
    assert!(message(Decision::fixed(Some(turned), Rule::Fixed(0.5))).contains("reverses the order"));
    assert!(message(Decision::multiclass(&[0.0; 3], &[1], 3, Calibrate::Platt)).contains("is for two classes"));
    assert!(message(Decision::multiclass(&[5.0, 1.0, 0.0], &[0], 3, Calibrate::Temperature)).starts_with("no temp"));
    let labels = Decision::per_label(&[1.0, 2.0, -1.0, 0.5], &[1, 0, 0, 0], 2, Calibrate::None, Rule::FBeta(1.0));
    let labels = labels.unwrap();
    assert!(labels[0].error.is_none() && labels[1].error.as_ref().unwrap().to_string().contains("positive row"));
    for text in [
        r#"{"calibration":{"temperature":0},"threshold":0,"rule":"f1"}"#,
        r#"{"calibration":{"temperature":-1},"threshold":0,"rule":"f1"}"#,
        r#"{"calibration":{"isotonic":{"logits":[],"probabilities":[]}},"threshold":0,"rule":"f1"}"#,
        r#"{"calibration":{"isotonic":{"logits":[0,1],"probabilities":[0.5]}},"threshold":0,"rule":"f1"}"#,
        r#"{"calibration":{"isotonic":{"logits":[1,0],"probabilities":[0.5,1]}},"threshold":0,"rule":"f1"}"#,
        r#"{"calibration":{"isotonic":{"logits":[0,1],"probabilities":[0.5,2]}},"threshold":0,"rule":"f1"}"#,
        r#"{"calibration":null,"threshold":null,"rule":"f1"}"#,
        r#"{"calibration":null,"threshold":1e999,"rule":"f1"}"#,
        r#"{"calibration":null,"threshold":0,"rule":"best"}"#,
    ] {
        assert!(serde_json::from_str::<Decision>(text).is_err(), "{text}");
    }
}

#[test]
fn a_decision_is_displayed_in_words() {
    let (logits, labels) = rows();
    let text = Decision::fit(&logits, &labels, Calibrate::Temperature, Rule::FBeta(1.0)).unwrap().to_string();
    assert!(
        text.starts_with("probabilities calibrated (temperature ") && text.ends_with(", chosen for best F1"),
        "{text}"
    );
    assert_eq!(
        Decision::default().to_string(),
        "probabilities as the model gives them; positive above 0.5000 (logit 0.0000)"
    );
}

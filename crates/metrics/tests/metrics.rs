//! Comparison of the metrics with scikit-learn; `metrics/generate.py` computed the expected numbers.

use approx::assert_relative_eq;
use serde::Deserialize;
use wgrad_metrics::{
    Average, Bins, Calibration, ConfusionMatrix, Cuts, Distance, Ratio, RegressionReport, Reliability, brier_score,
    top_k_accuracy,
};

#[derive(Deserialize)]
struct Fixtures {
    binary: Vec<Binary>,
    many: Vec<Many>,
    regression: Vec<Regression>,
}

#[derive(Deserialize)]
struct Curve {
    predicted: Vec<f64>,
    observed: Vec<f64>,
}

#[derive(Deserialize)]
struct Binary {
    logits: Vec<f64>,
    labels: Vec<u32>,
    brier: f64,
    roc: Vec<(f64, f64)>,
    precision_recall: Vec<(f64, f64)>,
    f2: f64,
    f_half: f64,
    specificity: f64,
    balanced_accuracy: f64,
    mcc: f64,
    kappa: f64,
    uniform: Curve,
    quantile: Curve,
    probe: Vec<f64>,
    isotonic: Vec<f64>,
    platt: [f64; 2],
    temperature: f64,
}

#[derive(Deserialize)]
struct Averages {
    precision: f64,
    recall: f64,
    f1: f64,
    f2: f64,
}

#[derive(Deserialize)]
struct Many {
    scores: Vec<f64>,
    classes: usize,
    labels: Vec<u32>,
    predicted: Vec<u32>,
    #[serde(rename = "macro")]
    each_class: Averages,
    micro: Averages,
    weighted: Averages,
    balanced_accuracy: f64,
    mcc: f64,
    #[serde(rename = "kappa_None")]
    kappa: f64,
    kappa_linear: f64,
    kappa_quadratic: f64,
    top_k: Vec<f64>,
}

#[derive(Deserialize)]
struct Regression {
    truth: Vec<f64>,
    predicted: Vec<f64>,
    mae: f64,
    mse: f64,
    rmse: f64,
    r2: f64,
}

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!("metrics/metrics.json")).unwrap()
}

#[track_caller]
fn same(ours: f64, theirs: f64) {
    assert_relative_eq!(ours, theirs, max_relative = 1e-12, epsilon = 1e-14);
}

#[track_caller]
fn same_points(ours: &[(f64, f64)], theirs: &[(f64, f64)]) {
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(theirs) {
        same(a.0, b.0);
        same(a.1, b.1);
    }
}

fn probabilities(case: &Binary) -> Vec<f64> {
    case.logits.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect()
}

#[test]
fn decisions_between_two_classes_agree() {
    for case in &fixtures().binary {
        let predicted: Vec<u32> = probabilities(case).iter().map(|&p| u32::from(p > 0.5)).collect();
        let matrix = ConfusionMatrix::new(&predicted, &case.labels, &["no", "yes"]).unwrap();
        same(matrix.ratio(Ratio::FBeta(2.0), 1), case.f2);
        same(matrix.ratio(Ratio::FBeta(0.5), 1), case.f_half);
        same(matrix.ratio(Ratio::Specificity, 1), case.specificity);
        same(matrix.balanced_accuracy(), case.balanced_accuracy);
        same(matrix.mcc(), case.mcc);
        same(matrix.cohen_kappa(Distance::None), case.kappa);
    }
}

#[test]
fn curves_agree_corner_by_corner() {
    for case in &fixtures().binary {
        let cuts = Cuts::new(&probabilities(case), &case.labels).unwrap();
        same_points(&cuts.roc().unwrap(), &case.roc);
        // scikit-learn's curve ends at the first threshold whose recall is 1; ours continues to the lowest score.
        let ours = cuts.precision_recall().unwrap();
        same_points(&ours[..case.precision_recall.len()], &case.precision_recall);
        assert!(ours[case.precision_recall.len()..].iter().all(|(recall, _)| *recall >= 1.0));
    }
}

#[test]
fn reliability_agrees() {
    for case in &fixtures().binary {
        let p = probabilities(case);
        same(brier_score(&p, &case.labels).unwrap(), case.brier);
        for (by, theirs) in [(Bins::Uniform, &case.uniform), (Bins::Quantile, &case.quantile)] {
            let diagram = Reliability::new(&p, &case.labels, 7, by).unwrap();
            let ours: Vec<_> = diagram.bins().iter().map(|bin| (bin.predicted, bin.observed)).collect();
            let theirs: Vec<_> = theirs.predicted.iter().copied().zip(theirs.observed.iter().copied()).collect();
            same_points(&ours, &theirs);
        }
    }
}

#[test]
fn calibrations_agree() {
    for case in &fixtures().binary {
        let isotonic = Calibration::isotonic(&case.logits, &case.labels).unwrap();
        case.probe.iter().zip(&case.isotonic).for_each(|(&z, &p)| same(isotonic.probability(z), p));
        let Calibration::Platt { slope, intercept } = Calibration::platt(&case.logits, &case.labels).unwrap() else {
            panic!()
        };
        let Calibration::Temperature(temperature) = Calibration::temperature(&case.logits, &case.labels).unwrap()
        else {
            panic!()
        };
        for (ours, theirs) in [(slope, case.platt[0]), (intercept, case.platt[1]), (temperature, case.temperature)] {
            // The tolerance allows for the error that SciPy's minimiser leaves.
            assert_relative_eq!(ours, theirs, max_relative = 1e-8);
        }
    }
}

#[test]
fn many_classes_agree() {
    for case in &fixtures().many {
        let names: Vec<String> = (0..case.classes).map(|class| class.to_string()).collect();
        let matrix = ConfusionMatrix::new(&case.predicted, &case.labels, &names).unwrap();
        let averages =
            [(Average::Macro, &case.each_class), (Average::Micro, &case.micro), (Average::Weighted, &case.weighted)];
        for (average, theirs) in averages {
            same(matrix.average(Ratio::Precision, average), theirs.precision);
            same(matrix.average(Ratio::Recall, average), theirs.recall);
            same(matrix.average(Ratio::FBeta(1.0), average), theirs.f1);
            same(matrix.average(Ratio::FBeta(2.0), average), theirs.f2);
        }
        same(matrix.balanced_accuracy(), case.balanced_accuracy);
        same(matrix.mcc(), case.mcc);
        same(matrix.cohen_kappa(Distance::None), case.kappa);
        same(matrix.cohen_kappa(Distance::Linear), case.kappa_linear);
        same(matrix.cohen_kappa(Distance::Quadratic), case.kappa_quadratic);
        for (k, &theirs) in (1..).zip(&case.top_k) {
            same(top_k_accuracy(&case.scores, &case.labels, case.classes, k).unwrap(), theirs);
        }
    }
}

#[test]
fn regressions_agree() {
    for case in &fixtures().regression {
        let report = RegressionReport::new(&case.predicted, &case.truth).unwrap();
        same(report.mae, case.mae);
        same(report.mse, case.mse);
        same(report.rmse, case.rmse);
        same(report.r2.unwrap(), case.r2);
    }
}

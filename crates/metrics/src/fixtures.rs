//! Expected values of the metrics, computed by scikit-learn 1.9.1.
//!
//! The scikit-learn functions are `accuracy_score`, `precision_score`, `recall_score`, `f1_score` (with
//! `zero_division=0`), `roc_auc_score`, `average_precision_score`, `log_loss` and `confusion_matrix`; predictions
//! are `probabilities > 0.5`. For more than two classes, the predicted class is the most probable one, and the
//! options are `average="macro"` and `multi_class="ovr"`, with `label_binarize` for `average_precision_score`.

use approx::assert_relative_eq;

use super::*;

struct Expected {
    probabilities: &'static [f64],
    labels: &'static [u32],
    accuracy: f64,
    precision: f64,
    recall: f64,
    f1: f64,
    roc_auc: f64,
    pr_auc: f64,
    log_loss: f64,
    confusion: &'static [&'static [u64]],
}

impl Expected {
    fn check(&self, report: &Report, log_loss: f64) {
        for (ours, theirs) in [
            (report.accuracy, self.accuracy),
            (report.precision, self.precision),
            (report.recall, self.recall),
            (report.f1, self.f1),
            (report.roc_auc.unwrap(), self.roc_auc),
            (report.pr_auc.unwrap(), self.pr_auc),
            (log_loss, self.log_loss),
        ] {
            assert_relative_eq!(ours, theirs, max_relative = 1e-12);
        }
        assert_eq!(report.confusion.counts(), self.confusion);
    }
}

#[test]
fn two_classes_agree_with_scikit_learn() {
    for case in [&CONTINUOUS, &TIED, &RARE] {
        let report = Report::binary(case.probabilities, case.labels, &["no", "yes"], 0.0).unwrap();
        case.check(&report, log_loss(case.probabilities, case.labels).unwrap());
        let decisions: Vec<u32> = case.probabilities.iter().map(|&p| u32::from(p > 0.5)).collect();
        assert_relative_eq!(accuracy(&decisions, case.labels).unwrap(), case.accuracy, max_relative = 1e-12);
    }
}

#[test]
fn areas_of_two_classes_agree_in_multiclass_form() {
    for case in [&CONTINUOUS, &TIED, &RARE] {
        let negated: Vec<f64> = case.probabilities.iter().map(|p| -p).collect();
        let flipped: Vec<u32> = case.labels.iter().map(|&label| 1 - label).collect();
        assert_relative_eq!(roc_auc(&negated, &flipped).unwrap(), case.roc_auc, max_relative = 1e-12);
        let both: Vec<f64> = case.probabilities.iter().flat_map(|&p| [-p, p]).collect();
        assert_relative_eq!(roc_auc_ovr_macro(&both, case.labels, 2).unwrap(), case.roc_auc, max_relative = 1e-12);
    }
}

#[test]
fn many_classes_agree_with_scikit_learn() {
    let (probabilities, labels) = (FOUR.probabilities, FOUR.labels);
    let report = Report::multiclass(probabilities, labels, &["a", "b", "c", "d"], 0.0).unwrap();
    FOUR.check(&report, log_loss_multiclass(probabilities, labels, 4).unwrap());
}

#[test]
fn the_areas_of_f32_scores_are_the_same() {
    let scores: Vec<f32> = TIED.probabilities.iter().map(|&p| p as f32).collect();
    assert_relative_eq!(roc_auc(&scores, TIED.labels).unwrap(), TIED.roc_auc, max_relative = 1e-12);
    assert_relative_eq!(pr_auc(&scores, TIED.labels).unwrap(), TIED.pr_auc, max_relative = 1e-12);
}

const CONTINUOUS: Expected = Expected {
    probabilities: &[
        0.2971, 0.4938, 0.99, 0.5472, 0.1082, 0.7226, 0.01, 0.4307, 0.5357, 0.8146, 0.1452, 0.5991, 0.4397, 0.2894,
        0.523, 0.6139, 0.6179, 0.2529, 0.5617, 0.4812, 0.4404, 0.0279, 0.6401, 0.4003,
    ],
    labels: &[0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0],
    accuracy: 0.708_333_333_333_333_4,
    precision: 0.727_272_727_272_727_3,
    recall: 0.666_666_666_666_666_6,
    f1: 0.695_652_173_913_043_5,
    roc_auc: 0.791_666_666_666_666_6,
    pr_auc: 0.789_576_925_267_714_7,
    log_loss: 0.519_061_421_777_538_7,
    confusion: &[&[9, 3], &[4, 8]],
};
const TIED: Expected = Expected {
    probabilities: &[
        0.6, 0.3, 0.2, 0.7, 0.5, 0.6, 0.4, 0.4, 0.6, 0.6, 0.1, 0.3, 0.5, 0.4, 0.7, 0.3, 0.8, 0.4, 1.0, 0.7, 0.6, 0.4,
        0.6, 0.8, 0.2, 0.6, 0.6, 0.0, 0.6, 0.3, 0.5, 0.2, 0.7, 0.6, 0.5, 0.5, 0.5, 0.5, 0.3, 0.6,
    ],
    labels: &[
        0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1,
        0, 1, 1,
    ],
    accuracy: 0.65,
    precision: 0.611_111_111_111_111_2,
    recall: 0.611_111_111_111_111_2,
    f1: 0.611_111_111_111_111_2,
    roc_auc: 0.700_757_575_757_575_8,
    pr_auc: 0.651_869_488_536_155_3,
    log_loss: 0.615_707_545_474_993_8,
    confusion: &[&[15, 7], &[7, 11]],
};
const RARE: Expected = Expected {
    probabilities: &[
        0.4, 0.7, 0.0, 0.3, 0.1, 0.9, 0.6, 0.4, 0.3, 0.6, 0.2, 0.4, 0.8, 0.5, 0.2, 0.5, 0.4, 0.1, 0.8, 0.0, 0.3, 0.7,
        0.2, 0.4, 0.3, 0.7, 0.5, 0.6, 0.8, 0.7,
    ],
    labels: &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0],
    accuracy: 0.766_666_666_666_666_7,
    precision: 0.363_636_363_636_363_65,
    recall: 1.0,
    f1: 0.533_333_333_333_333_3,
    roc_auc: 0.913_461_538_461_538_5,
    pr_auc: 0.5,
    log_loss: 0.572_296_630_724_379,
    confusion: &[&[19, 7], &[0, 4]],
};

const FOUR: Expected = Expected {
    probabilities: &[
        1.0, 0.0, 0.0, 0.0, 0.0, 0.8, 0.1, 0.1, 0.0, 0.0, 1.0, 0.0, 0.1, 0.6, 0.0, 0.3, 0.9, 0.1, 0.0, 0.0, 0.7, 0.1,
        0.1, 0.1, 0.1, 0.1, 0.7, 0.1, 0.0, 0.6, 0.0, 0.4, 0.2, 0.1, 0.4, 0.3, 0.2, 0.0, 0.1, 0.7, 0.0, 0.9, 0.0, 0.1,
        0.0, 0.6, 0.1, 0.3, 0.5, 0.2, 0.3, 0.0, 0.2, 0.0, 0.3, 0.5, 0.1, 0.3, 0.0, 0.6, 0.0, 0.1, 0.3, 0.6, 0.1, 0.0,
        0.8, 0.1, 0.0, 1.0, 0.0, 0.0, 0.2, 0.6, 0.2, 0.0, 0.1, 0.1, 0.8, 0.0, 0.7, 0.0, 0.3, 0.0, 0.0, 0.8, 0.2, 0.0,
        0.1, 0.1, 0.2, 0.6, 0.0, 1.0, 0.0, 0.0, 0.1, 0.3, 0.1, 0.5,
    ],
    labels: &[0, 1, 2, 3, 0, 3, 1, 1, 3, 3, 1, 3, 1, 3, 1, 0, 2, 1, 2, 2, 0, 1, 2, 1, 3],
    accuracy: 0.6,
    precision: 0.591_666_666_666_666_7,
    recall: 0.611_309_523_809_523_7,
    f1: 0.598_717_948_717_948_7,
    roc_auc: 0.840_019_841_269_841_2,
    pr_auc: 0.732_683_207_387_154_8,
    log_loss: 2.160_271_745_561_885_4,
    confusion: &[&[3, 0, 0, 1], &[1, 6, 1, 1], &[0, 1, 3, 1], &[1, 2, 1, 3]],
};

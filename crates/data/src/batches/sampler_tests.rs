use super::*;
use crate::{Batches, Dataset};

fn counts(order: &[u32], rows: usize) -> Vec<usize> {
    let mut counts = vec![0; rows];
    for &row in order {
        counts[row as usize] += 1;
    }
    counts
}

/// Checks that each count is within five standard deviations of the value expected from `probabilities`.
#[track_caller]
fn assert_frequencies(counts: &[usize], probabilities: &[f64]) {
    let n = counts.iter().sum::<usize>() as f64;
    for (row, (&count, p)) in counts.iter().zip(probabilities).enumerate() {
        let deviation = (n * p * (1.0 - p)).sqrt();
        assert!((count as f64 - n * p).abs() <= 5.0 * deviation, "row {row}: {count} of {n}, expected {}", n * p);
    }
}

#[test]
fn rows_come_in_proportion_to_their_weights() {
    let weights = [0.0, 1.0, 3.0, 0.5, 0.0, 5.5, 0.0];
    let order = Sampler::weighted(&weights, 20_000).unwrap().epoch(Seed(3), 0);
    assert_frequencies(&counts(&order, 7), &weights.map(|weight| weight / 10.0));
}

#[test]
fn without_replacement_each_draw_is_among_the_rows_left() {
    let weights = [1.0, 2.0, 0.0, 3.0, 4.0];
    let sampler = Sampler::weighted_once(&weights, 2).unwrap();
    let (mut first, mut pairs) = (vec![0; 5], vec![0; 25]);
    for epoch in 0..20_000 {
        let [a, b] = sampler.epoch(Seed(1), epoch)[..] else { panic!("two rows") };
        assert_ne!(a, b);
        first[a as usize] += 1;
        pairs[(a * 5 + b) as usize] += 1;
    }
    assert_frequencies(&first, &weights.map(|weight| weight / 10.0));
    // If `w(a)` is the weight of row a and the weights sum to 10, then torch.multinomial(weights, 2) draws row a
    // and then row b with the probability w(a) / 10 * w(b) / (10 - w(a)).
    let expected: Vec<f64> = (0..25)
        .map(|i| (weights[i / 5], weights[i % 5], i / 5 == i % 5))
        .map(|(a, b, same)| if same { 0.0 } else { a / 10.0 * b / (10.0 - a) })
        .collect();
    assert_frequencies(&pairs, &expected);
}

#[test]
fn classes_and_their_rows_come_equally_often() {
    let y: Vec<u32> = (0..1001).map(|i| if i % 50 == 0 { 2 } else { u32::from(i % 5 == 1) * 3 }).collect();
    let sampler = Sampler::balanced(&y).unwrap();
    let order = sampler.epoch(Seed(5), 3);
    assert_eq!(order.len(), 1001);
    let rows = counts(&order, y.len());
    let mut by_class = [0; 4];
    for (n, &class) in rows.iter().zip(&y) {
        by_class[class as usize] += n;
    }
    assert_eq!(by_class[1], 0);
    assert!([0, 2, 3].iter().all(|&class: &usize| (333..=334).contains(&by_class[class])), "{by_class:?}");
    for class in [0, 2, 3] {
        let of = || rows.iter().zip(&y).filter(|(_, c)| **c == class).map(|(n, _)| *n);
        assert!(of().max().unwrap() - of().min().unwrap() <= 1);
    }
}

#[test]
fn an_epoch_depends_on_seed_and_number_only() {
    let weights = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    let samplers = [
        Sampler::weighted(&weights, 8).unwrap(),
        Sampler::weighted_once(&weights, 8).unwrap(),
        Sampler::balanced(&[0, 0, 1, 0, 0, 1, 0, 0]).unwrap(),
    ];
    for sampler in &samplers {
        assert_eq!(sampler.epoch(Seed(1), 9), sampler.clone().epoch(Seed(1), 9));
        assert_ne!(sampler.epoch(Seed(1), 9), sampler.epoch(Seed(1), 8));
        assert_ne!(sampler.epoch(Seed(1), 9), sampler.epoch(Seed(2), 9));
    }
    let batches = Batches::new(8, 3).unwrap().sampler(&samplers[0], Seed(1)).unwrap();
    assert_eq!(batches.epoch(9).order(), samplers[0].epoch(Seed(1), 9));
    let more = Batches::new(8, 3).unwrap().sampler(&Sampler::weighted(&weights, 100).unwrap(), Seed(1)).unwrap();
    assert_eq!((more.len(), more.drop_last().unwrap().epoch(0).order().len()), (34, 99));
}

#[test]
fn weights_that_draw_nothing_are_errors() {
    let message = |weights: &[f64], n| Sampler::weighted(weights, n).unwrap_err().to_string();
    assert_eq!(message(&[1.0, -2.0], 1), "the weight of row 1 is -2: weights must be finite and not negative");
    assert_eq!(message(&[f64::NAN], 1), "the weight of row 0 is NaN: weights must be finite and not negative");
    assert_eq!(message(&[0.0, 0.0], 2), "nothing can be drawn: 2 rows to draw, 0 rows with a weight above 0");
    assert_eq!(message(&[1.0], 0), "nothing can be drawn: 0 rows to draw, 1 row with a weight above 0");
    assert_eq!(message(&[f64::MAX; 2], 1), "the weights of the rows add up to infinity: make them smaller");
    let once = Sampler::weighted_once(&[1.0, 0.0], 2).unwrap_err().to_string();
    assert!(once.starts_with("2 rows cannot be drawn once each: only 1 have a weight above 0."), "{once}");
    assert!(Sampler::balanced(&[]).is_err());
    let invalid = Batches::new(3, 1).unwrap().sampler(&Sampler::balanced(&[0, 1]).unwrap(), Seed(0)).unwrap_err();
    assert_eq!(invalid.to_string(), "the sampler is for 2 rows, but the data has 3 rows");
}

#[test]
fn resampled_datasets_have_classes_of_one_size() {
    let y: Vec<u32> = (0..40).map(|i| u32::from(i % 8 == 0)).collect();
    let x: Vec<f32> = (0..40_u8).map(f32::from).collect();
    let data = Dataset::new(["a"], x, y, ["no", "yes"]).unwrap();
    let over = data.oversample(Seed(1)).unwrap();
    assert_eq!(over.class_counts(), [35, 35]);
    let of_row = counts(&over.x().iter().map(|&x| x as u32).collect::<Vec<_>>(), 40);
    assert!(of_row.iter().zip(data.y()).all(|(&n, &class)| n == if class == 1 { 7 } else { 1 }));
    let under = data.undersample(Seed(1)).unwrap();
    assert_eq!(under.class_counts(), [5, 5]);
    assert!(under.x().is_sorted() && under.x().windows(2).all(|pair| pair[0] < pair[1]));
    assert_ne!(under, data.undersample(Seed(2)).unwrap());
}

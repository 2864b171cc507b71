//! Statistics of each epoch for other programs: a CSV file and an event file for TensorBoard.

use std::fmt::Write;
use std::time::UNIX_EPOCH;

use super::contents::Contents;
use super::resample::MetricInterval;
use crate::history::TrackedNumber;

/// Returns the contents of `metrics.csv`: a row for each epoch. The cell of a missing number is empty.
pub(super) fn csv(contents: &Contents) -> String {
    let Contents { history, rates, .. } = contents;
    let tracked: &[TrackedNumber] = history.first().map_or(&[], |epoch| &epoch.tracked);
    let names = tracked.iter().map(|number| format!(",{0},validation_{0}", quoted(&number.name)));
    let mut text = format!("epoch,loss,validation_loss,learning_rate,seconds{}\n", names.collect::<String>());
    for (i, epoch) in history.iter().enumerate() {
        let cell = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let (loss, validation) = (epoch.loss, cell(epoch.validation_loss));
        let rate = cell(rates.get(i).copied());
        let _ = write!(text, "{},{loss},{validation},{rate},{}", i + 1, epoch.seconds);
        for TrackedNumber { value, validation, .. } in &epoch.tracked {
            let _ = write!(text, ",{value},{}", cell(*validation));
        }
        text.push('\n');
    }
    text
}

/// Replaces characters that would end a cell of a CSV file by `_`.
fn quoted(name: &str) -> String {
    name.replace([',', '"', '\n', '\r'], "_")
}

/// Returns an event file for TensorBoard. Each of its records consists of a length, the checksum of the length, an
/// `Event` message, and the checksum of the message. Each scalar has a tag, a step (the number of the epoch), and
/// a time in seconds since 1970.
pub(super) fn events(contents: &Contents, last: &[MetricInterval]) -> Vec<u8> {
    let Contents { history, rates, begun, .. } = contents;
    let mut file = vec![];
    let begun = begun.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let mut time = begun.map_or(0.0, |time| time.as_secs_f64());
    let mut version = fixed(1, time);
    version.extend(bytes(3, b"brain.Event:2"));
    record(&mut file, &version);
    for (i, epoch) in history.iter().enumerate() {
        time += epoch.seconds;
        let scalars = [
            ("loss/train", Some(epoch.loss)),
            ("loss/validation", epoch.validation_loss),
            ("learning_rate", rates.get(i).copied()),
            ("seconds_per_epoch", Some(epoch.seconds)),
        ];
        let scalars =
            scalars.into_iter().filter_map(|(tag, value)| Some(Scalar { tag: tag.to_string(), value: value? }));
        let tracked = epoch.tracked.iter().flat_map(|TrackedNumber { name, value, validation }| {
            let validation = validation.map(|value| Scalar { tag: format!("{name}/validation"), value });
            [Scalar { tag: format!("{name}/train"), value: *value }].into_iter().chain(validation)
        });
        let scalars = scalars.chain(tracked);
        record(&mut file, &event(time, i as u64 + 1, scalars));
    }
    let part = if contents.test.is_some() { "test" } else { "validation" };
    let scalar = |m: &MetricInterval| Some(Scalar { tag: format!("{part}/{}", m.name), value: m.interval?.value });
    let mut last = last.iter().filter_map(scalar).peekable();
    if last.peek().is_some() {
        record(&mut file, &event(time, history.len() as u64, last));
    }
    file
}

/// Number in an event, with its tag.
struct Scalar {
    tag: String,
    value: f64,
}

/// Encodes an event as a Protocol Buffers message. The field numbers are
/// `Event { wall_time: 1, step: 2, summary: 5 }`, `Summary { value: 1 }` and `Value { tag: 1, simple_value: 2 }`.
fn event(time: f64, step: u64, scalars: impl Iterator<Item = Scalar>) -> Vec<u8> {
    let mut summary = vec![];
    for Scalar { tag, value } in scalars {
        let mut scalar = bytes(1, tag.as_bytes());
        scalar.push((2 << 3) | 5);
        scalar.extend((value as f32).to_le_bytes());
        summary.extend(bytes(1, &scalar));
    }
    let mut event = fixed(1, time);
    event.push(2 << 3);
    varint(&mut event, step);
    event.extend(bytes(5, &summary));
    event
}

fn fixed(field: u8, value: f64) -> Vec<u8> {
    let mut out = vec![(field << 3) | 1];
    out.extend(value.to_le_bytes());
    out
}

fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![(field << 3) | 2];
    varint(&mut out, value.len() as u64);
    out.extend(value);
    out
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn record(file: &mut Vec<u8>, event: &[u8]) {
    let length = (event.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked(&length).to_le_bytes());
    file.extend(event);
    file.extend(masked(event).to_le_bytes());
}

/// Returns the masked checksum of a record: CRC-32C, rotated and offset so that data with embedded checksums can
/// be checksummed again.
fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Returns the CRC-32C (Castagnoli). It is computed bit by bit, without a table, because the files are small.
fn crc32c(data: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    };
    !data.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::contents::Epoch;
    use crate::report::scores::Scores;
    use wgrad_metrics::Interval;

    fn history(rates: &[f64]) -> Contents {
        let history = [None, Some(0.125)];
        let history =
            history.map(|validation_loss| Epoch { loss: 0.5, validation_loss, seconds: 0.25, tracked: vec![] });
        Contents { history: history.into(), rates: rates.to_vec(), ..Contents::default() }
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        // Test values from RFC 3720, appendix B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn csv_has_a_row_per_epoch_and_empty_cells() {
        assert_eq!(
            csv(&history(&[1e-3])),
            "epoch,loss,validation_loss,learning_rate,seconds\n1,0.5,,0.001,0.25\n2,0.5,0.125,,0.25\n"
        );
        let mut tracked = history(&[]);
        for epoch in &mut tracked.history {
            let validation = epoch.validation_loss;
            epoch.tracked = vec![TrackedNumber { name: "top,2".into(), value: 0.75, validation }];
        }
        assert_eq!(
            csv(&tracked),
            "epoch,loss,validation_loss,learning_rate,seconds,top_2,validation_top_2\n\
             1,0.5,,,0.25,0.75,\n2,0.5,0.125,,0.25,0.75,0.125\n"
        );
    }

    #[test]
    fn records_have_their_length_and_checksums() {
        let value = 0.75;
        let interval = Some(Interval { value, low: value, high: value, confidence: 0.95 });
        let last = MetricInterval { name: "accuracy", less_is_better: false, interval };
        let scores = Scores::new(&[0.5], &[1], &["no", "yes"]).unwrap();
        let begun = Some(UNIX_EPOCH + Duration::from_secs(1_000_000_000));
        let file = events(&Contents { begun, test: Some(scores), ..history(&[]) }, &[last]);
        let (mut at, mut records) = (0, 0);
        while at < file.len() {
            let length = usize::try_from(u64::from_le_bytes(file[at..at + 8].try_into().unwrap())).unwrap();
            assert_eq!(file[at + 8..at + 12], masked(&file[at..at + 8]).to_le_bytes());
            let event = &file[at + 12..at + 12 + length];
            assert_eq!(file[at + 12 + length..at + 16 + length], masked(event).to_le_bytes());
            (at, records) = (at + 16 + length, records + 1);
        }
        assert_eq!((at, records), (file.len(), 4));
        let tag = |tag: &[u8]| file.windows(tag.len()).filter(|window| *window == tag).count();
        assert_eq!((tag(b"loss/train"), tag(b"loss/validation"), tag(b"test/accuracy")), (2, 1, 1));
    }
}

//! Reader for Parquet and Arrow files, whose columns are typed.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::temporal_conversions::{as_datetime, as_time};
#[allow(clippy::wildcard_imports, reason = "a type per kind of column")]
use arrow_array::types::*;
use arrow_array::{Array, ArrowPrimitiveType, RecordBatch, RecordBatchReader};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::root_as_message;
use arrow_schema::{ArrowError, DataType, TimeUnit};
use arrow_select::take::take;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use wgrad_core::{Error, Result};

use super::build::Builder;
use super::names::named;
use crate::error::{ColumnarError, ColumnarFormat, DataError, TableError};
use crate::table::{BLOCK, RowLocations, Table};

/// Reads a file; `builder` creates the builder of a column from the column's index and the number of columns.
///
/// # Errors
/// When the file is damaged, or a column has a type that cannot be read.
pub(super) fn read(path: &Path, format: ColumnarFormat, builder: impl Fn(usize, usize) -> Builder) -> Result<Table> {
    let file = path.display().to_string();
    let damaged =
        |why: &dyn std::fmt::Display| failure(&file, ColumnarError::Damaged { format, reason: why.to_string() });
    let read = || -> Result<Table> {
        let source = File::open(path).map_err(Error::io(path))?;
        let batches: Box<dyn RecordBatchReader> = match format {
            ColumnarFormat::Parquet => Box::new(
                ParquetRecordBatchReaderBuilder::try_new(source)
                    .and_then(|builder| builder.with_batch_size(BLOCK).build())
                    .map_err(|why| damaged(&why))?,
            ),
            ColumnarFormat::Arrow => arrow(BufReader::new(source)).map_err(|why| damaged(&why))?,
        };
        table(&file, batches, &builder, &damaged)
    };
    // The libraries check their input, but a damaged file can still make them panic. The panic is reported as a
    // damaged file.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(damaged(&"its parts contradict each other")))
}

fn failure(file: &str, error: ColumnarError) -> Error {
    DataError::Columnar { file: file.to_string(), error }.into()
}

/// Opens the stream of record batches that both Arrow formats contain. The file format adds a magic string before
/// the stream and a footer after it.
fn arrow(mut source: BufReader<File>) -> Result<Box<dyn RecordBatchReader>, ArrowError> {
    let mut mark = [0; 8];
    source.read_exact(&mut mark)?;
    let begin = if mark.starts_with(b"ARROW1") { 8 } else { 0 };
    if begin > 0 {
        let mut end = [0; 6];
        source.seek(SeekFrom::End(-6))?;
        source.read_exact(&mut end)?;
        if &end != b"ARROW1" {
            return Err(ArrowError::IpcError("it is cut off".into()));
        }
    }
    source.seek(SeekFrom::Start(begin))?;
    check_buffers(&mut source)?;
    source.seek(SeekFrom::Start(begin))?;
    Ok(Box::new(StreamReader::try_new(source, None)?))
}

/// Maximum ratio of uncompressed to compressed bytes in Arrow's codecs: zstd compresses up to 128 KiB of equal
/// bytes to four bytes.
const MAX_RATIO: u64 = 1 << 15;
/// Maximum size of an uncompressed buffer in bytes; no record batch of numbers and texts needs a larger buffer.
const MAX_BUFFER: u64 = 4 << 30;

/// Checks that buffers lie inside their record batches, and that the declared sizes of compressed buffers are
/// possible.
///
/// The Arrow reader checks neither, and would otherwise run out of memory on a damaged file.
fn check_buffers(source: &mut BufReader<File>) -> Result<(), ArrowError> {
    let wrong = |why: &str| ArrowError::IpcError(why.into());
    let mut word = [0; 4];
    loop {
        // A stream may end without an end-of-stream marker.
        if source.read_exact(&mut word).is_err() {
            return Ok(());
        }
        if word == [0xff; 4] {
            source.read_exact(&mut word)?;
        }
        let length = u64::try_from(i32::from_le_bytes(word)).map_err(|_| wrong("a length is negative"))?;
        if length == 0 {
            return Ok(());
        }
        let mut head = vec![];
        source.by_ref().take(length).read_to_end(&mut head)?;
        let message = root_as_message(&head).map_err(|why| wrong(&why.to_string()))?;
        let body = source.stream_position()?;
        let batch = message.header_as_record_batch();
        let batch = batch.or_else(|| message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data()));
        let whole = u64::try_from(message.bodyLength()).map_err(|_| wrong("a length is negative"))?;
        for buffer in batch.and_then(|batch| batch.buffers()).iter().flatten() {
            let place = u64::try_from(buffer.offset()).ok().zip(u64::try_from(buffer.length()).ok());
            let inside = |(at, length): &(u64, u64)| at.checked_add(*length).is_some_and(|end| end <= whole);
            let (at, length) = place.filter(inside).ok_or_else(|| wrong("a buffer is outside of its record batch"))?;
            if length >= 8 && batch.is_some_and(|batch| batch.compression().is_some()) {
                let mut size = [0; 8];
                source.seek(SeekFrom::Start(body.saturating_add(at)))?;
                source.read_exact(&mut size)?;
                // A size of -1 marks a buffer that is not compressed.
                let size = i64::from_le_bytes(size);
                if u64::try_from(size).is_ok_and(|size| size > MAX_BUFFER.min((length - 8).saturating_mul(MAX_RATIO))) {
                    return Err(wrong(&format!("{} bytes cannot hold {size} in packed form", length - 8)));
                }
            }
        }
        source.seek(SeekFrom::Start(body.saturating_add(whole)))?;
    }
}

/// Builds a table from record batches.
fn table(
    file: &str,
    batches: Box<dyn RecordBatchReader>,
    builder: &dyn Fn(usize, usize) -> Builder,
    damaged: &dyn Fn(&dyn std::fmt::Display) -> Error,
) -> Result<Table> {
    let schema = batches.schema();
    let names = named(file, schema.fields().iter().map(|field| field.name().as_str()))?;
    let kinds: Vec<DataType> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
    for (name, kind) in names.iter().zip(&kinds) {
        if !is_known(kind) {
            let dtype = kind.to_string().split('(').next().unwrap_or_default().to_string();
            return Err(failure(file, ColumnarError::ColumnType { column: name.clone(), dtype }));
        }
    }
    let mut builders: Vec<Builder> = (0..names.len())
        .map(|column| if is_number(&kinds[column]) { builder(column, names.len()) } else { Builder::of_text() })
        .collect();
    let mut rows = 0;
    for batch in batches {
        let batch: RecordBatch = batch.map_err(|why| damaged(&why))?;
        let mut at = 0;
        while at < batch.num_rows() {
            // Slices end at the boundaries of the blocks on disk, which differ from those of the file's record
            // batches.
            let length = (BLOCK - rows % BLOCK).min(batch.num_rows() - at);
            for (builder, column) in builders.iter_mut().zip(batch.columns()) {
                push(builder, rows, &column.slice(at, length)).map_err(|why| damaged(&why))?;
            }
            (at, rows) = (at + length, rows + length);
            if u32::try_from(rows).is_err() {
                return Err(DataError::Table { file: file.to_string(), error: TableError::TooManyRows }.into());
            }
            if rows.is_multiple_of(BLOCK) {
                builders.iter_mut().try_for_each(|builder| builder.flush(rows / BLOCK - 1))?;
            }
        }
    }
    if rows == 0 {
        return Err(failure(file, ColumnarError::NoRows));
    }
    if !rows.is_multiple_of(BLOCK) {
        builders.iter_mut().try_for_each(|builder| builder.flush(rows / BLOCK))?;
    }
    let spilled = builders.iter().any(Builder::is_on_disk);
    let columns = builders.into_iter().map(|builder| builder.finish(rows)).collect();
    Ok(Table { file: file.to_string(), names, columns, locations: RowLocations::Count(rows), spilled })
}

/// Returns whether columns of this type are read as numbers.
fn is_number(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_number(values),
        kind => kind.is_numeric() || *kind == DataType::Null,
    }
}

/// Returns whether columns of this type are supported.
fn is_known(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_known(values),
        DataType::Decimal256(..) => false,
        DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        kind => is_number(kind) || kind.is_temporal() && !matches!(kind, DataType::Duration(_) | DataType::Interval(_)),
    }
}

/// Adds the cells of a column to its builder; the first cell belongs to `row`.
fn push(builder: &mut Builder, row: usize, column: &Arc<dyn Array>) -> Result<(), ArrowError> {
    use DataType as Is;
    match column.data_type() {
        Is::Null => (row..row + column.len()).for_each(|row| builder.push_number(row, f64::NAN)),
        Is::Int8 => numbers::<Int8Type>(builder, row, column, f64::from),
        Is::Int16 => numbers::<Int16Type>(builder, row, column, f64::from),
        Is::Int32 => numbers::<Int32Type>(builder, row, column, f64::from),
        Is::Int64 => numbers::<Int64Type>(builder, row, column, |x| x as f64),
        Is::UInt8 => numbers::<UInt8Type>(builder, row, column, f64::from),
        Is::UInt16 => numbers::<UInt16Type>(builder, row, column, f64::from),
        Is::UInt32 => numbers::<UInt32Type>(builder, row, column, f64::from),
        Is::UInt64 => numbers::<UInt64Type>(builder, row, column, |x| x as f64),
        Is::Float16 => numbers::<Float16Type>(builder, row, column, f64::from),
        Is::Float32 => numbers::<Float32Type>(builder, row, column, f64::from),
        Is::Float64 => numbers::<Float64Type>(builder, row, column, |x| x),
        Is::Decimal32(_, scale) => numbers::<Decimal32Type>(builder, row, column, |x| scaled(x.into(), *scale)),
        Is::Decimal64(_, scale) => numbers::<Decimal64Type>(builder, row, column, |x| scaled(x.into(), *scale)),
        Is::Decimal128(_, scale) => numbers::<Decimal128Type>(builder, row, column, |x| scaled(x, *scale)),
        Is::Boolean => {
            let words = column.as_boolean().iter().map(|x| x.map(|x| if x { "true" } else { "false" }));
            words.zip(row..).for_each(|(word, row)| builder.push_word(row, word));
        }
        Is::Utf8 => column.as_string::<i32>().iter().zip(row..).for_each(|(word, row)| builder.push_word(row, word)),
        Is::LargeUtf8 => column.as_string::<i64>().iter().zip(row..).for_each(|(x, row)| builder.push_word(row, x)),
        Is::Utf8View => column.as_string_view().iter().zip(row..).for_each(|(x, row)| builder.push_word(row, x)),
        Is::Dictionary(..) => {
            let column = column.as_any_dictionary();
            push(builder, row, &take(column.values(), column.keys(), None)?)?;
        }
        Is::Date32 => times::<Date32Type>(builder, row, column, |day| date(as_datetime::<Date32Type>(day.into()))),
        Is::Date64 => times::<Date64Type>(builder, row, column, |at| date(as_datetime::<Date64Type>(at))),
        Is::Time32(TimeUnit::Second) => {
            times::<Time32SecondType>(builder, row, column, |at| text(as_time::<Time32SecondType>(at.into())));
        }
        Is::Time32(_) => {
            times::<Time32MillisecondType>(builder, row, column, |at| {
                text(as_time::<Time32MillisecondType>(at.into()))
            });
        }
        Is::Time64(TimeUnit::Nanosecond) => {
            times::<Time64NanosecondType>(builder, row, column, |at| text(as_time::<Time64NanosecondType>(at)));
        }
        Is::Time64(_) => {
            times::<Time64MicrosecondType>(builder, row, column, |at| text(as_time::<Time64MicrosecondType>(at)));
        }
        Is::Timestamp(TimeUnit::Second, _) => {
            times::<TimestampSecondType>(builder, row, column, |at| text(as_datetime::<TimestampSecondType>(at)));
        }
        Is::Timestamp(TimeUnit::Millisecond, _) => {
            times::<TimestampMillisecondType>(builder, row, column, |at| {
                text(as_datetime::<TimestampMillisecondType>(at))
            });
        }
        Is::Timestamp(TimeUnit::Microsecond, _) => {
            times::<TimestampMicrosecondType>(builder, row, column, |at| {
                text(as_datetime::<TimestampMicrosecondType>(at))
            });
        }
        Is::Timestamp(TimeUnit::Nanosecond, _) => {
            times::<TimestampNanosecondType>(builder, row, column, |at| {
                text(as_datetime::<TimestampNanosecondType>(at))
            });
        }
        // This is unreachable: `is_known` rejects other types before the first row.
        _ => (row..row + column.len()).for_each(|row| builder.push_word(row, None)),
    }
    Ok(())
}

/// Adds numbers to a builder; a null becomes NaN.
fn numbers<T: ArrowPrimitiveType>(
    builder: &mut Builder,
    row: usize,
    column: &Arc<dyn Array>,
    number: impl Fn(T::Native) -> f64,
) {
    for (value, row) in column.as_primitive::<T>().iter().zip(row..) {
        builder.push_number(row, value.map_or(f64::NAN, &number));
    }
}

/// Returns `digits · 10^-scale`, rounded as if it were parsed from text.
fn scaled(digits: i128, scale: i8) -> f64 {
    format!("{digits}e{}", -i16::from(scale)).parse().unwrap_or(f64::NAN)
}

/// Adds times in the text form that a CSV file would contain, so that they are recognised as dates.
fn times<T: ArrowPrimitiveType>(
    builder: &mut Builder,
    row: usize,
    column: &Arc<dyn Array>,
    text: impl Fn(T::Native) -> Option<String>,
) {
    for (value, row) in column.as_primitive::<T>().iter().zip(row..) {
        builder.push_word(row, value.and_then(&text).as_deref());
    }
}

/// Converts a time to text.
fn text(time: Option<impl std::fmt::Display>) -> Option<String> {
    time.map(|time| time.to_string())
}

/// Converts a time to text, without the time of day.
fn date(time: Option<impl std::fmt::Display>) -> Option<String> {
    text(time).map(|text| text.split(' ').next().unwrap_or_default().to_string())
}

#[cfg(test)]
#[path = "arrow_tests.rs"]
mod tests;

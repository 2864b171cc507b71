//! Building of columns on a second thread while the first thread parses the file.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use csv::ByteRecord;
use wgrad_core::Result;

use super::build::Builder;
use crate::error::DataError;
use crate::table::BLOCK;

/// Number of records in a chunk, the unit that is sent to the second thread. A block on disk consists of complete
/// chunks.
const CHUNK: usize = 256;
const _: () = assert!(BLOCK.is_multiple_of(CHUNK));

/// Maximum number of chunks that wait for the second thread.
const QUEUE: usize = 4;

/// All columns while they are being built.
struct Columns {
    builders: Vec<Builder>,
    rows: usize,
}

impl Columns {
    /// Adds rows one after the other, because the cells of a row are adjacent in memory.
    fn push(&mut self, records: &[ByteRecord]) -> Result<()> {
        for (record, row) in records.iter().zip(self.rows..) {
            for (builder, cell) in self.builders.iter_mut().zip(record) {
                builder.push(row, cell);
            }
        }
        self.rows += records.len();
        if self.rows.is_multiple_of(BLOCK) { self.flush(self.rows / BLOCK - 1) } else { Ok(()) }
    }

    /// Ends a block of rows, the unit of storage on disk, in all columns.
    fn flush(&mut self, block: usize) -> Result<()> {
        self.builders.iter_mut().try_for_each(|builder| builder.flush(block))
    }

    /// Ends the last block if it is not full, and returns the builders.
    fn finish(mut self) -> Result<Vec<Builder>> {
        if !self.rows.is_multiple_of(BLOCK) {
            self.flush(self.rows / BLOCK)?;
        }
        Ok(self.builders)
    }
}

/// Collector of parsed records, which sends the records in chunks to the columns being built.
pub(super) struct RecordSender<'c> {
    records: Vec<ByteRecord>,
    /// The number of records in the current chunk.
    filled: usize,
    sink: Sink<'c>,
}

/// Destination of chunks.
enum Sink<'c> {
    /// Columns are built on this thread, because no second thread could be started.
    SameThread(&'c Mutex<Columns>),
    /// Columns are built on a second thread, which returns used chunks for reuse.
    OtherThread(SyncSender<Vec<ByteRecord>>, Receiver<Vec<ByteRecord>>),
}

impl RecordSender<'_> {
    /// Takes a record with one cell per column, and leaves an old record in its place, which the caller may
    /// overwrite.
    pub(super) fn push(&mut self, record: &mut ByteRecord) -> Result<()> {
        if self.filled == self.records.len() {
            self.records.push(ByteRecord::new());
        }
        std::mem::swap(&mut self.records[self.filled], record);
        self.filled += 1;
        if self.filled == CHUNK { self.send() } else { Ok(()) }
    }

    /// Adds the records of the current chunk to the columns, on this thread or on the second one.
    fn send(&mut self) -> Result<()> {
        let filled = std::mem::take(&mut self.filled);
        if filled == 0 {
            return Ok(());
        }
        match &mut self.sink {
            Sink::SameThread(columns) => lock(columns).push(&self.records[..filled]),
            Sink::OtherThread(full, spare) => {
                self.records.truncate(filled);
                let next = spare.try_recv().unwrap_or_default();
                // Sending fails only if the second thread ended with an error. The function `assemble` then
                // returns that error instead of this one.
                full.send(std::mem::replace(&mut self.records, next)).map_err(|_| DataError::BuilderEnded.into())
            }
        }
    }
}

fn lock(columns: &Mutex<Columns>) -> MutexGuard<'_, Columns> {
    columns.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Builds columns from the records that `parse` passes to its `RecordSender`.
///
/// # Errors
/// When `parse` returns an error, or a temporary file cannot be written.
pub(super) fn assemble(
    builders: Vec<Builder>,
    parse: impl FnOnce(&mut RecordSender<'_>) -> Result<()>,
) -> Result<Vec<Builder>> {
    let columns = Mutex::new(Columns { builders, rows: 0 });
    thread::scope(|scope| {
        let (full, chunks) = sync_channel::<Vec<ByteRecord>>(QUEUE);
        let (give_back, spare) = channel();
        let build = || {
            let (chunks, give_back) = (chunks, give_back);
            let mut columns = lock(&columns);
            chunks.into_iter().try_for_each(|chunk| {
                columns.push(&chunk)?;
                // Sending fails if the parser has finished. No chunk is needed then, so the error is ignored.
                let _ = give_back.send(chunk);
                Ok(())
            })
        };
        let thread = thread::Builder::new().name("wgrad columns".into()).spawn_scoped(scope, build).ok();
        let sink = if thread.is_some() { Sink::OtherThread(full, spare) } else { Sink::SameThread(&columns) };
        let mut rows = RecordSender { records: vec![], filled: 0, sink };
        let parsed = parse(&mut rows).and_then(|()| rows.send());
        // Dropping the sender closes the channel, which ends the second thread.
        drop(rows);
        let outcome = thread.map_or(Ok(()), |thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        outcome.and(parsed)
    })?;
    columns.into_inner().unwrap_or_else(PoisonError::into_inner).finish()
}

//! Columns are built on a second thread while the file is still being parsed.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use csv::ByteRecord;
use wgrad_core::Result;

use super::build::Builder;
use crate::error::DataError;
use crate::table::BLOCK;

/// Records that are handed over together. Blocks on disk are whole portions.
const PORTION: usize = 256;
const _: () = assert!(BLOCK.is_multiple_of(PORTION));

/// Portions that wait for the builders.
const WAITING: usize = 4;

/// All columns in the making.
struct Columns {
    builders: Vec<Builder>,
    rows: usize,
}

impl Columns {
    /// Adds rows, row by row: their cells lie side by side.
    fn push(&mut self, records: &[ByteRecord]) -> Result<()> {
        for (record, row) in records.iter().zip(self.rows..) {
            for (builder, cell) in self.builders.iter_mut().zip(record) {
                builder.push(row, cell);
            }
        }
        self.rows += records.len();
        if self.rows.is_multiple_of(BLOCK) { self.flush(self.rows / BLOCK - 1) } else { Ok(()) }
    }

    fn flush(&mut self, block: usize) -> Result<()> {
        self.builders.iter_mut().try_for_each(|builder| builder.flush(block))
    }

    fn finish(mut self) -> Result<Vec<Builder>> {
        if !self.rows.is_multiple_of(BLOCK) {
            self.flush(self.rows / BLOCK)?;
        }
        Ok(self.builders)
    }
}

/// Where records go.
pub(super) struct Rows<'c> {
    records: Vec<ByteRecord>,
    filled: usize,
    way: Way<'c>,
}

enum Way<'c> {
    /// Built here: there are no threads, or no more of them.
    Here(&'c Mutex<Columns>),
    /// Built by a thread, which gives portions back to be filled again.
    Ahead(SyncSender<Vec<ByteRecord>>, Receiver<Vec<ByteRecord>>),
}

impl Rows<'_> {
    /// Takes a record, and leaves one that may be written over. It has as many cells as there are columns.
    pub(super) fn push(&mut self, record: &mut ByteRecord) -> Result<()> {
        if self.filled == self.records.len() {
            self.records.push(ByteRecord::new());
        }
        std::mem::swap(&mut self.records[self.filled], record);
        self.filled += 1;
        if self.filled == PORTION { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<()> {
        let filled = std::mem::take(&mut self.filled);
        if filled == 0 {
            return Ok(());
        }
        match &mut self.way {
            Way::Here(columns) => lock(columns).push(&self.records[..filled]),
            Way::Ahead(full, spare) => {
                self.records.truncate(filled);
                let next = spare.try_recv().unwrap_or_default();
                // The thread ends early only with an error of its own, which is the one to be told.
                full.send(std::mem::replace(&mut self.records, next)).map_err(|_| DataError::BuilderEnded.into())
            }
        }
    }
}

fn lock(columns: &Mutex<Columns>) -> MutexGuard<'_, Columns> {
    columns.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Builds columns of the records that `parse` pushes.
///
/// # Errors
/// Those of `parse`, and of a disk that a column is written to.
pub(super) fn assemble(
    builders: Vec<Builder>,
    parse: impl FnOnce(&mut Rows<'_>) -> Result<()>,
) -> Result<Vec<Builder>> {
    let columns = Mutex::new(Columns { builders, rows: 0 });
    thread::scope(|scope| {
        let (full, portions) = sync_channel::<Vec<ByteRecord>>(WAITING);
        let (give_back, spare) = channel();
        let build = || {
            let (portions, give_back) = (portions, give_back);
            let mut columns = lock(&columns);
            portions.into_iter().try_for_each(|portion| {
                columns.push(&portion)?;
                // The parser may be through by now.
                let _ = give_back.send(portion);
                Ok(())
            })
        };
        let thread = thread::Builder::new().name("wgrad columns".into()).spawn_scoped(scope, build).ok();
        let way = if thread.is_some() { Way::Ahead(full, spare) } else { Way::Here(&columns) };
        let mut rows = Rows { records: vec![], filled: 0, way };
        let parsed = parse(&mut rows).and_then(|()| rows.hand_over());
        // The thread ends when nothing more can come.
        drop(rows);
        let outcome = thread.map_or(Ok(()), |thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        outcome.and(parsed)
    })?;
    columns.into_inner().unwrap_or_else(PoisonError::into_inner).finish()
}

//! Errors of memory, and the bill of a plan's memory.

use std::fmt;

use crate::DeviceInfo;
use crate::host::text::human_bytes;

/// Memory of a plan in bytes, by purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// Purposes in a fixed order.
    pub parts: Vec<BillItem>,
    /// The largest buffer; none if there is no buffer.
    pub largest: Option<BillItem>,
}

/// Memory of one purpose or buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillItem {
    /// The purpose or buffer, as messages name it.
    pub what: String,
    /// Its size in bytes.
    pub bytes: usize,
}

impl Bill {
    /// Returns the sum in bytes.
    pub fn total(&self) -> usize {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// `the plan needs 3.0 MiB: parameters 1.0 MiB, …`, the largest buffer, and the ways out.
impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts.iter().filter(|part| part.bytes > 0);
        let parts: Vec<_> = parts.map(|part| format!("{} {}", part.what, human_bytes(part.bytes))).collect();
        writeln!(f, "  the plan needs {}: {}", human_bytes(self.total()), parts.join(", "))?;
        if let Some(BillItem { what, bytes }) = &self.largest {
            writeln!(f, "  the largest is {what} with {}", human_bytes(*bytes))?;
        }
        f.write_str(&memory_fixes())
    }
}

/// Way to make a training step need less memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryFix {
    /// A smaller batch.
    SmallerBatch,
    /// The same batch in parts, whose gradients are added.
    Accumulate,
    /// A data set that stays on the host.
    Streaming,
}

impl MemoryFix {
    /// All ways, the most likely first.
    pub const ALL: [Self; 3] = [Self::SmallerBatch, Self::Accumulate, Self::Streaming];
}

impl fmt::Display for MemoryFix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SmallerBatch => "a smaller batch: Trainer::batch_size, --batch-size",
            Self::Accumulate => {
                "the same batch in parts, whose gradients are added: Trainer::accumulate(n) with a batch n times \
                 smaller, --accumulate"
            }
            Self::Streaming => "rows that stay on the host until they are needed: Trainer::streaming(true)",
        })
    }
}

/// Returns the lines of a message that list all of [`MemoryFix`].
pub(super) fn memory_fixes() -> String {
    let lines = MemoryFix::ALL.iter().enumerate().map(|(i, fix)| format!("\n    {}. {fix}", i + 1));
    format!("  ways out:{}", lines.collect::<String>())
}

/// Memory that a device does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    /// The device.
    pub device: DeviceInfo,
    /// The memory that was asked for.
    pub request: MemoryRequest,
    /// The memory of the plan that was being loaded, if one was.
    pub bill: Option<Bill>,
}

/// Memory that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryRequest {
    /// A buffer that the driver refused.
    Buffer {
        /// The buffer's size.
        bytes: u64,
    },
    /// A plan that needs more than a session may take.
    Plan {
        /// The memory that a session may take, in bytes.
        limit: u64,
    },
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |bytes: u64| human_bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
        match self.request {
            MemoryRequest::Buffer { bytes } => write!(f, "{} has no room for {} more", self.device, size(bytes)),
            MemoryRequest::Plan { limit } => write!(f, "a plan on {} may take {}", self.device, size(limit)),
        }?;
        self.bill.as_ref().map_or(Ok(()), |bill| write!(f, "\n{bill}"))
    }
}

impl std::error::Error for OutOfMemory {}

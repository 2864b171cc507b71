//! Out-of-memory errors, and the bill, which lists how much memory a plan needs for each purpose.

use std::fmt;

use crate::DeviceInfo;
use crate::host::text::human_bytes;

/// Memory that a plan needs for each purpose, such as parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// The purposes, in a fixed order.
    pub parts: Vec<BillItem>,
    /// The largest buffer; `None` if the plan has no buffer.
    pub largest: Option<BillItem>,
}

/// Memory that one purpose or one buffer needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillItem {
    /// The description of the purpose or buffer in messages.
    pub what: String,
    /// The size in bytes.
    pub bytes: usize,
}

impl Bill {
    /// Returns the total memory of all purposes, in bytes.
    pub fn total(&self) -> usize {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// Writes `the plan needs 3.0 MiB: parameters 1.0 MiB, …`, then the largest buffer, then ways to reduce the
/// memory.
impl Bill {
    /// Returns the message, in which `say` writes each fix. `Display` writes the fixes as Rust calls.
    pub fn message(&self, say: &dyn Fn(MemoryFix) -> String) -> String {
        let parts = self.parts.iter().filter(|part| part.bytes > 0);
        let parts: Vec<_> = parts.map(|part| format!("{} {}", part.what, human_bytes(part.bytes))).collect();
        let largest = self.largest.as_ref().map_or_else(String::new, |BillItem { what, bytes }| {
            format!("  the largest is {what} with {}\n", human_bytes(*bytes))
        });
        let total = human_bytes(self.total());
        format!("  the plan needs {total}: {}\n{largest}{}", parts.join(", "), memory_fixes(say))
    }
}

impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(&|fix| fix.to_string()))
    }
}

/// Way to reduce the memory that a training step needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryFix {
    /// A smaller batch.
    SmallerBatch,
    /// Gradient accumulation: a batch is split into smaller ones, whose gradients are added.
    Accumulate,
    /// A data set that stays on the host.
    Streaming,
}

impl MemoryFix {
    /// All fixes, the most likely first.
    pub const ALL: [Self; 3] = [Self::SmallerBatch, Self::Accumulate, Self::Streaming];
}

impl fmt::Display for MemoryFix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SmallerBatch => "a smaller batch: Trainer::batch_size",
            Self::Accumulate => {
                "the same batch in parts, whose gradients are added: Trainer::accumulate(n) with a batch n times smaller"
            }
            Self::Streaming => "rows that stay on the host until they are needed: Trainer::streaming(true)",
        })
    }
}

/// Returns the lines of a message that list every [`MemoryFix`].
pub(super) fn memory_fixes(say: &dyn Fn(MemoryFix) -> String) -> String {
    let lines = MemoryFix::ALL.iter().enumerate().map(|(i, &fix)| format!("\n    {}. {}", i + 1, say(fix)));
    format!("  ways out:{}", lines.collect::<String>())
}

/// Error: a device does not have enough memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    /// The device.
    pub device: DeviceInfo,
    /// The memory that was requested.
    pub request: MemoryRequest,
    /// The memory of the plan that was being loaded; `None` if no plan was being loaded.
    pub bill: Option<Bill>,
}

/// Memory request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryRequest {
    /// A buffer that the driver refused.
    Buffer {
        /// The buffer's size.
        bytes: u64,
    },
    /// A plan that needs more memory than a session may use.
    Plan {
        /// The memory that a session may use, in bytes.
        limit: u64,
    },
}

impl OutOfMemory {
    /// Returns the message, in which `say` writes each fix. `Display` writes the fixes as Rust calls.
    pub fn message(&self, say: &dyn Fn(MemoryFix) -> String) -> String {
        let size = |bytes: u64| human_bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
        let request = match self.request {
            MemoryRequest::Buffer { bytes } => format!("{} has no room for {} more", self.device, size(bytes)),
            MemoryRequest::Plan { limit } => format!("a plan on {} may take {}", self.device, size(limit)),
        };
        self.bill.as_ref().map_or_else(|| request.clone(), |bill| format!("{request}\n{}", bill.message(say)))
    }
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(&|fix| fix.to_string()))
    }
}

impl std::error::Error for OutOfMemory {}

//! Bytes of a CSV file, and the line on which each record starts.

use std::collections::VecDeque;
use std::io::{self, Read};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reader that skips a byte order mark and counts lines as an editor does. It also counts blank lines and lines
/// inside quoted fields, which the CSV parser does not report.
///
/// It stores the offsets of line ends and quotes in the bytes that the parser has buffered.
pub(super) struct Source<R> {
    inner: R,
    /// First bytes of the file, until they are passed to the parser.
    head: Option<Vec<u8>>,
    utf16: bool,
    /// The number of bytes passed to the parser.
    passed: u64,
    /// Offsets of line ends and quotes, starting at the current record.
    events: VecDeque<(u64, u8)>,
    /// Line of the current record.
    line: u64,
    /// Offset of the last `\r` that was counted as a line end; a `\n` right after it is not counted again.
    carriage_return: Option<u64>,
}

impl<R: Read> Source<R> {
    pub(super) fn new(mut inner: R) -> io::Result<Self> {
        let mut head = vec![];
        inner.by_ref().take(3).read_to_end(&mut head)?;
        let utf16 = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
        if head == BYTE_ORDER_MARK {
            head.clear();
        }
        Ok(Self { inner, head: Some(head), utf16, passed: 0, events: VecDeque::new(), line: 1, carriage_return: None })
    }

    pub(super) fn is_utf16(&self) -> bool {
        self.utf16
    }

    /// Returns the line of the record that starts at this offset. Offsets must increase with each call.
    pub(super) fn line(&mut self, mut start: u64) -> u64 {
        while let Some(&(at, byte)) = self.events.front() {
            // The parser counts blank lines before a record as part of the record, so the start is moved past
            // these lines.
            if at == start && byte != b'"' {
                start += 1;
            }
            if at >= start {
                break;
            }
            self.events.pop_front();
            let ends_a_line = match byte {
                b'\r' => true,
                b'\n' => self.carriage_return.is_none_or(|before| before + 1 != at),
                _ => false,
            };
            self.line += u64::from(ends_a_line);
            if byte == b'\r' {
                self.carriage_return = Some(at);
            }
        }
        self.line
    }

    /// Returns the line of the current record.
    pub(super) fn current_line(&self) -> u64 {
        self.line
    }

    /// Returns whether, at the end of the file, the last record has an open quote that is followed by more lines.
    pub(super) fn ends_inside_quotes(&self) -> bool {
        let quotes = self.events.iter().filter(|(_, byte)| *byte == b'"').count();
        let ends: Vec<u64> = self.events.iter().filter(|(_, byte)| *byte != b'"').map(|(at, _)| *at).collect();
        let goes_on = |(i, at): (usize, &u64)| at + 1 < self.passed && ends.get(i + 1) != Some(&(at + 1));
        quotes % 2 == 1 && ends.iter().enumerate().any(goes_on)
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = match self.head.take() {
            Some(mut head) if !head.is_empty() && !buffer.is_empty() => {
                let n = head.len().min(buffer.len());
                buffer[..n].copy_from_slice(&head[..n]);
                head.drain(..n);
                self.head = Some(head);
                n
            }
            _ => self.inner.read(buffer)?,
        };
        for at in memchr::memchr3_iter(b'\n', b'\r', b'"', &buffer[..n]) {
            self.events.push_back((self.passed + at as u64, buffer[at]));
        }
        self.passed += n as u64;
        Ok(n)
    }
}

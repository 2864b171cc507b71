//! The bytes of a CSV file, and the line on which each record starts.

use std::collections::VecDeque;
use std::io::{self, Read};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Passes bytes on to the parser, without a byte order mark, and keeps the places of the line ends and quotes that the
/// parser has in hand: an editor counts lines that a parser of records does not see.
pub(super) struct Source<R> {
    inner: R,
    /// The first bytes, until they are passed on; none once they are.
    head: Option<Vec<u8>>,
    utf16: bool,
    /// Bytes passed on.
    passed: u64,
    /// Line ends and quotes from the present record on.
    events: VecDeque<(u64, u8)>,
    /// The line of the present record.
    line: u64,
    /// The place of a `\r` that was counted last: a `\n` behind it is the same line end.
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

    /// The line on which the record starts that the parser found at this byte; records come in order.
    pub(super) fn line(&mut self, mut start: u64) -> u64 {
        while let Some(&(at, byte)) = self.events.front() {
            // Blank lines before a record belong to it, as the parser sees it.
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

    /// The line of the present record.
    pub(super) fn present_line(&self) -> u64 {
        self.line
    }

    /// Whether a quote is open at the end of the file that more lines follow, in what the parser took for the last record.
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

//! Output of unknown length in bounded memory: the beginning and the end of it, and its lines.

use std::collections::VecDeque;

/// Where a line without an end is cut, in bytes.
pub const LINE_MAX: usize = 64 * 1024;

/// What was kept of an output stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// The bytes; a line in the middle marks where some were left out.
    pub bytes: Vec<u8>,
    /// How many were left out.
    pub dropped: u64,
}

impl Captured {
    /// As text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The last lines that are not blank, in order, each cut at 400 characters.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let text = self.text();
        let mut lines: Vec<String> = text
            .lines()
            .rev()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .take(count)
            .map(|line| line.chars().take(400).collect())
            .collect();
        lines.reverse();
        lines
    }
}

/// Collects a stream, keeping half of its bound from the beginning and half from the end.
#[derive(Debug)]
pub(super) struct Capture {
    half: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
}

impl Capture {
    pub(super) fn new(keep: usize) -> Self {
        Self { half: keep / 2, head: Vec::new(), tail: VecDeque::new(), dropped: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = self.half.saturating_sub(self.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at(room);
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..excess);
        self.dropped += excess as u64;
    }

    pub(super) fn finish(self) -> Captured {
        let mut bytes = self.head;
        if self.dropped > 0 {
            bytes.extend_from_slice(format!("\n[… {} bytes left out …]\n", self.dropped).as_bytes());
        }
        bytes.extend(self.tail);
        Captured { bytes, dropped: self.dropped }
    }
}

/// Cuts a stream into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    pub(super) fn push(&mut self, bytes: &[u8], line: &mut (dyn FnMut(&[u8]) + Send)) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let (text, is_end) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = LINE_MAX.saturating_sub(self.partial.len());
            self.partial.extend(text.iter().take(room));
            if is_end {
                self.emit(line);
            }
        }
    }

    /// The last line may lack its newline.
    pub(super) fn finish(&mut self, line: &mut (dyn FnMut(&[u8]) + Send)) {
        if !self.partial.is_empty() {
            self.emit(line);
        }
    }

    fn emit(&mut self, line: &mut (dyn FnMut(&[u8]) + Send)) {
        line(self.partial.strip_suffix(b"\r").unwrap_or(&self.partial));
        self.partial.clear();
    }
}

//! A console's output, by absolute byte offset, in bounded memory: the beginning and the end.
//!
//! Bytes are kept as they came, in shared pieces: reading is a slice and a reference count, for any number of
//! readers. Tiny pieces are merged, or a guest that prints single bytes would cost forty times its output.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// How much of the beginning is kept, in bytes: firmware and kernel, which explain most machines that do not boot.
pub const HEAD: u64 = 64 * 1024;
/// How much of the end is kept, in bytes.
pub const TAIL: u64 = 1024 * 1024;
/// Where a viewer that has fallen behind resumes, in bytes before the end. Resuming at the oldest byte kept would
/// make it fall behind again at once.
pub const CATCH_UP: u64 = 256 * 1024;
/// Pieces up to this size are merged.
const MERGE: usize = 4 * 1024;
/// Most bytes read at once: a viewer that is behind pays for one frame, not for sixteen.
pub const READ_MOST: usize = 64 * 1024;
/// Pieces below this size are copied: they may be parts of a reader's buffer, which they would keep alive as a whole.
const COPY: usize = 32 * 1024;

/// What there is at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Bytes from the offset on; perhaps not all there are, but [`READ_MOST`] or more if there are.
    Bytes(Bytes),
    /// Nothing is kept here; go on at this offset.
    Gap {
        /// The first byte to go on with.
        to: u64,
    },
    /// The offset is the end: nothing yet.
    End,
}

/// The bytes of one console.
#[derive(Debug)]
pub struct History {
    head: Run,
    tail: Run,
    /// Where the output of this run of the portal begins.
    begin: u64,
}

impl History {
    /// Nothing yet; the first byte will have this offset.
    pub fn starting_at(offset: u64) -> Self {
        Self { head: Run::new(offset), tail: Run::new(offset), begin: offset }
    }

    /// The same with the tail of earlier runs' output.
    pub fn recalling(offset: u64, past: Bytes) -> Self {
        let mut history = Self::starting_at(offset);
        history.push(past);
        history.begin = history.end();
        history
    }

    /// Appends the guest's output.
    pub fn push(&mut self, bytes: Bytes) {
        let bytes = if bytes.len() < COPY { Bytes::copy_from_slice(&bytes) } else { bytes };
        let room = HEAD.saturating_sub(self.head.len());
        if room > 0 {
            let first = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            self.head.push(bytes.slice(..first));
        }
        self.tail.push(bytes);
        self.tail.forget_all_but(TAIL);
    }

    /// The offset of the first byte ever.
    pub fn start(&self) -> u64 {
        self.head.start
    }

    /// The offset of the next byte.
    pub fn end(&self) -> u64 {
        self.tail.end
    }

    /// Where a client begins that wants recent output: the oldest byte from which everything is kept.
    pub fn recent(&self) -> u64 {
        if self.tail.start <= self.head.end { self.head.start } else { self.tail.start }
    }

    /// Where a client resumes that has seen everything before this offset. An offset from before the first byte was
    /// given by an earlier run of the portal: its holder has seen what is recalled here. One from the future was
    /// never given, and leads to the beginning.
    pub fn resume(&self, offset: u64) -> u64 {
        match offset {
            earlier if earlier < self.start() => self.begin,
            later if later > self.end() => self.start(),
            offset => offset,
        }
    }

    /// What there is at an offset.
    pub fn read(&self, offset: u64) -> Found {
        if offset >= self.end() {
            return Found::End;
        }
        match self.head.slice(offset).or_else(|| self.tail.slice(offset)) {
            Some(bytes) => Found::Bytes(bytes),
            None => Found::Gap { to: self.tail.start },
        }
    }

    /// The end, at most so many bytes.
    pub fn last(&self, most: u64) -> Bytes {
        let from = self.end().saturating_sub(most).max(self.tail.start);
        match self.read(from) {
            Found::Bytes(bytes) => bytes,
            Found::Gap { .. } | Found::End => Bytes::new(),
        }
    }

    /// Where a viewer resumes that was at this offset and found it gone.
    pub fn catch_up(&self) -> u64 {
        self.end().saturating_sub(CATCH_UP).max(self.tail.start)
    }
}

/// Consecutive pieces.
#[derive(Debug)]
struct Run {
    start: u64,
    end: u64,
    /// Each with the offset of its first byte.
    pieces: VecDeque<(u64, Bytes)>,
}

impl Run {
    fn new(offset: u64) -> Self {
        Self { start: offset, end: offset, pieces: VecDeque::new() }
    }

    fn len(&self) -> u64 {
        self.end - self.start
    }

    fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let at = self.end;
        self.end += bytes.len() as u64;
        match self.pieces.back_mut() {
            Some((_, last)) if last.len() + bytes.len() <= MERGE => {
                let mut merged = BytesMut::with_capacity(last.len() + bytes.len());
                merged.extend_from_slice(last);
                merged.extend_from_slice(&bytes);
                *last = merged.freeze();
            }
            _ => self.pieces.push_back((at, bytes)),
        }
    }

    /// Whole pieces only: a little more than asked may stay.
    fn forget_all_but(&mut self, keep: u64) {
        while let Some((_, oldest)) = self.pieces.front() {
            let size = oldest.len() as u64;
            if self.len() - size < keep {
                return;
            }
            self.start += size;
            self.pieces.pop_front();
        }
    }

    fn slice(&self, offset: u64) -> Option<Bytes> {
        if !(self.start..self.end).contains(&offset) {
            return None;
        }
        let index = self.pieces.partition_point(|(at, _)| *at <= offset).checked_sub(1)?;
        let mut pieces = self.pieces.range(index..);
        let (at, piece) = pieces.next()?;
        let first = piece.slice(usize::try_from(offset - at).ok()?.min(piece.len())..);
        if first.len() >= READ_MOST || offset + first.len() as u64 == self.end {
            return Some(first);
        }
        let mut joined = BytesMut::with_capacity(READ_MOST);
        joined.extend_from_slice(&first);
        for (_, piece) in pieces {
            let room = READ_MOST.saturating_sub(joined.len());
            joined.extend_from_slice(piece.get(..room).unwrap_or(piece));
            if piece.len() >= room {
                break;
            }
        }
        Some(joined.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(history: &History, mut offset: u64) -> (Vec<u8>, Vec<(u64, u64)>) {
        let (mut bytes, mut gaps) = (Vec::new(), Vec::new());
        loop {
            match history.read(offset) {
                Found::Bytes(piece) => {
                    offset += piece.len() as u64;
                    bytes.extend_from_slice(&piece);
                }
                Found::Gap { to } => {
                    gaps.push((offset, to));
                    offset = to;
                }
                Found::End => return (bytes, gaps),
            }
        }
    }

    #[test]
    fn beginning_and_end_are_kept_and_the_middle_is_a_gap() {
        let mut history = History::starting_at(1000);
        let all: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 251) as u8).collect();
        all.chunks(5000).for_each(|c| history.push(Bytes::copy_from_slice(c)));
        let (bytes, gaps) = read_all(&history, 1000);
        let (from, to) = gaps[0];
        assert_eq!((gaps.len(), from), (1, 1000 + HEAD));
        let kept_tail = history.end() - to;
        assert!((TAIL..TAIL + 5000).contains(&kept_tail));
        assert_eq!(bytes[..HEAD as usize], all[..HEAD as usize]);
        assert_eq!(bytes[HEAD as usize..], all[all.len() - kept_tail as usize..]);
        assert_eq!(history.recent(), to);
        assert_eq!(history.catch_up(), history.end() - CATCH_UP);
        for odd in [0, 999, history.end() + 1, u64::MAX] {
            assert_eq!(history.resume(odd), 1000);
        }
        assert_eq!(history.resume(history.end()), history.end());
    }

    #[test]
    fn who_comes_from_an_earlier_run_is_not_told_the_past_again() {
        let mut history = History::recalling(1000, Bytes::from_static(b"past"));
        history.push(Bytes::from_static(b"now"));
        assert_eq!(history.recent(), 1000);
        assert_eq!((history.resume(17), history.resume(1002), history.resume(9999)), (1004, 1002, 1000));
        assert_eq!(read_all(&history, 1000).0, b"pastnow");
    }

    #[test]
    fn much_is_read_in_few_reads() {
        let mut history = History::starting_at(0);
        (0..100).for_each(|_| history.push(Bytes::from(vec![b'.'; MERGE])));
        let sizes = std::iter::successors(Some((0, 0)), |(offset, _)| match history.read(*offset) {
            Found::Bytes(bytes) => Some((offset + bytes.len() as u64, bytes.len())),
            Found::Gap { .. } | Found::End => None,
        });
        let sizes: Vec<usize> = sizes.skip(1).map(|(_, size)| size).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 100 * MERGE);
        assert!(sizes.iter().rev().skip(1).all(|size| *size == READ_MOST), "{sizes:?}");
    }

    #[test]
    fn single_bytes_do_not_cost_more_than_large_pieces() {
        let mut history = History::starting_at(0);
        (0..100_000_u32).for_each(|n| history.push(Bytes::copy_from_slice(&[n as u8])));
        assert!(history.tail.pieces.len() <= 100_000 / MERGE + 2);
        assert_eq!(read_all(&history, 0).0.len(), 100_000);
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_said(sizes in prop::collection::vec(0_usize..200_000, 0..40), from in 0_u64..3_000_000) {
            let mut history = History::starting_at(0);
            let mut all = Vec::new();
            for (n, size) in sizes.iter().enumerate() {
                let piece = vec![n as u8; *size];
                all.extend_from_slice(&piece);
                history.push(Bytes::from(piece));
            }
            let mut offset = history.resume(from);
            loop {
                match history.read(offset) {
                    Found::Bytes(piece) => {
                        let at = offset as usize;
                        prop_assert_eq!(&all[at..at + piece.len()], &piece[..]);
                        offset += piece.len() as u64;
                    }
                    Found::Gap { to } => {
                        prop_assert!(to > offset);
                        offset = to;
                    }
                    Found::End => break,
                }
            }
            prop_assert_eq!(offset, all.len() as u64);
        }
    }
}

//! A run's output as it came: framed records, one after the other. The file is its own cursor, so
//! that following can go on after any crash without a lost or doubled piece.
//!
//! ```text
//! record = kind u8 | time i64 | length u32 | crc u32 | bytes      (little endian)
//! ```
//! `kind` is 0 for standard output, 1 for standard error, 2 for the end. The checksum covers what
//! is before and after it. Whatever does not check is a torn tail.

use std::io::{self, Read, Write};

use crate::engine::{Channel, Frame};

const HEAD: usize = 1 + 8 + 4;

/// The engine's pieces have at most 16 KiB; a longer record is damage.
const LONGEST: usize = 16 << 20;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A piece of output.
    Piece(Frame),
    /// The output is complete: the container has ended and was drained.
    End,
}

/// Writes one record.
///
/// # Errors
/// When the file cannot be written; a torn record may be left at its end.
pub fn write(to: &mut impl Write, record: &Record) -> io::Result<u64> {
    let (kind, time, bytes): (u8, i64, &[u8]) = match record {
        Record::Piece(Frame { channel: Channel::Out, time_ns, bytes }) => (0, *time_ns, bytes),
        Record::Piece(Frame { channel: Channel::Err, time_ns, bytes }) => (1, *time_ns, bytes),
        Record::End => (2, 0, &[]),
    };
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::other("a piece of output is too long"))?;
    let mut head = [0; HEAD];
    head[0] = kind;
    head[1..9].copy_from_slice(&time.to_le_bytes());
    head[9..].copy_from_slice(&length.to_le_bytes());
    to.write_all(&head)?;
    to.write_all(&checksum(&head, bytes).to_le_bytes())?;
    to.write_all(bytes)?;
    Ok((HEAD + 4 + bytes.len()) as u64)
}

/// Reads one record and its length; `None` at the end and at a torn tail.
///
/// # Errors
/// When the file cannot be read.
pub fn read(from: &mut impl Read) -> io::Result<Option<(Record, u64)>> {
    let mut head = [0; HEAD];
    let mut sum = [0; 4];
    if !filled(from, &mut head)? || !filled(from, &mut sum)? {
        return Ok(None);
    }
    let number = |at: std::ops::Range<usize>| head[at].iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    let (time, length) = (number(1..9).cast_signed(), number(9..13) as usize);
    if length > LONGEST {
        return Ok(None);
    }
    let mut bytes = vec![0; length];
    if !filled(from, &mut bytes)? || checksum(&head, &bytes) != u32::from_le_bytes(sum) {
        return Ok(None);
    }
    let record = match head[0] {
        0 => Record::Piece(Frame { channel: Channel::Out, time_ns: time, bytes }),
        1 => Record::Piece(Frame { channel: Channel::Err, time_ns: time, bytes }),
        2 => Record::End,
        _ => return Ok(None),
    };
    Ok(Some((record, (HEAD + 4 + length) as u64)))
}

fn filled(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn checksum(head: &[u8], bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(bytes);
    hasher.finalize()
}

/// Where following stands: per stream the last time and how many pieces carry it.
///
/// All pieces of one line carry the same time, and the engine's `since` is inclusive: so ask from
/// [`Cursor::since`], and drop per stream what is older and the first pieces of the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    streams: [Mark; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Mark {
    time: i64,
    pieces: u64,
}

impl Cursor {
    /// Takes note of a piece that is stored.
    pub fn stored(&mut self, piece: &Frame) {
        let mark = &mut self.streams[piece.channel as usize];
        if piece.time_ns == mark.time {
            mark.pieces += 1;
        } else {
            *mark = Mark { time: piece.time_ns, pieces: 1 };
        }
    }

    /// From when on to ask for output, nanoseconds since 1970.
    pub fn since(&self) -> i64 {
        self.streams[0].time.min(self.streams[1].time)
    }

    /// What to drop of the answer to that question.
    pub const fn filter(self) -> Filter {
        Filter { streams: self.streams }
    }
}

/// Tells the pieces of one answer that are stored already from new ones.
#[derive(Debug, Clone)]
pub struct Filter {
    streams: [Mark; 2],
}

impl Filter {
    /// Whether a piece is new. Asked once for each piece, in their order.
    pub const fn is_new(&mut self, piece: &Frame) -> bool {
        let mark = &mut self.streams[piece.channel as usize];
        if piece.time_ns < mark.time {
            return false;
        }
        if piece.time_ns == mark.time && mark.pieces > 0 {
            mark.pieces -= 1;
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(channel: Channel, time_ns: i64, bytes: &[u8]) -> Frame {
        Frame { channel, time_ns, bytes: bytes.to_vec() }
    }

    fn all(bytes: &[u8]) -> Vec<Record> {
        let mut from = bytes;
        std::iter::from_fn(|| read(&mut from).unwrap()).map(|(record, _)| record).collect()
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        write(&mut bytes, &Record::Piece(frame(Channel::Out, -5, b"hello"))).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(all(&damaged), [], "byte {at}");
        }
        assert_eq!(all(&bytes).len(), 1);
    }

    /// What an engine holds: per stream in order of time, several pieces to a time.
    fn history() -> impl Strategy<Value = Vec<Frame>> {
        prop::collection::vec((any::<bool>(), 0i64..3, prop::collection::vec(any::<u8>(), 0..5)), 0..40).prop_map(
            |steps| {
                let mut times = [1, 1];
                let pieces = steps.into_iter().map(|(err, step, bytes)| {
                    let channel = if err { Channel::Err } else { Channel::Out };
                    times[channel as usize] += step;
                    Frame { channel, time_ns: times[channel as usize], bytes }
                });
                pieces.collect()
            },
        )
    }

    proptest! {
        #[test]
        fn a_torn_tail_loses_only_itself(pieces in history(), cut in 0usize..400) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for piece in &pieces {
                write(&mut bytes, &Record::Piece(piece.clone())).unwrap();
                ends.push(bytes.len());
            }
            let cut = cut.min(bytes.len());
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            let found: Vec<Record> = pieces[..whole].iter().cloned().map(Record::Piece).collect();
            prop_assert_eq!(all(&bytes[..cut]), found);
        }

        #[test]
        fn following_again_neither_loses_nor_doubles(pieces in history(), stored in 0usize..40) {
            let stored = stored.min(pieces.len());
            let mut cursor = Cursor::default();
            pieces[..stored].iter().for_each(|piece| cursor.stored(piece));
            let mut filter = cursor.filter();
            let answer = pieces.iter().filter(|piece| piece.time_ns >= cursor.since());
            let new: Vec<&Frame> = answer.filter(|piece| filter.is_new(piece)).collect();
            prop_assert_eq!(new, pieces[stored..].iter().collect::<Vec<_>>());
        }
    }
}

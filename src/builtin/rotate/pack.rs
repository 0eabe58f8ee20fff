//! From a log into a gzip archive, and the comparison that tells whether a log still holds what an
//! archive holds. Everything in pieces: memory does not grow with the log.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

const PIECE: usize = 256 * 1024;

/// Copies a range of a file, up to the end of the file when that comes first. Returns how many bytes
/// there were.
///
/// # Errors
/// When one side cannot be read or written.
pub fn copy(from: &File, range: Range<u64>, into: &mut impl Write) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut at = range.start;
    while at < range.end {
        let wanted = usize::try_from(range.end - at).map_or(PIECE, |left| left.min(PIECE));
        match from.read_at(&mut piece[..wanted], at) {
            Ok(0) => break,
            Ok(read) => {
                into.write_all(&piece[..read])?;
                at += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(at - range.start)
}

/// A gzip member in the making.
pub struct Packer {
    gzip: GzEncoder<BufWriter<File>>,
}

impl Packer {
    /// Begins at the place where the file stands.
    pub fn new(into: File, level: u32) -> Self {
        Self { gzip: GzEncoder::new(BufWriter::with_capacity(PIECE, into), Compression::new(level)) }
    }

    /// Ends it, durably.
    ///
    /// # Errors
    /// When the rest cannot be written.
    pub fn finish(self) -> io::Result<File> {
        let file = self.gzip.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(file)
    }
}

impl Write for Packer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gzip.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.gzip.flush()
    }
}

/// Puts a whole file as one more member behind the first `packed` bytes of an archive; what stood
/// there is the torn rest of an earlier try. Durable when it returns.
///
/// # Errors
/// When one side cannot be read or written.
pub fn append(archive: &File, packed: u64, tail: &File, level: u32) -> io::Result<()> {
    archive.set_len(packed)?;
    let mut into = archive.try_clone()?;
    into.seek(SeekFrom::Start(packed))?;
    let mut packer = Packer::new(into, level);
    copy(tail, 0..u64::MAX, &mut packer)?;
    packer.finish().map(drop)
}

/// Whether `log` still holds, from byte `start` on, what the first `packed` bytes of the archive
/// hold.
///
/// # Errors
/// When one of them cannot be read, or the archive is damaged.
pub fn holds(log: &File, start: u64, archive: &File, packed: u64) -> io::Result<bool> {
    let mut archive = archive.try_clone()?;
    archive.seek(SeekFrom::Start(0))?;
    let mut plain = MultiGzDecoder::new(BufReader::with_capacity(PIECE, archive.take(packed)));
    let (mut ours, mut theirs) = (vec![0; PIECE], vec![0; PIECE]);
    let mut at = start;
    loop {
        let read = plain.read(&mut ours)?;
        if read == 0 {
            return Ok(true);
        }
        let there = copy(log, at..at + read as u64, &mut &mut theirs[..])?;
        if there < read as u64 || ours[..read] != theirs[..read] {
            return Ok(false);
        }
        at += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn text(lines: u32) -> Vec<u8> {
        (0..lines).flat_map(|n| format!("line {n} of some log\n").into_bytes()).collect()
    }

    #[test]
    fn an_archive_of_two_members_reads_as_one() {
        let log = text(30_000); // more than one piece
        let source = file(&log);
        let half = log.len() as u64 / 2;
        let mut packer = Packer::new(tempfile::tempfile().unwrap(), 6);
        assert_eq!(copy(&source, 0..half, &mut packer).unwrap(), half);
        let archive = packer.finish().unwrap();
        let packed = archive.metadata().unwrap().len();
        append(&archive, packed, &file(b"torn by a crash"), 6).unwrap();
        append(&archive, packed, &file(&log[half as usize..]), 6).unwrap();

        let mut plain = Vec::new();
        let mut reader = archive.try_clone().unwrap();
        reader.rewind().unwrap();
        MultiGzDecoder::new(reader).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, log);

        assert!(holds(&source, 0, &archive, packed).unwrap());
        let mut other = log.clone();
        other[7] = b'!';
        assert!(!holds(&file(&other), 0, &archive, packed).unwrap());
        assert!(!holds(&file(&log[..half as usize - 1]), 0, &archive, packed).unwrap());
        assert!(holds(&file(&[b"12345", &log[..]].concat()), 5, &archive, packed).unwrap());
    }

    #[test]
    fn a_damaged_archive_is_an_error() {
        let archive = file(b"\x1f\x8b\x08 nonsense");
        assert!(holds(&file(b"x"), 0, &archive, 12).is_err());
    }
}

//! The output of one run, read from its spool: beside its writer, or after the end.

use std::path::{Path, PathBuf};

use crate::engine::Channel;
use crate::run::RunId;
use crate::runner::shelf::{Reader, Shelf};
use crate::runner::spool::Record;

/// A reader that remembers how far it is.
#[derive(Debug)]
pub(super) struct Output {
    shelf: Shelf,
    folder: PathBuf,
    run: RunId,
    reader: Option<Reader>,
    /// Lines that are still to be passed over.
    skip: usize,
}

impl Output {
    /// The output of a run, from its beginning. There need not be any yet.
    pub(super) fn of(state_dir: &Path, run: &RunId) -> Self {
        let shelf = Shelf::new(state_dir);
        let folder = shelf.raw(run).parent().unwrap_or(state_dir).to_owned();
        Self { shelf, folder, run: run.clone(), reader: None, skip: 0 }
    }

    /// The folder that changes when there is more.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Passes over all but the last `lines` lines of what is there. A last line without an end counts.
    pub(super) fn skip_to_last(&mut self, lines: usize) -> anyhow::Result<()> {
        let Some(mut reader) = self.shelf.read(&self.run)? else { return Ok(()) };
        let (mut all, mut open) = (0, false);
        while let Some(record) = reader.next()? {
            let Record::Piece(piece) = record else { break };
            all += piece.bytes.iter().filter(|byte| **byte == b'\n').count();
            open = piece.bytes.last().map_or(open, |byte| *byte != b'\n');
        }
        self.skip = (all + usize::from(open)).saturating_sub(lines);
        Ok(())
    }

    /// Hands everything new to `sink`.
    pub(super) fn read(&mut self, sink: &mut dyn FnMut(Channel, &[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        if self.reader.is_none() {
            self.reader = self.shelf.read(&self.run)?;
        }
        let Some(reader) = &mut self.reader else { return Ok(()) };
        while let Some(record) = reader.next()? {
            let Record::Piece(piece) = record else { break };
            let bytes = rest(&piece.bytes, &mut self.skip);
            if !bytes.is_empty() {
                sink(piece.channel, bytes)?;
            }
        }
        Ok(())
    }
}

/// What is left of a piece after the lines to be passed over.
fn rest<'a>(mut bytes: &'a [u8], skip: &mut usize) -> &'a [u8] {
    while *skip > 0 {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return &[] };
        bytes = &bytes[end + 1..];
        *skip -= 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Frame;
    use crate::runner::spool;
    use std::io::Write;

    fn piece(channel: Channel, text: &str) -> Record {
        Record::Piece(Frame { channel, time_ns: 1, bytes: text.as_bytes().to_vec() })
    }

    fn read(output: &mut Output) -> String {
        let mut all = String::new();
        output
            .read(&mut |channel, bytes| {
                all.push_str(if channel == Channel::Err { "!" } else { "" });
                all.push_str(std::str::from_utf8(bytes).unwrap());
                Ok(())
            })
            .unwrap();
        all
    }

    #[test]
    fn output_is_read_while_it_is_written_and_after_it_was_packed() {
        let dir = tempfile::tempdir().unwrap();
        let (run, shelf) = (RunId("0123456789ab".into()), Shelf::new(dir.path()));
        let mut output = Output::of(dir.path(), &run);
        assert_eq!(read(&mut output), "", "nothing yet");

        let mut spool = shelf.resume(&run, |_| {}).unwrap().file;
        spool::write(&mut spool, &piece(Channel::Out, "one\ntw")).unwrap();
        assert_eq!(read(&mut output), "one\ntw");
        let mut whole = Vec::new();
        spool::write(&mut whole, &piece(Channel::Err, "o\n")).unwrap();
        spool.write_all(&whole[..9]).unwrap();
        assert_eq!(read(&mut output), "", "its writer is in the middle of a record");
        spool.write_all(&whole[9..]).unwrap();
        spool::write(&mut spool, &Record::End).unwrap();
        shelf.pack(&run).unwrap();
        assert_eq!(read(&mut output), "!o\n");

        let mut late = Output::of(dir.path(), &run);
        late.skip_to_last(1).unwrap();
        assert_eq!(read(&mut late), "tw!o\n");
        assert_eq!(read(&mut Output::of(dir.path(), &run)), "one\ntw!o\n");
    }
}

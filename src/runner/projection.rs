//! From a run's pieces to the text of its job's log. Pure: the same pieces give the same text,
//! so that a log can be continued after a crash from what its note says.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::engine::Frame;
use crate::run::{Outcome, RunRecord};

/// A line that is longer goes out in parts: memory stays bounded.
const LONGEST_LINE: usize = 1 << 20;

/// Room that is kept for the next text.
const KEPT: usize = 64 << 10;

/// How far a run's text is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// `START_TIME` as it stands in the markers.
    pub started: String,
    /// The marker at the beginning is in.
    pub head: bool,
    /// Bytes of standard output that are in.
    pub out: u64,
    /// Bytes of standard error that are in.
    pub err: u64,
    /// Bytes that are in beyond all this: the text that follows begins so much later.
    pub extra: u64,
    /// All is in, the marker at the end included.
    pub done: bool,
}

impl Progress {
    /// Nothing is in of a run that started then.
    pub fn new(started: DateTime<Utc>) -> Self {
        Self { started: stamp(started), ..Self::default() }
    }
}

/// An instant as the legacy markers have it.
fn stamp(at: DateTime<Utc>) -> String {
    at.format("%FT%T+00:00").to_string()
}

/// The marker at the end of a run, known when the run has its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    remark: Option<String>,
    end: String,
}

impl Trailer {
    /// The marker of a finished run, `None` before that.
    pub fn of(record: &RunRecord) -> Option<Self> {
        let outcome = record.outcome()?;
        let word = match outcome {
            Outcome::Failed { code, .. } | Outcome::Interrupted { code } => format!("{}({code})", outcome.word()),
            other => other.word().to_owned(),
        };
        let ended = stamp(record.finished_at.unwrap_or(record.due));
        let remarks: Vec<String> = outcome.reason().into_iter().chain(record.output_note.clone()).collect();
        Some(Self {
            remark: (!remarks.is_empty()).then(|| format!("{}: {}\n", record.occurrence.job, remarks.join("; "))),
            end: format!("END_TIME={ended} outcome={word} run={}", record.id),
        })
    }
}

/// Turns pieces into whole lines in the order in which they were completed.
#[derive(Debug)]
pub struct Projector {
    job: String,
    /// What is in the log for certain.
    base: Progress,
    /// What is in the log once `text` is.
    now: Progress,
    text: Vec<u8>,
    unfinished: [Vec<u8>; 2],
    skip: [u64; 2],
    skip_text: u64,
}

impl Projector {
    /// Continues a run's text. The pieces must then be fed from the first one on.
    pub fn resume(job: &str, progress: Progress) -> Self {
        let mut projector = Self {
            job: job.to_owned(),
            now: Progress { extra: 0, ..progress.clone() },
            skip: [progress.out, progress.err],
            skip_text: progress.extra,
            base: progress,
            text: Vec::new(),
            unfinished: [Vec::new(), Vec::new()],
        };
        if !projector.now.head {
            projector.now.head = true;
            let head = format!("==========\n{job} START_TIME={}\n", projector.now.started);
            projector.emit(head.as_bytes());
        }
        projector
    }

    /// Takes the next piece.
    pub fn feed(&mut self, piece: &Frame) {
        let stream = piece.channel as usize;
        let known = self.skip[stream].min(piece.bytes.len() as u64);
        self.skip[stream] -= known;
        let bytes = &piece.bytes[usize::try_from(known).unwrap_or(usize::MAX)..];
        let before = self.unfinished[stream].len();
        self.unfinished[stream].extend_from_slice(bytes);
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => self.emit_line(stream, before + end + 1),
            None if before + bytes.len() >= LONGEST_LINE => self.emit_line(stream, before + bytes.len()),
            None => {}
        }
    }

    /// Takes the end: lines without an end, and the marker.
    pub fn finish(&mut self, trailer: &Trailer) {
        if self.now.done {
            return;
        }
        let both = self.unfinished.iter().all(|line| !line.is_empty());
        self.emit_line(0, self.unfinished[0].len());
        if both {
            self.emit(b"\n");
        }
        self.emit_line(1, self.unfinished[1].len());
        self.now.done = true;
        let (job, started) = (self.job.clone(), self.now.started.clone());
        self.emit(b"\n");
        self.emit(trailer.remark.clone().unwrap_or_default().as_bytes());
        self.emit(format!("{job} finished START_TIME={started}\n{job} finished   {}\n", trailer.end).as_bytes());
    }

    /// Text that waits to be written, and what is in the log before it.
    pub fn waiting(&self) -> (&Progress, &[u8]) {
        (&self.base, &self.text)
    }

    /// Takes note that the waiting text is in the log.
    pub fn written(&mut self) {
        self.text.clear();
        self.text.shrink_to(KEPT);
        self.base = Progress { extra: self.skip_text, ..self.now.clone() };
    }

    fn emit_line(&mut self, stream: usize, length: usize) {
        let rest = self.unfinished[stream].split_off(length);
        let line = std::mem::replace(&mut self.unfinished[stream], rest);
        *(if stream == 0 { &mut self.now.out } else { &mut self.now.err }) += line.len() as u64;
        self.emit(&line);
    }

    fn emit(&mut self, text: &[u8]) {
        let known = self.skip_text.min(text.len() as u64);
        self.skip_text -= known;
        self.text.extend_from_slice(&text[usize::try_from(known).unwrap_or(usize::MAX)..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Channel;
    use proptest::prelude::*;

    fn piece(err: bool, text: &[u8]) -> Frame {
        Frame { channel: if err { Channel::Err } else { Channel::Out }, time_ns: 1, bytes: text.to_vec() }
    }

    fn trailer() -> Trailer {
        Trailer { remark: None, end: "END_TIME=… outcome=succeeded run=1".to_owned() }
    }

    fn start() -> Progress {
        Progress::new(DateTime::from_timestamp(0, 0).unwrap())
    }

    fn whole(pieces: &[Frame]) -> Vec<u8> {
        let mut projector = Projector::resume("backup", start());
        pieces.iter().for_each(|piece| projector.feed(piece));
        projector.finish(&trailer());
        projector.text
    }

    #[test]
    fn a_log_reads_as_the_legacy_one() {
        let pieces = [piece(false, b"one\nt"), piece(true, b"oops\n"), piece(false, b"wo")];
        assert_eq!(
            String::from_utf8(whole(&pieces)).unwrap(),
            "==========\nbackup START_TIME=1970-01-01T00:00:00+00:00\none\noops\ntwo\n\
             backup finished START_TIME=1970-01-01T00:00:00+00:00\n\
             backup finished   END_TIME=… outcome=succeeded run=1\n"
        );
    }

    #[test]
    fn a_very_long_line_takes_bounded_memory() {
        let mut projector = Projector::resume("a", start());
        for _ in 0..640 {
            projector.feed(&piece(false, &[b'x'; 16 << 10]));
            assert!(projector.unfinished[0].len() < LONGEST_LINE);
            projector.written();
        }
        assert_eq!(projector.base.out, 640 << 14);
    }

    fn pieces() -> impl Strategy<Value = Vec<Frame>> {
        let byte = prop_oneof![Just(b'\n'), Just(b'a'), Just(0u8), Just(255u8)];
        prop::collection::vec((any::<bool>(), prop::collection::vec(byte, 0..6)), 0..30)
            .prop_map(|pieces| pieces.into_iter().map(|(err, text)| piece(err, &text)).collect())
    }

    proptest! {
        /// Batches are written, then the process dies within one; the next one goes on.
        #[test]
        fn after_a_crash_the_text_goes_on_where_it_was(
            pieces in pieces(), flushes in prop::collection::vec(any::<bool>(), 31), crash in 0usize..31, within in 0usize..60
        ) {
            let mut log = Vec::new();
            let mut projector = Projector::resume("backup", start());
            let crash = crash.min(pieces.len());
            for (piece, flush) in pieces[..crash].iter().zip(&flushes) {
                projector.feed(piece);
                if *flush {
                    log.extend_from_slice(projector.waiting().1);
                    projector.written();
                }
            }
            let (base, text) = projector.waiting();
            let within = within.min(text.len());
            log.extend_from_slice(&text[..within]);
            let noted = Progress { extra: base.extra + within as u64, ..base.clone() };

            let mut projector = Projector::resume("backup", noted);
            pieces.iter().for_each(|piece| projector.feed(piece));
            projector.finish(&trailer());
            log.extend_from_slice(&projector.text);
            prop_assert_eq!(log, whole(&pieces));
        }

        #[test]
        fn each_stream_stays_whole(pieces in pieces()) {
            let text = whole(&pieces);
            let of = |err: bool| pieces.iter().filter(|p| (p.channel == Channel::Err) == err).flat_map(|p| p.bytes.clone()).collect::<Vec<u8>>();
            // Bytes are neither dropped nor changed: count each kind apart from the line ends that markers add.
            for byte in [0u8, 255] {
                let count = |text: &[u8]| text.iter().filter(|b| **b == byte).count();
                prop_assert_eq!(count(&text), count(&of(true)) + count(&of(false)));
            }
        }
    }
}

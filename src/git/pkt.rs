//! Git's pkt-line framing: four hexadecimal digits of length, then the bytes.

use std::io::{self, ErrorKind, Read, Write};

/// Largest packet that git sends.
const LARGEST: usize = 65_520;

/// One packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pkt {
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: the end of a section.
    Delimiter,
    /// Bytes, without the line break that ends a line of text.
    Line(Vec<u8>),
}

/// Reads a packet; `None` when the other side has closed before one began.
pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Pkt>> {
    let mut head = [0; 4];
    let mut got = 0;
    while got < head.len() {
        match from.read(&mut head[got..])? {
            0 if got == 0 => return Ok(None),
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => got += n,
        }
    }
    let length = std::str::from_utf8(&head).ok().and_then(|h| usize::from_str_radix(h, 16).ok());
    match length {
        Some(0) => Ok(Some(Pkt::Flush)),
        Some(1) => Ok(Some(Pkt::Delimiter)),
        Some(length @ 4..=LARGEST) => {
            let mut bytes = vec![0; length - 4];
            from.read_exact(&mut bytes)?;
            Ok(Some(Pkt::Line(bytes)))
        }
        _ => Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("the remote does not speak git's protocol (it sent {:?})", String::from_utf8_lossy(&head)),
        )),
    }
}

/// A message under construction, sent with one write.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn line(mut self, text: &str) -> Self {
        self.0.extend_from_slice(format!("{:04x}{text}\n", text.len() + 5).as_bytes());
        self
    }

    pub(super) fn delimiter(mut self) -> Self {
        self.0.extend_from_slice(b"0001");
        self
    }

    pub(super) fn flush(mut self) -> Self {
        self.0.extend_from_slice(b"0000");
        self
    }

    pub(super) fn send(self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.0)?;
        to.flush()
    }
}

/// The text of a line, without its line break.
pub(super) fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_are_read() {
        let mut bytes: &[u8] = b"0006a\n000000010004";
        assert_eq!(read(&mut bytes).unwrap(), Some(Pkt::Line(b"a\n".to_vec())));
        assert_eq!(read(&mut bytes).unwrap(), Some(Pkt::Flush));
        assert_eq!(read(&mut bytes).unwrap(), Some(Pkt::Delimiter));
        assert_eq!(read(&mut bytes).unwrap(), Some(Pkt::Line(Vec::new())));
        assert_eq!(read(&mut bytes).unwrap(), None);
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        for bytes in ["SSH-", "0003", "fff1", "00", "0009ab", "-001"] {
            assert!(read(&mut bytes.as_bytes()).is_err(), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn lines_survive(lines in proptest::collection::vec("[ -~]{0,200}", 0..5)) {
            let mut bytes = Vec::new();
            lines.iter().fold(Message::default(), |m, l| m.line(l)).flush().send(&mut bytes).unwrap();
            let mut rest = &bytes[..];
            for line in &lines {
                let Some(Pkt::Line(found)) = read(&mut rest).unwrap() else { panic!("no line") };
                prop_assert_eq!(&text(&found), line);
            }
            prop_assert_eq!(read(&mut rest).unwrap(), Some(Pkt::Flush));
        }

        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut rest = &bytes[..];
            while let Ok(Some(_)) = read(&mut rest) {}
        }
    }
}

//! Lines out of a stream of bytes.

use crate::engine::Channel;

/// Cuts a stream of bytes into lines, each channel on its own.
#[derive(Debug, Default)]
pub struct Lines {
    rest: [Vec<u8>; 2],
}

impl Lines {
    /// The lines that are complete now.
    pub fn feed(&mut self, channel: Channel, bytes: &[u8]) -> Vec<String> {
        let rest = &mut self.rest[usize::from(channel == Channel::Err)];
        rest.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        lines
    }

    /// What is left at the end: lines without a line break.
    pub fn rest(&mut self) -> Vec<String> {
        let left = self.rest.iter_mut().map(std::mem::take).filter(|rest| !rest.is_empty());
        left.map(|rest| String::from_utf8_lossy(&rest).trim_end().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_for_each_channel() {
        let mut lines = Lines::default();
        assert!(lines.feed(Channel::Out, b"a").is_empty());
        assert_eq!(lines.feed(Channel::Err, b"x\ny"), ["x"]);
        assert_eq!(lines.feed(Channel::Out, b"b\nc\n"), ["ab", "c"]);
        lines.feed(Channel::Err, b"end");
        assert_eq!(lines.rest(), ["yend"]);
        assert!(lines.rest().is_empty());
    }
}

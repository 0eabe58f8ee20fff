//! The client's side of a talk with `git-upload-pack` over any pair of streams.
//!
//! Protocol 2 names the one ref that is wanted, so a poll costs a few hundred bytes however many
//! refs there are. libgit2 speaks only protocol 0, and registering a transport of one's own with it
//! takes `unsafe`; the few lines of the protocol that a follower of one branch needs are here. A
//! server that does not take `GIT_PROTOCOL` (sshd without `AcceptEnv`) answers in protocol 0.

use std::io::{self, Read, Write};

use anyhow::{Context, Result, bail, ensure};

use super::Failure;
use super::pkt::{Message, Pkt, read, text};

const AGENT: &str = concat!("agent=tender/", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Zero,
    Two,
}

/// A talk in which the remote has told where its ref is.
#[derive(Debug)]
pub(super) struct Talk {
    protocol: Protocol,
    capabilities: Vec<String>,
    /// The commit of the ref; `None` when the remote has no such ref.
    pub(super) tip: Option<String>,
}

/// What is here already, so that the remote need not send it.
#[derive(Debug, Default)]
pub(super) struct Haves {
    pub(super) commits: Vec<String>,
    pub(super) shallow: Vec<String>,
}

/// Asks for one ref by its full name. `Ok(None)`: the remote closed without a word.
pub(super) fn ask(stream: &mut (impl Read + Write), name: &str) -> Result<Option<Talk>> {
    let mut first = match read(stream)? {
        None => return Ok(None),
        Some(Pkt::Line(line)) => line,
        Some(_) => Vec::new(),
    };
    if text(&first) == "version 2" {
        let capabilities = lines(stream)?;
        let mut ask = Message::default().line("command=ls-refs").line(AGENT);
        if capabilities.iter().any(|c| c.starts_with("object-format=")) {
            ask = ask.line("object-format=sha1");
        }
        ask.delimiter().line("peel").line(&format!("ref-prefix {name}")).flush().send(stream)?;
        let mut tip = None;
        for line in lines(stream)? {
            // the prefix also matches longer names
            if let Some((id, found)) = line.split_once(' ')
                && found.split(' ').next() == Some(name)
            {
                tip = Some(id.to_owned());
            }
        }
        return Ok(Some(Talk { protocol: Protocol::Two, capabilities, tip }));
    }
    if text(&first) == "version 1"
        && let Some(Pkt::Line(line)) = read(stream)?
    {
        first = line;
    }
    refused(&first)?;
    let mut parts = first.splitn(2, |b| *b == 0);
    let advertised = text(parts.next().unwrap_or_default());
    let capabilities = text(parts.next().unwrap_or_default()).split(' ').map(str::to_owned).collect();
    let rest = if first.is_empty() { Vec::new() } else { lines(stream)? };
    let tip = std::iter::once(&advertised)
        .chain(&rest)
        .filter_map(|line| line.split_once(' '))
        .find_map(|(id, found)| (found == name).then(|| id.to_owned()));
    Ok(Some(Talk { protocol: Protocol::Zero, capabilities, tip }))
}

impl Talk {
    /// Ends the talk without a transfer.
    pub(super) fn leave(self, stream: &mut impl Write) -> io::Result<()> {
        Message::default().flush().send(stream)
    }

    /// Writes the pack that holds what `tip` needs and is not here.
    pub(super) fn fetch(self, stream: &mut (impl Read + Write), haves: &Haves, pack: &mut impl Write) -> Result<()> {
        let tip = self.tip.as_deref().context("there is no such ref to fetch")?;
        match self.protocol {
            Protocol::Two => {
                let mut ask = Message::default().line("command=fetch").line(AGENT);
                if self.capabilities.iter().any(|c| c.starts_with("object-format=")) {
                    ask = ask.line("object-format=sha1");
                }
                ask = ask.delimiter().line("no-progress").line("ofs-delta");
                ask = haves.shallow.iter().fold(ask, |ask, id| ask.line(&format!("shallow {id}")));
                ask = ask.line(&format!("want {tip}"));
                ask = haves.commits.iter().fold(ask, |ask, id| ask.line(&format!("have {id}")));
                ask.line("done").flush().send(stream)?;
                while section(stream)? != "packfile" {}
                demultiplex(stream, pack)?;
                Ok(Message::default().flush().send(stream)?)
            }
            Protocol::Zero => {
                ensure!(
                    self.capabilities.iter().any(|c| c == "side-band-64k"),
                    "the remote's git is too old: it has no side-band-64k"
                );
                let mut ask =
                    Message::default().line(&format!("want {tip} side-band-64k ofs-delta no-progress {AGENT}"));
                ask = haves.shallow.iter().fold(ask, |ask, id| ask.line(&format!("shallow {id}"))).flush();
                ask = haves.commits.iter().fold(ask, |ask, id| ask.line(&format!("have {id}")));
                ask.line("done").send(stream)?;
                // without multi_ack there is one line: what is common, or that nothing is
                let answer = section(stream)?;
                ensure!(answer == "NAK" || answer.starts_with("ACK "), "the remote answered {answer:?} to a fetch");
                demultiplex(stream, pack)
            }
        }
    }
}

/// The next line of text; marks between sections are passed over.
fn section(stream: &mut impl Read) -> Result<String> {
    loop {
        match read(stream)?.context("the remote closed in the middle of a fetch")? {
            Pkt::Line(line) => {
                refused(&line)?;
                return Ok(text(&line));
            }
            Pkt::Flush | Pkt::Delimiter => {}
        }
    }
}

/// All lines up to the next flush.
fn lines(stream: &mut impl Read) -> Result<Vec<String>> {
    let mut found = Vec::new();
    loop {
        match read(stream)?.context("the remote closed in the middle of an answer")? {
            Pkt::Flush => return Ok(found),
            Pkt::Delimiter => {}
            Pkt::Line(line) => {
                refused(&line)?;
                found.push(text(&line));
            }
        }
    }
}

fn refused(line: &[u8]) -> Result<()> {
    match line.strip_prefix(b"ERR ") {
        Some(why) => bail!(Failure::Unreachable(format!("the remote says: {}", text(why)))),
        None => Ok(()),
    }
}

/// Takes the pack out of a side band: 1 is data, 2 progress, 3 the error that ends it.
fn demultiplex(stream: &mut impl Read, pack: &mut impl Write) -> Result<()> {
    loop {
        match read(stream)?.context("the remote closed in the middle of a pack")? {
            Pkt::Flush => return Ok(()),
            Pkt::Delimiter => {}
            Pkt::Line(line) => match line.split_first() {
                Some((1, data)) => pack.write_all(data).context("failed to write the pack")?,
                Some((3, why)) => bail!(Failure::Unreachable(format!("the remote says: {}", text(why)))),
                _ => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A remote that has said everything beforehand.
    struct Script<'a> {
        says: &'a [u8],
        heard: Vec<u8>,
    }

    impl Read for Script<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.says.read(buffer)
        }
    }

    impl Write for Script<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.heard.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const ID: &str = "1111111111111111111111111111111111111111";
    const OTHER: &str = "2222222222222222222222222222222222222222";

    fn said(parts: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in parts {
            match *part {
                "0000" => bytes.extend_from_slice(b"0000"),
                line => bytes.extend_from_slice(format!("{:04x}{line}", line.len() + 4).as_bytes()),
            }
        }
        bytes
    }

    #[test]
    fn protocol_two_takes_the_exact_name() {
        let says = said(&[
            "version 2\n",
            "ls-refs\n",
            "object-format=sha1\n",
            "0000",
            &format!("{OTHER} refs/heads/main2\n"),
            &format!("{ID} refs/heads/main\n"),
            "0000",
        ]);
        let mut remote = Script { says: &says, heard: Vec::new() };
        let talk = ask(&mut remote, "refs/heads/main").unwrap().unwrap();
        assert_eq!((talk.protocol, talk.tip.as_deref()), (Protocol::Two, Some(ID)));
        let heard = String::from_utf8(remote.heard).unwrap();
        assert!(heard.contains("ref-prefix refs/heads/main\n") && heard.ends_with("0000"), "{heard}");
    }

    #[test]
    fn protocol_zero_is_understood_too() {
        let says = said(&[
            &format!("{OTHER} HEAD\0side-band-64k ofs-delta\n"),
            &format!("{OTHER} refs/heads/main2\n"),
            &format!("{ID} refs/heads/main\n"),
            "0000",
            "NAK\n",
            "\u{2}hello",
            "\u{1}PACK1",
            "\u{1}2",
            "0000",
        ]);
        let mut remote = Script { says: &says, heard: Vec::new() };
        let talk = ask(&mut remote, "refs/heads/main").unwrap().unwrap();
        assert_eq!((talk.protocol, talk.tip.as_deref()), (Protocol::Zero, Some(ID)));
        let mut pack = Vec::new();
        let haves = Haves { commits: vec![OTHER.to_owned()], ..Haves::default() };
        talk.fetch(&mut remote, &haves, &mut pack).unwrap();
        assert_eq!(pack, b"PACK12");
        let heard = String::from_utf8(remote.heard).unwrap();
        assert!(heard.contains(&format!("want {ID} side-band-64k")) && heard.contains(&format!("have {OTHER}")));
    }

    #[test]
    fn remotes_that_say_no_are_quoted() {
        let says = said(&["ERR access denied\n"]);
        let error = ask(&mut Script { says: &says, heard: Vec::new() }, "refs/heads/main").unwrap_err();
        assert_eq!(error.to_string(), "the remote says: access denied");
        let error = ask(&mut Script { says: b"Welcome!", heard: Vec::new() }, "refs/heads/main").unwrap_err();
        assert!(error.to_string().contains("does not speak git's protocol"), "{error}");
        assert!(ask(&mut Script { says: b"", heard: Vec::new() }, "refs/heads/main").unwrap().is_none());
    }

    #[test]
    fn a_deleted_ref_and_an_empty_repo_have_no_tip() {
        for says in [
            said(&["version 2\n", "0000", "0000"]),
            said(&["0000"]),
            said(&[&format!("{} capabilities^{{}}\0side-band-64k\n", "0".repeat(40)), "0000"]),
        ] {
            let talk = ask(&mut Script { says: &says, heard: Vec::new() }, "refs/heads/main").unwrap().unwrap();
            assert_eq!(talk.tip, None);
        }
    }
}

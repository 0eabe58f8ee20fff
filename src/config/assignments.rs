//! Where a shell file sets variables and reads other files, as far as its text tells.
//!
//! For pointing at a place only: what a file does is found out by running it.

use super::words::is_name;

/// `NAME=value` where a command may stand, or `${NAME:=value}`.
#[derive(Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The name.
    pub name: String,
    /// Where the name begins, in bytes.
    pub at: usize,
    /// Where the value begins and ends, in bytes.
    pub value: (usize, usize),
    /// The value, where the text alone tells it.
    pub literal: Option<String>,
}

/// What a file's text tells.
#[derive(Debug, Default)]
pub struct Outline {
    /// The assignments, in order.
    pub assignments: Vec<Assignment>,
    /// Where a file is read, in bytes, and the word that names it.
    pub sources: Vec<(usize, String)>,
}

/// Words after which a command begins.
const BEFORE_COMMAND: &[&str] = &["then", "do", "else", "elif", "if", "while", "until", "!", "{", "time"];

/// Commands whose arguments are assignments.
const SETTERS: &[&str] = &["export", "readonly", "declare", "typeset", "local"];

impl Outline {
    /// Reads a shell file's text.
    pub fn of(text: &str) -> Self {
        let mut scan = Scan { text, bytes: text.as_bytes(), at: 0 };
        let mut outline = Self::default();
        let (mut command, mut sets, mut reads) = (true, false, false);
        let mut here: Vec<(String, bool)> = Vec::new();
        while let Some(byte) = scan.peek() {
            match byte {
                b'\\' if scan.bytes.get(scan.at + 1) == Some(&b'\n') => scan.at += 2,
                b' ' | b'\t' => scan.at += 1,
                b'#' => scan.skip_line(),
                b'<' if scan.rest().starts_with("<<") && !scan.rest().starts_with("<<<") => {
                    scan.at += 2;
                    let strip = scan.peek() == Some(b'-');
                    scan.at += usize::from(strip);
                    scan.skip_blanks();
                    let (from, to) = scan.word();
                    here.push((text[from..to].replace(['\'', '"', '\\'], ""), strip));
                }
                b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>' => {
                    scan.at += 1;
                    let redirect = matches!(byte, b'<' | b'>');
                    (command, sets, reads) = (command || !redirect, sets && redirect, false);
                    if byte == b'\n' {
                        here.drain(..).for_each(|(end, strip)| scan.skip_here(&end, strip));
                    }
                }
                _ => {
                    let (from, to) = scan.word();
                    let word = &text[from..to];
                    outline.defaults_in(text, from, to);
                    if reads {
                        outline.sources.push((from, word.to_owned()));
                        reads = false;
                    } else if (command || sets) && outline.assignment(text, from, to) {
                    } else if command {
                        sets = SETTERS.contains(&word);
                        reads = [".", "source", "\\."].contains(&word);
                        command = BEFORE_COMMAND.contains(&word);
                    }
                }
            }
        }
        outline.assignments.sort_by_key(|a| a.at);
        outline
    }

    fn assignment(&mut self, text: &str, from: usize, to: usize) -> bool {
        let Some((left, value)) = text[from..to].split_once('=') else { return false };
        let name = left.strip_suffix('+').unwrap_or(left);
        if !is_name(name) {
            return false;
        }
        let literal = if name.len() == left.len() { literal(value) } else { None };
        self.assignments.push(Assignment { name: name.to_owned(), at: from, value: (to - value.len(), to), literal });
        true
    }

    /// `: ${NAME:=value}`
    fn defaults_in(&mut self, text: &str, from: usize, to: usize) {
        for (at, _) in text[from..to].match_indices("${") {
            let begin = from + at + 2;
            let length = text[begin..to].bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
            let (name, after) = (&text[begin..begin + length], &text[begin + length..to]);
            let value = after.strip_prefix(":=").or_else(|| after.strip_prefix('='));
            if let Some(value) = value.filter(|_| is_name(name)) {
                let value = (to - value.len(), to);
                self.assignments.push(Assignment { name: name.to_owned(), at: begin, value, literal: None });
            }
        }
    }
}

struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|b| b != b'\n') {
            self.at += 1;
        }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// The text of a here-document, up to the line that ends it.
    fn skip_here(&mut self, end: &str, strip: bool) {
        while self.at < self.bytes.len() {
            let from = self.at;
            self.skip_line();
            let line = &self.text[from..self.at];
            self.at = (self.at + 1).min(self.bytes.len());
            if (if strip { line.trim_start_matches('\t') } else { line }) == end {
                return;
            }
        }
    }

    /// One word with all quotes and substitutions in it.
    fn word(&mut self) -> (usize, usize) {
        let from = self.at;
        while let Some(byte) = self.peek() {
            if matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>') {
                break;
            }
            self.piece(byte);
        }
        // A lone bracket would be no word, and no progress.
        if self.at == from && from < self.bytes.len() {
            self.at += 1;
        }
        (from, self.at)
    }

    fn piece(&mut self, byte: u8) {
        self.at += 1;
        match byte {
            b'\\' => self.character(),
            b'\'' => self.until(b'\'', false),
            b'"' => self.until(b'"', true),
            b'`' => self.until(b'`', true),
            b'$' if self.peek() == Some(b'(') => self.nested(b')'),
            b'$' if self.peek() == Some(b'{') => self.nested(b'}'),
            b'$' if self.peek() == Some(b'\'') => {
                self.at += 1;
                self.until(b'\'', true);
            }
            _ => {
                self.at -= 1;
                self.character();
            }
        }
    }

    fn character(&mut self) {
        self.at += self.rest().chars().next().map_or(1, char::len_utf8);
        self.at = self.at.min(self.bytes.len());
    }

    fn until(&mut self, end: u8, live: bool) {
        while let Some(byte) = self.peek() {
            match byte {
                byte if byte == end => {
                    self.at += 1;
                    return;
                }
                b'\\' | b'$' if live && end != b'\'' => self.piece(byte),
                b'\\' if live => {
                    self.at += 1;
                    self.character();
                }
                _ => self.character(),
            }
        }
    }

    /// From an opening bracket to its closing one.
    fn nested(&mut self, close: u8) {
        let open = self.bytes[self.at];
        self.at += 1;
        let mut depth = 1;
        while let Some(byte) = self.peek() {
            if byte == close || byte == open {
                self.at += 1;
                depth += if byte == close { -1 } else { 1 };
                if depth == 0 {
                    return;
                }
            } else {
                self.piece(byte);
            }
        }
    }
}

/// What a word comes to, where nothing in it is expanded.
fn literal(word: &str) -> Option<String> {
    let (mut out, mut chars, mut quote) = (String::new(), word.chars(), None);
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\'', None) => quote = Some('\''),
            ('"', None) => quote = Some('"'),
            (c, Some(q)) if c == q => quote = None,
            (c, Some('\'')) => out.push(c),
            ('$' | '`', _) => return None,
            ('\\', within) => match chars.next()? {
                '\n' => {}
                c if within.is_none() || matches!(c, '$' | '`' | '"' | '\\') => out.push(c),
                c => out.extend(['\\', c]),
            },
            ('~' | '*' | '?', None) => return None,
            (c, _) => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_an_assignment() {
        let text = r#"# A=0
export A="a b" B='c'; C=$(D=no; echo "x)") E=e cmd F=no
echo "
G=no" 'H=no'
if true; then I=${J:-K=no}; else L=a\ b; fi && M="$M more"
: "${N:=n}" ; for o in P=no; do Q+=q; done
cat <<X >f
R=no
X
S="it's \$1"
T='one
U=no
' V=v
f() { W=w; }
. ./more.env; [ -f "$Y" ] && source "$Y"
ünï=no Z=z
"#;
        let outline = Outline::of(text);
        let shown: Vec<String> =
            outline.assignments.iter().map(|a| format!("{}={}", a.name, a.literal.as_deref().unwrap_or("?"))).collect();
        assert_eq!(
            shown,
            [
                "A=a b",
                "B=c",
                "C=?",
                "E=e",
                "I=?",
                "L=a b",
                "M=?",
                "N=?",
                "Q=?",
                "S=it's $1",
                "T=one\nU=no\n",
                "V=v",
                "W=w"
            ]
        );
        let sources: Vec<&str> = outline.sources.iter().map(|(_, word)| word.as_str()).collect();
        assert_eq!(sources, ["./more.env", "\"$Y\""]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_to_an_end(text in "[A-Z=\"'`$(){}<>|&;\\\\\n ä#-]{0,60}") {
            for a in Outline::of(&text).assignments {
                assert!(text[a.at..].starts_with(&a.name) && text.get(a.value.0..a.value.1).is_some());
            }
        }
    }
}

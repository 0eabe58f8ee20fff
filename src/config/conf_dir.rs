//! Lists of folders as operators write them.

use std::path::{Component, Path, PathBuf};

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A folder.
    Path(String),
    /// An entry, or the rest of a line, that begins with `#`.
    Commented(String),
}

/// The entries of a list that is separated by blanks and line breaks.
pub fn entries(list: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for line in list.lines() {
        let mut words = line.split_ascii_whitespace();
        while let Some(word) = words.next() {
            if word == "#" {
                // `# ./a ./b` on a line: all of it is meant.
                entries.extend(words.by_ref().map(|w| Entry::Commented(format!("# {w}"))));
            } else if word.starts_with('#') {
                entries.push(Entry::Commented(word.to_owned()));
            } else {
                entries.push(Entry::Path(word.to_owned()));
            }
        }
    }
    entries
}

/// An absolute path without `.` and `..`, relative ones seen from `base`.
pub fn absolute(base: &Path, path: impl AsRef<Path>) -> PathBuf {
    let mut out = PathBuf::new();
    for part in base.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_with_comments() {
        let list = "\n ./a /b\n #./c ./d\n # ./e ./f\n#\n./g";
        let (mut paths, mut commented) = (vec![], vec![]);
        for entry in entries(list) {
            match entry {
                Entry::Path(p) => paths.push(p),
                Entry::Commented(p) => commented.push(p),
            }
        }
        assert_eq!(paths, ["./a", "/b", "./d", "./g"]);
        assert_eq!(commented, ["#./c", "# ./e", "# ./f"]);
    }

    #[test]
    fn spellings_of_one_folder() {
        for path in ["x", "./x", "/s/x/", "../s/x", "/s/./y/../x"] {
            assert_eq!(absolute(Path::new("/s"), path), Path::new("/s/x"), "{path}");
        }
    }
}

//! The folder of spools: one file per run, compressed when the run is over.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::spool::{self, Cursor, Record};
use crate::run::RunId;
use crate::store::disk;

const RAW: &str = "spool";
const PACKED: &str = "spool.gz";
/// What compression leaves when it is killed.
const LEFT: &str = ".new";

/// The folder of spools below a state dir.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
}

/// Which spools of finished runs stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// At most so many.
    pub count: usize,
    /// None older than this.
    pub age: Duration,
    /// At most so many bytes together.
    pub bytes: u64,
}

/// What was found in a spool that is to be continued.
#[derive(Debug)]
pub struct Found {
    /// Open at its end, the torn tail cut.
    pub file: File,
    /// Where following goes on.
    pub cursor: Cursor,
    /// Whether the output is complete.
    pub ended: bool,
    /// Bytes of output in it.
    pub bytes: u64,
}

impl Shelf {
    /// The spools of this state dir. Nothing is read or written yet.
    pub fn new(state_dir: &Path) -> Self {
        Self { folder: state_dir.join("spool") }
    }

    /// Where the spool of a run lies while it goes on.
    pub fn raw(&self, run: &RunId) -> PathBuf {
        self.folder.join(format!("{run}.{RAW}"))
    }

    /// Where it lies afterwards.
    pub fn packed(&self, run: &RunId) -> PathBuf {
        self.folder.join(format!("{run}.{PACKED}"))
    }

    /// Opens a run's spool for more: cuts the torn tail and hands each whole piece to `piece`.
    ///
    /// # Errors
    /// When the file can be neither read nor written.
    pub fn resume(&self, run: &RunId, mut piece: impl FnMut(&crate::engine::Frame)) -> Result<Found> {
        let path = self.raw(run);
        let about = || format!("failed to open the output {}", path.display());
        fs::create_dir_all(&self.folder).with_context(about)?;
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).with_context(about)?;
        let mut found = Found { file, cursor: Cursor::default(), ended: false, bytes: 0 };
        let mut good = 0;
        let mut from = BufReader::with_capacity(1 << 16, &found.file);
        while let Some((record, length)) = spool::read(&mut from).with_context(about)? {
            good += length;
            match record {
                Record::Piece(frame) => {
                    found.cursor.stored(&frame);
                    found.bytes += frame.bytes.len() as u64;
                    piece(&frame);
                }
                Record::End => {
                    found.ended = true;
                    break;
                }
            }
        }
        drop(from);
        found.file.set_len(good).with_context(about)?;
        found.file.seek(SeekFrom::Start(good)).with_context(about)?;
        Ok(found)
    }

    /// Compresses the spool of a run that is over. Done already is fine.
    ///
    /// # Errors
    /// When the folder cannot be written; the spool stays as it is then.
    pub fn pack(&self, run: &RunId) -> Result<()> {
        let (raw, packed) = (self.raw(run), self.packed(run));
        let about = || format!("failed to compress {}", raw.display());
        let mut from = match File::open(&raw) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).with_context(about),
        };
        disk::check_room(&from).with_context(about)?;
        let new = packed.with_extension("gz.new");
        let mut to = GzEncoder::new(BufWriter::new(File::create(&new).with_context(about)?), Compression::fast());
        io::copy(&mut from, &mut to).with_context(about)?;
        let file = to.finish().and_then(|buffer| buffer.into_inner().map_err(io::IntoInnerError::into_error));
        file.and_then(|file| file.sync_all()).with_context(about)?;
        fs::rename(&new, &packed).with_context(about)?;
        fail::fail_point!("run.renamed");
        fs::remove_file(&raw).with_context(about)
    }

    /// Opens a run's output for reading, `None` when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(&self, run: &RunId) -> Result<Option<Reader>> {
        for (path, packed) in [(self.raw(run), false), (self.packed(run), true)] {
            match File::open(&path) {
                Ok(file) if packed => {
                    return Ok(Some(Reader::Packed(Box::new(BufReader::new(MultiGzDecoder::new(file))))));
                }
                Ok(file) => return Ok(Some(Reader::Raw(BufReader::new(file)))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("failed to open {}", path.display())),
            }
        }
        Ok(None)
    }

    /// Runs whose spool is not compressed.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open_spools(&self) -> Result<Vec<RunId>> {
        let mut runs = Vec::new();
        self.each(|_, name| {
            if let Some(run) = name.strip_suffix(RAW).and_then(|name| name.strip_suffix('.')) {
                runs.push(RunId(run.to_owned()));
            }
            Ok(())
        })?;
        Ok(runs)
    }

    /// Removes the oldest compressed spools beyond what is kept, and leftovers of compression: call
    /// it from the thread that compresses.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn prune(&self, keep: Keep, now: SystemTime) -> Result<usize> {
        let mut gone = 0;
        let mut remove = |name: &str| {
            let path = self.folder.join(name);
            fs::remove_file(&path).with_context(|| format!("failed to remove {}", path.display()))?;
            gone += 1;
            anyhow::Ok(())
        };
        // There may be very many: of each only what is needed, and in few bytes.
        let mut packed: Vec<(SystemTime, u64, Box<str>)> = Vec::new();
        self.each(|entry, name| {
            if name.ends_with(LEFT) {
                remove(name)?;
            } else if let Some(run) = name.strip_suffix(PACKED) {
                let data = entry.metadata()?;
                packed.push((data.modified()?, data.len(), run.into()));
            }
            Ok(())
        })?;
        packed.sort_unstable_by_key(|(modified, ..)| std::cmp::Reverse(*modified));
        let mut bytes = 0;
        for (at, (modified, length, run)) in packed.iter().enumerate() {
            let old = now.duration_since(*modified).is_ok_and(|age| age > keep.age);
            bytes += length;
            if old || at >= keep.count || bytes > keep.bytes {
                remove(&format!("{run}{PACKED}"))?;
            }
        }
        Ok(gone)
    }

    /// Goes through the files. One that vanishes meanwhile is none.
    fn each(&self, mut visit: impl FnMut(&fs::DirEntry, &str) -> Result<()>) -> Result<()> {
        let about = || format!("failed to read {}", self.folder.display());
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).with_context(about),
        };
        for entry in entries {
            let entry = entry.with_context(about)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            match visit(&entry, name) {
                Err(error) if is_gone(&error) => {}
                answer => answer?,
            }
        }
        Ok(())
    }
}

fn is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Reads a run's output, of a finished run or beside its writer.
#[derive(Debug)]
pub enum Reader {
    /// The run may go on.
    Raw(BufReader<File>),
    /// The run is over.
    Packed(Box<BufReader<MultiGzDecoder<File>>>),
}

impl Reader {
    /// The next record; `None` when there is none yet (or, after the end, none any more).
    ///
    /// # Errors
    /// When the file cannot be read.
    #[allow(clippy::should_implement_trait, reason = "after `None` there may be more; an iterator promises otherwise")]
    pub fn next(&mut self) -> Result<Option<Record>> {
        match self {
            Self::Packed(from) => Ok(spool::read(from)?.map(|(record, _)| record)),
            Self::Raw(from) => {
                let start = from.stream_position()?;
                match spool::read(from)? {
                    Some((record, _)) => Ok(Some(record)),
                    None => {
                        // The writer may be in the middle of it: read it again from its beginning.
                        from.seek(SeekFrom::Start(start))?;
                        Ok(None)
                    }
                }
            }
        }
    }
}

/// Copies all output of one run, both streams as they came.
///
/// # Errors
/// When it cannot be read or written.
pub fn copy(reader: &mut Reader, to: &mut impl Write) -> Result<()> {
    while let Some(Record::Piece(frame)) = reader.next()? {
        to.write_all(&frame.bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Channel, Frame};

    fn run(id: &str) -> RunId {
        RunId(id.to_owned())
    }

    fn piece(time_ns: i64, text: &str) -> Record {
        Record::Piece(Frame { channel: Channel::Out, time_ns, bytes: text.as_bytes().to_vec() })
    }

    fn text(shelf: &Shelf, id: &str) -> String {
        let mut out = Vec::new();
        copy(&mut shelf.read(&run(id)).unwrap().unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_spool_goes_on_where_it_was_torn() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(dir.path());
        let mut found = shelf.resume(&run("a"), |_| panic!("it is new")).unwrap();
        spool::write(&mut found.file, &piece(1, "one\n")).unwrap();
        spool::write(&mut found.file, &piece(1, "two\n")).unwrap();
        found.file.write_all(b"torn").unwrap();
        let mut seen = 0;
        let mut found = shelf.resume(&run("a"), |_| seen += 1).unwrap();
        assert_eq!((seen, found.ended, found.bytes, found.cursor.since()), (2, false, 8, 0));
        spool::write(&mut found.file, &piece(2, "three\n")).unwrap();
        spool::write(&mut found.file, &Record::End).unwrap();
        assert!(shelf.resume(&run("a"), |_| {}).unwrap().ended);
        assert_eq!(text(&shelf, "a"), "one\ntwo\nthree\n");
        assert_eq!(shelf.open_spools().unwrap(), [run("a")]);
        shelf.pack(&run("a")).unwrap();
        shelf.pack(&run("a")).unwrap();
        assert_eq!(text(&shelf, "a"), "one\ntwo\nthree\n");
        assert_eq!(shelf.open_spools().unwrap(), []);
        assert!(shelf.read(&run("b")).unwrap().is_none());
    }

    #[test]
    fn a_reader_beside_the_writer_waits_for_whole_records() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(dir.path());
        let mut found = shelf.resume(&run("a"), |_| {}).unwrap();
        let mut bytes = Vec::new();
        spool::write(&mut bytes, &piece(1, "hello\n")).unwrap();
        let mut reader = shelf.read(&run("a")).unwrap().unwrap();
        for byte in &bytes {
            assert_eq!(reader.next().unwrap(), None);
            found.file.write_all(&[*byte]).unwrap();
        }
        assert_eq!(reader.next().unwrap(), Some(piece(1, "hello\n")));
        assert_eq!(reader.next().unwrap(), None);
    }

    #[test]
    fn the_oldest_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(dir.path());
        let now = SystemTime::now();
        for (id, age) in [("old", 50), ("mid", 30), ("new", 10)] {
            shelf.resume(&run(id), |_| {}).unwrap();
            shelf.pack(&run(id)).unwrap();
            let file = File::options().write(true).open(shelf.packed(&run(id))).unwrap();
            file.set_modified(now - Duration::from_secs(age)).unwrap();
        }
        shelf.resume(&run("going"), |_| {}).unwrap();
        let size = fs::metadata(shelf.packed(&run("old"))).unwrap().len();
        let all = Keep { count: 9, age: Duration::from_secs(99), bytes: 1 << 20 };
        assert_eq!(shelf.prune(all, now).unwrap(), 0);
        assert_eq!(shelf.prune(Keep { age: Duration::from_secs(40), ..all }, now).unwrap(), 1);
        assert!(shelf.read(&run("old")).unwrap().is_none());
        assert_eq!(shelf.prune(Keep { bytes: size, ..all }, now).unwrap(), 1);
        assert!(shelf.read(&run("mid")).unwrap().is_none());
        assert_eq!(shelf.prune(Keep { count: 0, ..all }, now).unwrap(), 1);
        assert_eq!(shelf.open_spools().unwrap(), [run("going")], "a run that goes on keeps its spool");
    }
}

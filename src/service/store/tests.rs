use std::path::Path;
use std::sync::atomic::AtomicU32;

use tokio::sync::mpsc;

use super::*;

/// A directory of its own that goes away with the test.
pub(in crate::service) struct TempDir(pub(in crate::service) PathBuf);

impl TempDir {
    pub(in crate::service) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        TempDir(std::env::temp_dir().join(format!("otus-demo-{}-{number}", std::process::id())))
    }

    /// The names of its files, sorted.
    pub(in crate::service) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn receive(store: &Store, steps: Vec<Step>) -> Result<Vec<Stored>, StoreError> {
    let (sender, receiver) = mpsc::channel(steps.len().max(1));
    for step in steps {
        sender.try_send(step).unwrap();
    }
    drop(sender);
    store.receive(receiver)
}

fn file(name: &str, text: &'static [u8]) -> Vec<Step> {
    vec![Step::Begin(name.to_owned()), Step::Data(Bytes::from_static(text)), Step::End]
}

#[test]
fn a_file_is_stored_with_its_length_and_hash() {
    let dir = TempDir::new();
    let store = Store::open(dir.0.clone()).unwrap();
    let mut steps = file("note.txt", b"abc");
    steps.push(Step::Finish);
    let stored = receive(&store, steps).unwrap();
    // The hash is the example of FIPS 180-4.
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let want = Stored {
        name: "note.txt".to_owned(),
        bytes: 3,
        sha256: sha256.to_owned(),
        path: dir.0.join("note.txt"),
    };
    assert_eq!(stored, [want]);
    assert_eq!(fs::read(dir.0.join("note.txt")).unwrap(), b"abc");
}

#[test]
fn a_name_that_is_taken_gets_a_number() {
    let dir = TempDir::new();
    let store = Store::open(dir.0.clone()).unwrap();
    let mut steps = [file("a.txt", b"1"), file("a.txt", b"2"), file("a.txt", b"3")].concat();
    steps.push(Step::Finish);
    let stored = receive(&store, steps).unwrap();
    let texts: Vec<_> = stored.iter().map(|file| fs::read(&file.path).unwrap()).collect();
    assert_eq!(texts, [b"1", b"2", b"3"]);
    assert_eq!(dir.names().len(), 3);
    assert!(dir.names().iter().all(|name| name.starts_with('a') && name.contains(".txt")));
}

#[test]
fn a_file_that_stays_incomplete_is_removed() {
    let dir = TempDir::new();
    let store = Store::open(dir.0.clone()).unwrap();
    let mut steps = file("whole", b"1");
    steps.extend([Step::Begin("half".to_owned()), Step::Data(Bytes::from_static(b"2"))]);
    assert!(matches!(receive(&store, steps), Err(StoreError::Left)));
    assert_eq!(dir.names(), ["whole"]);
}

#[test]
fn a_directory_that_takes_nothing_is_a_fault_of_the_disk() {
    let dir = TempDir::new();
    let store = Store::open(dir.0.clone()).unwrap();
    fs::remove_dir_all(&dir.0).unwrap();
    let result = receive(&store, file("a", b"1"));
    assert!(matches!(result, Err(StoreError::Disk(_))));
}

#[test]
fn names_of_clients_cannot_leave_the_directory() {
    for (name, stem, extension) in [
        ("big.iso", "big", ".iso"),
        ("a.tar.gz", "a.tar", ".gz"),
        ("../../etc/passwd", "passwd", ""),
        ("..\\..\\boot.ini", "boot", ".ini"),
        ("/", "upload", ".bin"),
        ("", "upload", ".bin"),
        ("..", "upload", ".bin"),
        (".bashrc", "bashrc", ""),
        ("a b\n;$(x).txt", "a_b____x_", ".txt"),
        ("naïve.txt", "na_ve", ".txt"),
    ] {
        let (got_stem, got_extension) = safe_name(name);
        assert_eq!((got_stem.as_str(), got_extension.as_str()), (stem, extension), "{name}");
        let whole = format!("{got_stem}{got_extension}");
        assert_eq!(Path::new(&whole).file_name().unwrap().to_str(), Some(whole.as_str()));
    }
    let (stem, extension) = safe_name(&"x".repeat(1000));
    assert_eq!((stem.len(), extension.as_str()), (NAME_CHARACTERS_MAX, ""));
}

//! Facts about encrypted values, and about files that are changed while the power may go.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use super::change::{Fate, Files, Plan, rotation, takeover};
use super::key::{AesKey, Keys, NEXT, OLD};
use super::sealed::{Fault, is_sealed, open, open_former, seal};
use super::sheet::spots;
use super::steps::{Disk, Step, beside, perform};

const SETTINGS: &str = "/here/settings.toml";
const KEY: &str = "/etc/gufo/secret.key";

/// Random bytes that are none, and others each time.
fn counting() -> impl FnMut(&mut [u8]) -> bool {
    static SEED: AtomicU8 = AtomicU8::new(0);
    let mut next = SEED.fetch_add(1, Ordering::Relaxed);
    move |bytes| {
        for byte in bytes {
            next = next.wrapping_add(7);
            *byte = next;
        }
        true
    }
}

fn key(bytes: &[u8]) -> AesKey {
    AesKey::parse(bytes).unwrap()
}

#[test]
fn a_key_is_its_bytes_or_a_line_with_a_prefix() {
    for bytes in [&b" 234567890123456"[..], b"123456789012345\n", &[b'k'; 24], &[0; 32]] {
        assert_eq!(key(bytes).bytes(), bytes, "nothing is trimmed off a key");
    }
    assert_eq!(key(b"1234567890123456\n").bytes(), b"1234567890123456");
    assert_eq!(key(b"1234567890123456\r\n").bytes(), b"1234567890123456");
    let new = AesKey::generate(&mut counting()).unwrap();
    assert_eq!((new.bytes().len(), key(new.text().as_bytes()) == new), (32, true));
    assert_eq!(key(new.text().trim_end().as_bytes()), new);
    for (bad, want) in [
        (&b""[..], "it has 0 bytes"),
        (b"12345678901234567", "it has 17 bytes"),
        (b"otus-aes-key:AAAA", "what follows its prefix"),
    ] {
        assert!(AesKey::parse(bad).unwrap_err().starts_with(want));
    }
    assert_eq!(format!("{new:?}"), format!("AesKey({})", new.id()));
}

#[test]
fn values_of_others_are_read() {
    // Made by other programs (node and openssl), without the id of a key.
    let keys = [key(&(0..16).collect::<Vec<u8>>()), key(&[b'k'; 24]), key(&[b'k'; 32])];
    for (value, nth) in [
        ("$2a##ZGVmZ2hpamtsbW5vchcg0b5wihQF7MAfSq3GYH3RsbmCVyk=", 0),
        ("$2a##ZGVmZ2hpamtsbW5vMN3jeYwVU38e9ds9KTM+trhGGZbahEU=", 1),
        ("$2a##ZGVmZ2hpamtsbW5vqPyMXJLDKfIFpc0quEC2amfEX3ORnYQ=", 2),
    ] {
        assert_eq!(open(keys.iter(), value), Ok(("hunter2".to_owned(), &keys[nth])));
        let others = keys.iter().filter(|key| **key != keys[nth]);
        assert_eq!(open(others, value), Err(Fault::Key("64656667".to_owned())));
        assert_eq!(open_former(&keys[nth], value), None);
    }
    let long = "pässword-with-more-than-16";
    for (value, nth, plain) in [
        ("$2a##EBESExQVFhcYGRobHB0eH2-LgQCEpzFnmQfnGIedm5o", 0, "hunter2"),
        ("$2a##EBESExQVFhcYGRobHB0eH2-LgQCEpzFnmQfnGIedm5o=", 0, "hunter2"),
        ("$2a##-__7__v_-__7__v_-__7__mAoAUUBrf4whInRRlSIvEh2WC-ANMkxMpvurdWJdp7", 1, long),
        ("$2a##-__7__v_-__7__v_-__7_8bhm0llifa4iSIwVd0PuI_iSQpyKQEqclE5RyR57b6k", 2, long),
    ] {
        assert_eq!(open_former(&keys[nth], value).as_deref(), Some(plain));
        assert_eq!(open_former(&key(&[9; 16]), value), None, "another key");
        assert!(open(keys.iter(), value).is_err());
    }
}

#[test]
fn what_was_sealed_says_its_key_and_a_changed_byte_is_noticed() {
    let (own, other) = (key(&[1; 16]), key(&[2; 32]));
    let value = seal(&own, "gehöim", &mut counting()).unwrap();
    assert!(is_sealed(&value));
    assert_eq!(open([&other, &own].into_iter(), &value), Ok(("gehöim".to_owned(), &own)));
    assert_eq!(open([&other].into_iter(), &value), Err(Fault::Key(own.id())));
    for at in 5..value.len() {
        let mut bytes = value.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(open([&own].into_iter(), &changed).is_err(), "byte {at}");
    }
    for broken in ["$2a##", "$2a##AAAA", "$2a##!", "AAAA"] {
        assert_eq!(open([&own].into_iter(), broken), Err(Fault::Broken));
    }
    assert_eq!(seal(&own, "x", &mut |_| false), None);
}

/// Files that lose at a power cut what was not waited for; it comes before this many more steps.
#[derive(Clone, Default)]
struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
    on_disk: BTreeMap<PathBuf, Vec<u8>>,
    left: usize,
    /// Whether the process is gone then, and cleans nothing up.
    killed: bool,
}

impl Memory {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let own = files.iter().map(|(path, bytes)| (PathBuf::from(path), bytes.to_vec()));
        let files: BTreeMap<_, _> = own.collect();
        Memory { on_disk: files.clone(), files, left: usize::MAX, killed: false }
    }

    fn step(&mut self) -> io::Result<()> {
        if self.left == 0 {
            return Err(io::Error::other("no more"));
        }
        self.left -= 1;
        Ok(())
    }

    fn text(&self, path: &str) -> String {
        String::from_utf8(self.files[Path::new(path)].clone()).unwrap()
    }

    /// What `Source::read` finds.
    fn keys(&self) -> Keys {
        let mut keys = Keys::default();
        for path in [PathBuf::from(KEY), beside(Path::new(KEY), NEXT)] {
            if let Some(bytes) = self.files.get(&path) {
                keys.add(&path.display().to_string(), bytes);
            }
        }
        keys
    }

    fn plan(
        &self,
        make: impl Fn(&Files<'_>, &Keys) -> Result<Plan, String>,
    ) -> Result<Plan, String> {
        let text = self.text(SETTINGS);
        let settings = Path::new(SETTINGS);
        let key_bytes = self.files.get(Path::new(KEY)).map(Vec::as_slice);
        let files = Files { settings, text: &text, key: Path::new(KEY), key_bytes, out: settings };
        make(&files, &self.keys())
    }
}

impl Disk for Memory {
    fn write(&mut self, path: &Path, bytes: &[u8], _: Option<&Path>) -> io::Result<()> {
        let stepped = self.step();
        let half = if stepped.is_ok() { bytes.len() } else { bytes.len() / 2 };
        self.files.insert(path.to_owned(), bytes[..half].to_vec());
        stepped
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let bytes = self.files.remove(from).expect("a file to rename");
        self.files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn sync(&mut self, directory: &Path) -> io::Result<()> {
        self.step()?;
        let here = |path: &PathBuf| path.parent() == Some(directory);
        self.on_disk.retain(|path, _| !here(path));
        let files = self.files.iter().filter(|(path, _)| here(path));
        self.on_disk.extend(files.map(|(path, bytes)| (path.clone(), bytes.clone())));
        Ok(())
    }

    fn remove(&mut self, path: &Path) {
        if !self.killed {
            self.files.remove(path);
        }
    }
}

const TEXT: &str = "# above\n[server]\nsign = SIGN   # beside\r\n[x-mine] # free\n\
                    list = [\"a\", LIST]\n[microservices.abc]\n# below\n\
                    [microservices.abc]\nx = { y = 'HOST' }\n# end";

/// The settings with three values of a key.
fn sealed_text(key: &AesKey) -> String {
    let mut random = counting();
    let mut value = |plain: &str| seal(key, plain, &mut random).unwrap();
    let text = TEXT.replace("SIGN", &format!("\"{}\"", value("sign")));
    text.replace("LIST", &format!("\"{}\"", value("in a list"))).replace("HOST", &value("host"))
}

/// What all encrypted values say; `None` if one cannot be read.
fn plain(text: &str, keys: &Keys) -> Option<Vec<String>> {
    let sealed = spots(text)?.into_iter().filter(|spot| is_sealed(&spot.text));
    sealed.map(|spot| open(keys.all(), &spot.text).ok().map(|(text, _)| text)).collect()
}

fn rotate(memory: &Memory) -> Result<Plan, String> {
    memory.plan(|files, keys| rotation(files, keys, &mut counting()))
}

#[track_caller]
fn is_rotated(memory: &Memory) {
    let mut keys = Keys::default();
    keys.add("alone", &memory.files[Path::new(KEY)]);
    let text = memory.text(SETTINGS);
    assert_eq!(plain(&text, &keys).unwrap(), ["sign", "in a list", "host"]);
    let bare = |text: &str| {
        let mut bare = text.to_owned();
        for spot in spots(text).unwrap().iter().rev().filter(|spot| is_sealed(&spot.text)) {
            bare.replace_range(spot.span.clone(), "?");
        }
        bare
    };
    assert_eq!(bare(&text), TEXT.replace("'HOST'", "?").replace("SIGN", "?").replace("LIST", "?"));
    let names: Vec<_> = memory.files.keys().map(|path| path.display().to_string()).collect();
    assert_eq!(names, [KEY.to_owned(), format!("{KEY}{OLD}"), SETTINGS.to_owned()]);
}

#[test]
fn a_rotation_gives_all_values_the_new_key_and_changes_nothing_else() {
    let old = key(b"0123456789abcdef");
    let text = sealed_text(&old);
    let mut memory = Memory::new(&[(SETTINGS, text.as_bytes()), (KEY, old.bytes())]);
    let plan = rotate(&memory).unwrap();
    let told: Vec<_> = plan.told.iter().map(|told| (told.line, told.key.as_str())).collect();
    assert_eq!(told, [(3, "server.sign"), (5, "x-mine.list"), (9, "microservices.abc.x.y")]);
    assert!(plan.told.iter().all(|told| told.fate == Fate::Renewed));
    perform(&plan.steps, &mut memory).unwrap();
    is_rotated(&memory);
    assert_eq!(memory.files[&beside(Path::new(KEY), OLD)], old.bytes());
    assert_eq!(key(&memory.files[Path::new(KEY)]).id(), plan.key);
    assert!(!memory.text(SETTINGS).contains(&old.id()));
}

/// Runs `after` for every place where `plan` may be cut off, and for what is left then: with the
/// process gone, with the power gone, and with an error that was answered.
fn at_every_step(memory: &Memory, plan: &Plan, after: impl Fn(Memory, &str)) {
    for left in 0..=plan.steps.len() {
        let cut = Memory { left, killed: true, ..memory.clone() };
        let mut killed = cut.clone();
        assert_eq!(perform(&plan.steps, &mut killed).is_ok(), left == plan.steps.len());
        let mut dark = killed.clone();
        dark.files.clone_from(&dark.on_disk);
        let mut failed = Memory { killed: false, ..cut };
        let _ = perform(&plan.steps, &mut failed);
        // What a process left that was killed before is another matter.
        let temporary = |path: &&PathBuf| path.extension().is_some_and(|end| end == "new");
        let mut left_over = failed.files.keys().filter(temporary);
        assert!(left_over.all(|path| memory.files.contains_key(path)), "after step {left}");
        for (state, what) in [(killed, "killed"), (dark, "dark"), (failed, "failed")] {
            let state = Memory { left: usize::MAX, on_disk: state.files.clone(), ..state };
            after(state, &format!("{what} after {left} steps"));
        }
    }
}

#[test]
fn wherever_a_rotation_ends_the_file_can_be_read_and_the_next_one_finishes() {
    let old = key(b"0123456789abcdef");
    let text = sealed_text(&old);
    let memory = Memory::new(&[(SETTINGS, text.as_bytes()), (KEY, old.bytes())]);
    at_every_step(&memory, &rotate(&memory).unwrap(), |mut state, when| {
        let read = plain(&state.text(SETTINGS), &state.keys());
        assert_eq!(read.as_deref().map(<[_]>::len), Some(3), "{when}");
        // And so it is wherever the next one ends, and the one after that.
        let again = rotate(&state).unwrap();
        at_every_step(&state, &again, |mut state, then| {
            let read = plain(&state.text(SETTINGS), &state.keys());
            assert_eq!(read.as_deref().map(<[_]>::len), Some(3), "{when}, {then}");
            perform(&rotate(&state).unwrap().steps, &mut state).unwrap();
        });
        perform(&again.steps, &mut state).unwrap();
        state.files.retain(|path, _| path.extension().is_none_or(|end| end != "new"));
        is_rotated(&state);
    });
}

#[test]
fn a_value_that_cannot_be_read_stops_everything() {
    let text = format!("{}\nmine = \"$2a##AAAA\"\n", sealed_text(&key(&[5; 16])));
    let memory = Memory::new(&[(SETTINGS, text.as_bytes()), (KEY, &[6; 16])]);
    let faults = rotate(&memory).err().unwrap();
    assert_eq!(faults.lines().count(), 4, "{faults}");
    assert!(faults.contains("line 3: `server.sign` is encrypted with another key"), "{faults}");
    assert!(faults.contains("`microservices.abc.mine` is encrypted and broken"), "{faults}");
    let memory = Memory::new(&[(SETTINGS, b"a = \"b\nc = 1"), (KEY, &[6; 16])]);
    assert_eq!(rotate(&memory).err().unwrap(), "it is no TOML; `otus check` tells where");
}

#[test]
fn older_values_and_passwords_are_taken_over_wherever_it_ends() {
    let text = "[database] # mine\npassword = 'readable' # p\nport = \"3306\"\n[email]\n\
                password = \"\"\n[token]\nsecretKey = \
                \"$2a##EBESExQVFhcYGRobHB0eH2-LgQCEpzFnmQfnGIedm5o\"\n";
    let memory = Memory::new(&[(SETTINGS, text.as_bytes())]);
    let former = [key(&(0..16).collect::<Vec<u8>>())];
    let take = |memory: &Memory| {
        memory.plan(|files, keys| takeover(files, keys, &former, &mut counting()))
    };
    let plan = take(&memory).unwrap();
    let told: Vec<_> = plan.told.iter().map(ToString::to_string).collect();
    let want = [
        "    2  database.password: was readable, is encrypted",
        "    7  token.secretKey: was AES-CFB, is AES-GCM",
    ];
    assert_eq!(told, want);
    let values = ["readable".to_owned(), "hunter2".to_owned()];
    at_every_step(&memory, &plan, |mut state, when| {
        let now = state.text(SETTINGS);
        let is_done = plain(&now, &state.keys()).is_some_and(|read| read == values);
        assert!(now == text || is_done, "{when}: {now}");
        perform(&take(&state).unwrap().steps, &mut state).unwrap();
        assert_eq!(plain(&state.text(SETTINGS), &state.keys()).unwrap(), values, "{when}");
        let again = take(&state).unwrap();
        assert!(again.steps.is_empty() && again.told.iter().all(|told| told.fate == Fate::Kept));
    });
    let faults = memory.plan(|files, keys| takeover(files, keys, &[], &mut counting()));
    let faults = faults.err().unwrap();
    assert!(faults.contains("line 7: `token.secretKey` is encrypted"), "{faults}");
}

#[test]
fn what_is_written_is_seen_by_its_owner_alone_or_has_the_rights_of_the_settings() {
    let old = key(b"0123456789abcdef");
    let text = sealed_text(&old);
    let memory = Memory::new(&[(SETTINGS, text.as_bytes()), (KEY, old.bytes())]);
    for step in rotate(&memory).unwrap().steps {
        if let Step::Write { path, like, .. } = step {
            let is_settings = path.starts_with("/here");
            assert_eq!(like.as_deref(), is_settings.then_some(Path::new(SETTINGS)));
        }
    }
}

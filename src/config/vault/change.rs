//! What becomes of the encrypted values of a settings file: another key, or the format of today.
//!
//! A plan is all or nothing: one value that cannot be read, and there is none. Its steps are in an
//! order that keeps the file readable wherever they end. While a key is changed, there are two:
//! the file named by `security.aes_key_file`, and beside it the next one, which takes its place in
//! the last step; `Source::read` reads both.

use std::fmt;
use std::path::Path;

use super::key::{AesKey, Keys, NEXT, OLD};
use super::sealed::{self, Fault};
use super::sheet::{self, Spot};
use super::steps::{Step, beside, rename, replace};

/// Random bytes; `false`: there are none.
pub type Random<'a> = dyn FnMut(&mut [u8]) -> bool + 'a;

/// The files that are changed.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The settings file; no symbolic link, as what it names is replaced.
    pub settings: &'a Path,
    /// Its text.
    pub text: &'a str,
    /// The key file.
    pub key: &'a Path,
    /// What it holds now.
    pub key_bytes: Option<&'a [u8]>,
    /// Where the settings are written: `settings`, or another file.
    pub out: &'a Path,
}

/// What is to be done, and what that means for each value.
pub struct Plan {
    /// In their order; none: nothing has to be done.
    pub steps: Vec<Step>,
    /// What becomes of each value.
    pub told: Vec<Told>,
    /// The id of the key that all values have then.
    pub key: String,
}

/// What becomes of a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// Its line.
    pub line: usize,
    /// Its key.
    pub key: String,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It was encrypted, and is with the new key.
    Renewed,
    /// It was encrypted as older installations do.
    Converted,
    /// It could be read by all.
    Encrypted,
    /// It is as it should be.
    Kept,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fate = match self.fate {
            Fate::Renewed => "has the new key",
            Fate::Converted => "was AES-CFB, is AES-GCM",
            Fate::Encrypted => "was readable, is encrypted",
            Fate::Kept => "kept",
        };
        write!(f, "{:>5}  {}: {fate}", self.line, self.key)
    }
}

/// The keys whose values are encrypted when settings are taken over (SPEC 16.1).
const PASSWORDS: [&str; 2] = ["database.password", "email.password"];
const NO_RANDOM: &str = "the kernel gave no random bytes";
const UNSOUND: &str = "what would be written cannot be read again; nothing was changed";

/// Gives all encrypted values a new key. The faults name every value that cannot be read.
pub fn rotation(files: &Files<'_>, keys: &Keys, random: &mut Random<'_>) -> Result<Plan, String> {
    let next_path = beside(files.key, NEXT);
    let mut steps = Vec::new();
    let new = AesKey::generate(random).ok_or(NO_RANDOM)?;
    let mut needs_next = false;
    let next = keys.at(&next_path.display().to_string());
    let current = keys.at(&files.key.display().to_string());
    let (text, told) = rewrite(files.text, random, &mut |spot, random| {
        if !sealed::is_sealed(&spot.text) {
            return Ok(None);
        }
        let (plain, with) = sealed::open(keys.all(), &spot.text).map_err(|f| unopened(&f, keys))?;
        needs_next |= Some(with) == next && Some(with) != current;
        let value = sealed::seal(&new, &plain, random).ok_or(NO_RANDOM)?;
        Ok(Some((Fate::Renewed, Some(value))))
    })?;
    let mut old = files.key_bytes.map(<[u8]>::to_vec);
    if let (true, Some(next)) = (needs_next, next) {
        // A change was interrupted when the settings had their new values: it is finished first.
        if let Some(old) = &old {
            steps.extend(replace(&beside(files.key, OLD), old, None));
        }
        steps.extend(rename(&next_path, files.key));
        old = Some(next.text().into_bytes());
    }
    steps.extend(replace(&next_path, new.text().as_bytes(), None));
    if text != files.text {
        verify(files.text, keys, &text, &new)?;
        steps.extend(replace(files.out, text.as_bytes(), Some(files.settings)));
    }
    if let Some(old) = &old {
        steps.extend(replace(&beside(files.key, OLD), old, None));
    }
    steps.extend(rename(&next_path, files.key));
    Ok(Plan { steps, told, key: new.id() })
}

/// Writes values of older installations anew, and encrypts passwords that all can read. Without a
/// key one is made. `former` are keys that older values may have, besides `keys`.
pub fn takeover(
    files: &Files<'_>,
    keys: &Keys,
    former: &[AesKey],
    random: &mut Random<'_>,
) -> Result<Plan, String> {
    let mut steps = Vec::new();
    let key = if let Some((_, key)) = keys.first() {
        key.clone()
    } else {
        let key = AesKey::generate(random).ok_or(NO_RANDOM)?;
        steps.extend(replace(files.key, key.text().as_bytes(), None));
        key
    };
    let (text, told) = rewrite(files.text, random, &mut |spot, random| {
        let mut renew = |fate, plain: &str| {
            let value = sealed::seal(&key, plain, random).ok_or(NO_RANDOM)?;
            Ok(Some((fate, Some(value))))
        };
        if !sealed::is_sealed(&spot.text) {
            let is_password = PASSWORDS.contains(&spot.key.as_str()) && !spot.text.is_empty();
            return if is_password { renew(Fate::Encrypted, &spot.text) } else { Ok(None) };
        }
        let Err(fault) = sealed::open(keys.all(), &spot.text) else {
            return Ok(Some((Fate::Kept, None)));
        };
        let mut all = former.iter().chain(keys.all());
        match all.find_map(|key| sealed::open_former(key, &spot.text)) {
            Some(plain) => renew(Fate::Converted, &plain),
            None => Err(unopened(&fault, keys)),
        }
    })?;
    let opens = |spot: &Spot| {
        let keys = keys.all().chain([&key]);
        !sealed::is_sealed(&spot.text) || sealed::open(keys, &spot.text).is_ok()
    };
    if !sheet::spots(&text).is_some_and(|spots| spots.iter().all(opens)) {
        return Err(UNSOUND.to_owned());
    }
    if text == files.text && files.out == files.settings {
        steps.clear();
    } else {
        steps.extend(replace(files.out, text.as_bytes(), Some(files.settings)));
    }
    Ok(Plan { steps, told, key: key.id() })
}

/// What becomes of a value, and what is written in its place, if anything is.
type Verdict = Result<Option<(Fate, Option<String>)>, String>;

/// Writes texts of a file anew; tells what became of each that is told of.
fn rewrite(
    text: &str,
    random: &mut Random<'_>,
    judge: &mut dyn FnMut(&Spot, &mut Random<'_>) -> Verdict,
) -> Result<(String, Vec<Told>), String> {
    let spots = sheet::spots(text).ok_or("it is no TOML; `otus check` tells where")?;
    let (mut told, mut changes, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for spot in spots {
        match judge(&spot, random) {
            Ok(None) => {}
            Ok(Some((fate, value))) => {
                changes.extend(value.map(|value| (spot.span, value)));
                told.push(Told { line: spot.line, key: spot.key, fate });
            }
            Err(why) => faults.push(format!("line {}: `{}` {why}", spot.line, spot.key)),
        }
    }
    if faults.is_empty() {
        Ok((sheet::replaced(text, &changes), told))
    } else {
        Err(faults.join("\n"))
    }
}

/// Whether the file that is to be written says what the one before says: never trusted, always
/// looked at, since the key before is about to go.
fn verify(before: &str, keys: &Keys, after: &str, new: &AesKey) -> Result<(), String> {
    let plain = |text: &str, keys: &[&AesKey]| -> Option<Vec<(String, String)>> {
        let spots = sheet::spots(text)?.into_iter().map(|Spot { key, text, .. }| {
            if !sealed::is_sealed(&text) {
                return Some((key, text));
            }
            let opened = sealed::open(keys.iter().copied(), &text).ok();
            opened.map(|(text, _)| (key, text))
        });
        spots.collect()
    };
    let all: Vec<_> = keys.all().collect();
    match (plain(before, &all), plain(after, &[new])) {
        (Some(before), Some(after)) if before == after => Ok(()),
        _ => Err(UNSOUND.to_owned()),
    }
}

/// Why a value cannot be opened, behind its key.
#[must_use]
pub fn unopened(fault: &Fault, keys: &Keys) -> String {
    match fault {
        Fault::Broken => "is encrypted and broken: no base64 of 28 bytes or more".to_owned(),
        Fault::NoText => "is encrypted, and holds no text".to_owned(),
        Fault::Key(_) if keys.first().is_none() => {
            format!("is encrypted, and there is no key: {}", keys.shown())
        }
        Fault::Key(id) => {
            format!("is encrypted with another key (id {id}, if it has one) than {}", keys.shown())
        }
    }
}

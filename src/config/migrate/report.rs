//! What became of each key of a file that was migrated.

use std::fmt;

/// What became of all keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// In the order of the file.
    pub entries: Vec<Entry>,
}

/// What became of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The line that it was written in; 0: nobody wrote it.
    pub line: usize,
    /// As it was written: `routes[1].match.path_prefix`.
    pub key: String,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It means what it did, under another name.
    Renamed(String),
    /// It means what it did, with a difference that should be known.
    Changed(String, &'static str),
    /// There is nothing like it, for this reason.
    Unsupported(&'static str),
}

/// What keeps a file from being migrated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flaw {
    /// The line; 0: the file as a whole.
    pub line: usize,
    /// What is wrong, without any value that may be a secret.
    pub message: String,
}

impl Report {
    pub(super) fn add(&mut self, line: usize, key: String, fate: Fate) {
        self.entries.push(Entry { line, key, fate });
    }

    /// In the order of the lines.
    pub(super) fn sort(&mut self) {
        self.entries.sort_by(|a, b| a.line.cmp(&b.line).then_with(|| a.key.cmp(&b.key)));
    }

    /// How many keys have nothing like them.
    #[must_use]
    pub fn unsupported(&self) -> usize {
        let lost = |entry: &&Entry| matches!(entry.fate, Fate::Unsupported(_));
        self.entries.iter().filter(lost).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { line, key, fate } in &self.entries {
            let line = if *line == 0 { "-".to_owned() } else { line.to_string() };
            match fate {
                Fate::Renamed(to) if to == key => writeln!(f, "{line:>5}  kept          {key}"),
                Fate::Renamed(to) => writeln!(f, "{line:>5}  renamed       {key} → {to}"),
                Fate::Changed(to, why) => {
                    writeln!(f, "{line:>5}  renamed       {key} → {to}: {why}")
                }
                Fate::Unsupported(why) => writeln!(f, "{line:>5}  not supported {key}: {why}"),
            }?;
        }
        let lost = self.unsupported();
        writeln!(
            f,
            "{} keys: {} migrated, {lost} not supported",
            self.entries.len(),
            self.entries.len() - lost
        )
    }
}

//! What is wrong with a configuration, told with its place and a way out.

use std::fmt;

use super::place::Place;

/// The kind of a finding: a stable number, listed in `docs/config.md`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Code {
    /// The text is not TOML, or not YAML where that is read.
    Syntax,
    /// A key that means nothing.
    UnknownKey,
    /// A value of another type.
    WrongType,
    /// A duration or size without its unit.
    NoUnit,
    /// A value outside its range.
    OutOfRange,
    /// A value that cannot be read as what the key means.
    Malformed,
    /// The file cannot be read, is too long, or is not UTF-8.
    Unreadable,
    /// A value is needed and there is none.
    Missing,
    /// A value that this version does not serve, and that cannot be passed over safely.
    ComesLater,
    /// Two values that do not go together.
    Contradiction,
    /// A name that nothing has.
    Dangling,
    /// Keys that are accepted and have no effect yet.
    NoEffect,
    /// A variable that looks like ours and means nothing.
    UnknownVariable,
    /// A table that is written twice, or a key that is given two values.
    Twice,
    /// A variable that the configuration names is not set.
    VariableUnset,
    /// A host name does not resolve now.
    Unresolved,
    /// A setting that is easy to abuse.
    Risky,
    /// A certificate that is not good now, or not for long.
    Expiry,
    /// Keys of Gufo's services, which nothing here uses.
    Kept,
    /// A name that older installations use.
    OldName,
}

impl Code {
    /// All of them, in the order of their numbers.
    pub const ALL: [Code; 20] = [
        Code::Syntax,
        Code::UnknownKey,
        Code::WrongType,
        Code::NoUnit,
        Code::OutOfRange,
        Code::Malformed,
        Code::Unreadable,
        Code::Missing,
        Code::ComesLater,
        Code::Contradiction,
        Code::Dangling,
        Code::NoEffect,
        Code::UnknownVariable,
        Code::Twice,
        Code::VariableUnset,
        Code::Unresolved,
        Code::Risky,
        Code::Expiry,
        Code::Kept,
        Code::OldName,
    ];

    /// As it is printed: `OT0104`. 01xx: a value; 02xx: values together; 03xx: warnings.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Code::Syntax => "OT0101",
            Code::UnknownKey => "OT0102",
            Code::WrongType => "OT0103",
            Code::NoUnit => "OT0104",
            Code::OutOfRange => "OT0105",
            Code::Malformed => "OT0106",
            Code::Unreadable => "OT0107",
            Code::Missing => "OT0201",
            Code::ComesLater => "OT0202",
            Code::Contradiction => "OT0203",
            Code::Dangling => "OT0204",
            Code::NoEffect => "OT0301",
            Code::UnknownVariable => "OT0302",
            Code::Twice => "OT0303",
            Code::VariableUnset => "OT0304",
            Code::Unresolved => "OT0305",
            Code::Risky => "OT0306",
            Code::Expiry => "OT0307",
            Code::Kept => "OT0308",
            Code::OldName => "OT0309",
        }
    }

    /// What it means, in one line for `docs/config.md`.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Code::Syntax => "the text is not TOML, or not YAML where that is read",
            Code::UnknownKey => "a key that means nothing; a similar one is named",
            Code::WrongType => "a value of another type",
            Code::NoUnit => "a duration or size without its unit",
            Code::OutOfRange => "a value outside its range",
            Code::Malformed => "a value that cannot be read as what the key means",
            Code::Unreadable => "the file cannot be read, is too long, or is not UTF-8",
            Code::Missing => "a value is needed and there is none",
            Code::ComesLater => "not served by this version, and not safe to pass over",
            Code::Contradiction => "two values that do not go together",
            Code::Dangling => "a name that nothing has",
            Code::NoEffect => "warning: accepted, without effect yet",
            Code::UnknownVariable => "warning: a variable that looks like ours and means nothing",
            Code::Twice => "warning: written twice; what comes later wins",
            Code::VariableUnset => "warning: a variable that the configuration names is not set",
            Code::Unresolved => "warning: a host name does not resolve now",
            Code::Risky => "warning: a setting that is easy to abuse",
            Code::Expiry => "warning: a certificate is not good now, or not for long",
            Code::Kept => "warning: kept for Gufo's services, not used by Otus",
            Code::OldName => "warning: a name that older installations use; it is read",
        }
    }

    /// Whether it keeps a configuration from being used. The others are warnings.
    #[must_use]
    pub fn is_fault(self) -> bool {
        self < Code::NoEffect
    }
}

/// One thing that is wrong, or worth knowing, about a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Its kind.
    pub code: Code,
    /// Where it is.
    pub place: Place,
    /// What is wrong, on one line. Never holds a secret.
    pub message: String,
    /// What to write instead, on one line.
    pub way_out: String,
}

impl Finding {
    /// On one line for a log: place, code, message, way out.
    #[must_use]
    pub fn line(&self) -> String {
        let Finding { code, place, message, way_out } = self;
        format!("{place}: {}: {message}; {way_out}", code.text())
    }
}

/// In the style of a compiler, with the line and a caret, over several lines.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grade = if self.code.is_fault() { "error" } else { "warning" };
        writeln!(f, "{}: {grade}[{}]: {}", self.place, self.code.text(), self.message)?;
        match self.place.snippet() {
            Some(snippet) => snippet.write(f, &self.way_out),
            None => writeln!(f, "   = {}", self.way_out),
        }
    }
}

/// Everything that keeps a configuration from being used; at least one finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Faults(Vec<Finding>);

impl Faults {
    /// The faults among the findings, in the order of their places; `Err` gives back warnings
    /// when there are no faults.
    pub(super) fn sift(mut findings: Vec<Finding>) -> Result<Faults, Vec<Finding>> {
        findings.sort_by(|a, b| a.place.order().cmp(&b.place.order()));
        if findings.iter().any(|finding| finding.code.is_fault()) {
            findings.retain(|finding| finding.code.is_fault());
            Ok(Faults(findings))
        } else {
            Err(findings)
        }
    }

    /// One fault alone.
    pub(super) fn one(finding: Finding) -> Faults {
        Faults(vec![finding])
    }

    /// The faults, in the order of their places.
    #[must_use]
    pub fn list(&self) -> &[Finding] {
        &self.0
    }

    /// `3 faults`.
    #[must_use]
    pub fn count_text(&self) -> String {
        match self.0.len() {
            1 => "1 fault".to_owned(),
            n => format!("{n} faults"),
        }
    }

    /// One line for each fault, for a log.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(Finding::line)
    }
}

/// In the style of a compiler. What became of the running configuration is for the caller to say.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|finding| write!(f, "{finding}"))?;
        writeln!(f, "{}; nothing was changed", self.count_text())
    }
}

impl std::error::Error for Faults {}

//! Where something was written, and how that place is shown. Secrets are masked here.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

/// Characters of a source line that are shown at most.
const SHOWN_MAX: usize = 160;

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// These bytes of the settings file.
    Settings(Range<usize>),
    /// These bytes of the `.env` file, as the value of a variable.
    DotEnv {
        /// The variable.
        variable: String,
        /// The bytes of the value.
        span: Range<usize>,
    },
    /// These bytes of the hosts file.
    Hosts(Range<usize>),
    /// A variable of the environment.
    Variable(String),
    /// Nobody wrote it.
    Default,
}

/// A file that was read, and the bytes of it that may not be shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct FileText {
    /// As it is named to the operator.
    pub(super) name: String,
    pub(super) text: String,
    pub(super) secrets: Vec<Range<usize>>,
    /// Where lines end. Looked for once: each value of a file has a place.
    ends: OnceLock<Vec<usize>>,
}

/// Its name alone: the text holds secrets.
impl fmt::Debug for FileText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileText").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The files a configuration comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Files {
    pub(super) settings: FileText,
    pub(super) dotenv: FileText,
    pub(super) hosts: FileText,
}

impl Files {
    /// The place of a value, as it is shown.
    pub(super) fn place(&self, origin: &Origin) -> Place {
        match origin {
            Origin::Settings(span) => self.settings.place(span),
            Origin::DotEnv { span, .. } => self.dotenv.place(span),
            Origin::Hosts(span) => self.hosts.place(span),
            Origin::Variable(name) => Place::Variable(name.clone()),
            Origin::Default => Place::File(self.settings.name.clone()),
        }
    }
}

impl FileText {
    pub(super) fn new(name: String, text: String, secrets: Vec<Range<usize>>) -> Self {
        FileText { name, text, secrets, ends: OnceLock::new() }
    }

    /// The place of these bytes, as it is shown.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let file = self.name.clone();
        let start = self.text.floor_char_boundary(span.start.min(self.text.len()));
        let (before, after) = self.text.split_at(start);
        let line = 1 + self.ends().partition_point(|end| *end < start);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_end = after.find('\n').map_or(self.text.len(), |at| start + at);
        let column = 1 + before.get(line_start..).unwrap_or_default().chars().count();
        let (shown, caret) = self.shown(line_start..line_end, &(start..span.end));
        Place::Line(Snippet { file, line, column, shown, caret })
    }

    fn ends(&self) -> &[usize] {
        self.ends.get_or_init(|| memchr::memchr_iter(b'\n', self.text.as_bytes()).collect())
    }

    /// The characters of a line with its secrets masked, and which of them the span covers.
    fn shown(&self, line: Range<usize>, span: &Range<usize>) -> (String, Range<usize>) {
        let text = self.text.get(line.clone()).unwrap_or_default().trim_end_matches('\r');
        let mut shown = Vec::new();
        let mut caret: Option<Range<usize>> = None;
        let mut masked: Option<&Range<usize>> = None;
        for (offset, character) in text.char_indices() {
            let at = line.start + offset;
            let first = shown.len();
            match self.secrets.iter().find(|secret| secret.contains(&at)) {
                None => shown.push(if character.is_control() { ' ' } else { character }),
                Some(secret) if masked == Some(secret) => {}
                Some(secret) => {
                    masked = Some(secret);
                    shown.extend("***".chars());
                }
            }
            if span.contains(&at) || (span.is_empty() && at == span.start) {
                let from = caret.map_or(first, |caret| caret.start);
                caret = Some(from..shown.len());
            }
        }
        // A span behind the last character, such as that of a missing quote.
        let caret = caret.unwrap_or(shown.len()..shown.len());
        let caret = caret.start.min(shown.len())..caret.end.max(caret.start + 1);
        window(&shown, &caret)
    }
}

/// Cuts a long line to the characters round the caret.
fn window(shown: &[char], caret: &Range<usize>) -> (String, Range<usize>) {
    let skip = if shown.len() <= SHOWN_MAX { 0 } else { caret.start.saturating_sub(SHOWN_MAX / 2) };
    let text: String = shown.iter().skip(skip).take(SHOWN_MAX).collect();
    (text, caret.start - skip..(caret.end - skip).min(SHOWN_MAX.max(caret.start - skip + 1)))
}

/// Where a finding is, as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A line of a file.
    Line(Snippet),
    /// A file as a whole.
    File(String),
    /// A variable of the environment.
    Variable(String),
}

/// A line of a file, without its secrets, and what of it is meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snippet {
    /// The file as it is named to the operator.
    pub file: String,
    /// The number of the line, from 1.
    pub line: usize,
    /// The character of the line, from 1.
    pub column: usize,
    /// The line, masked and cut.
    shown: String,
    /// The characters of `shown` that are meant.
    caret: Range<usize>,
}

impl Snippet {
    /// Writes the line, and below it the carets followed by `label`.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, label: &str) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let indent = " ".repeat(self.caret.start);
        let carets = "^".repeat(self.caret.len());
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", self.shown.trim_end())?;
        writeln!(f, "{margin} | {indent}{carets} {label}")
    }
}

impl Place {
    /// The line, if one is meant.
    #[must_use]
    pub fn snippet(&self) -> Option<&Snippet> {
        match self {
            Place::Line(snippet) => Some(snippet),
            Place::File(_) | Place::Variable(_) => None,
        }
    }

    /// Lines first, in the order of their files; then files as a whole, then variables.
    pub(super) fn order(&self) -> (usize, &str, usize, usize) {
        match self {
            Place::Line(at) => (0, &at.file, at.line, at.column),
            Place::File(name) => (1, name, 0, 0),
            Place::Variable(name) => (2, name, 0, 0),
        }
    }
}

/// `config/settings.toml:41:11`, a file's name, or `environment variable GUFO_SIGN`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(at) => write!(f, "{}:{}:{}", at.file, at.line, at.column),
            Place::File(name) => f.write_str(name),
            Place::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, span: Range<usize>, secret: Option<Range<usize>>) -> String {
        struct Shown(Place);
        impl fmt::Display for Shown {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                writeln!(f, "{}", self.0)?;
                self.0.snippet().unwrap().write(f, "here")
            }
        }
        let secrets = secret.into_iter().collect();
        let file = FileText::new("f".to_owned(), text.to_owned(), secrets);
        Shown(file.place(&span)).to_string()
    }

    #[test]
    fn a_place_is_shown_with_its_line_and_carets() {
        check("a = 1\nb = 22\n", 10..12, "f:2:5\n  |\n2 | b = 22\n  |     ^^ here\n");
        check("ä = 1\r\n", 5..6, "f:1:5\n  |\n1 | ä = 1\n  |     ^ here\n");
        check("a = \"", 5..5, "f:1:6\n  |\n1 | a = \"\n  |      ^ here\n");
        check("", 0..0, "f:1:1\n  |\n1 | \n  | ^ here\n");
        check("a = 1", 90..99, "f:1:6\n  |\n1 | a = 1\n  |      ^ here\n");
    }

    #[test]
    fn a_secret_is_masked_whether_it_is_meant_or_only_near() {
        let text = "{ sign = \"abcdef\", x = 1 }";
        let meant = render(text, 9..17, Some(9..17));
        assert_eq!(meant, "f:1:10\n  |\n1 | { sign = ***, x = 1 }\n  |          ^^^ here\n");
        let near = render(text, 19..20, Some(9..17));
        assert_eq!(near, "f:1:20\n  |\n1 | { sign = ***, x = 1 }\n  |               ^ here\n");
    }

    #[test]
    fn a_long_line_is_cut_and_control_characters_are_blanked() {
        let long = format!("{}\u{1b}[31mX{}", "a".repeat(500), "b".repeat(500));
        let shown = render(&long, 505..506, None);
        assert!(shown.lines().all(|line| line.len() < 200), "{shown}");
        assert!(!shown.contains('\u{1b}') && shown.contains('X'), "{shown}");
    }

    #[test]
    fn any_span_of_any_text_can_be_shown() {
        let text = "ä=\"1\"\r\n\n\u{1F600}\t= 2";
        for start in 0..=text.len() + 1 {
            for end in start..=text.len() + 2 {
                let secret = start..end.min(start + 2);
                assert!(render(text, start..end, Some(secret)).contains('^'));
            }
        }
    }

    #[track_caller]
    fn check(text: &str, span: Range<usize>, want: &str) {
        assert_eq!(render(text, span, None), want);
    }
}

//! The rules of the tree that no compiler holds: who may use whom, how long a thing may be,
//! where `unsafe` may stand, which links resolve. Plain text work, no dependencies.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may panic: that is how it reports"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

#[path = "tidy/text.rs"]
mod text;

use text::{
    bare, crate_paths, functions, inline_tests, line_of, occurrences, skipped_by_rustfmt,
    without_tests,
};

/// Who may use whom, downwards only. `main` and `lib` name the whole tree and are free.
/// A module that is missing here is a fault: a new one takes its place in this table first.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("proto", &[]),
    ("message", &["base"]),
    ("io", &["base"]),
    ("observe", &["base"]),
    ("protocol", &["base", "message", "proto"]),
    ("route", &["base", "message"]),
    ("policy", &["base", "message"]),
    ("upstream", &["base", "message"]),
    ("gufo", &["base", "proto", "message", "protocol"]),
    ("transcode", &["base", "proto", "message", "protocol"]),
    ("tls", &["base", "io"]),
    ("master", &["base"]),
    ("snapshot", &["base", "message", "route", "policy", "upstream", "transcode", "gufo", "tls"]),
    ("config", &["base", "snapshot", "route", "policy", "upstream", "gufo", "tls", "master"]),
    (
        "proxy",
        &[
            "base",
            "proto",
            "message",
            "io",
            "observe",
            "protocol",
            "route",
            "policy",
            "upstream",
            "gufo",
            "transcode",
            "snapshot",
            "tls",
        ],
    ),
    ("shard", &["base", "io", "observe", "upstream", "gufo", "snapshot", "proxy"]),
    (
        "control",
        &[
            "base", "io", "observe", "config", "snapshot", "shard", "proto", "proxy", "message",
            "protocol", "upstream", "tls", "route", "policy", "gufo",
        ],
    ),
    ("service", &["base", "proto", "observe", "master", "gufo", "snapshot"]),
    (
        "cli",
        &[
            "config", "control", "service", "base", "snapshot", "io", "observe", "route",
            "message", "upstream", "tls", "policy", "master",
        ],
    ),
];

/// Modules without `async`, clock, socket or log: what they do follows from their arguments.
const PURE: &[&str] = &[
    "message",
    "protocol",
    "route",
    "policy",
    "upstream",
    "gufo",
    "transcode",
    "snapshot",
    "config",
    "master",
];

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const INLINE_TEST_LINES_MAX: usize = 100;
const LINE_WIDTH_MAX: usize = 100;

#[test]
fn modules_use_only_what_lies_below() {
    let mut faults = Vec::new();
    for source in sources() {
        let code = without_tests(&source.code);
        for (line, used) in crate_paths(&code) {
            // A macro of the crate lives at its root: `crate::bug!`.
            let root_macro = used.ends_with('!') || used == "bug";
            if source.module == used || source.is_root() || root_macro {
                continue;
            }
            match LAYERS.iter().find(|(module, _)| *module == source.module) {
                Some((_, below)) if below.contains(&used.as_str()) => {}
                Some(_) => faults.push(source.at(line, &format!("uses crate::{used}"))),
                None => {
                    let what = format!("module `{}` has no row in LAYERS", source.module);
                    faults.push(source.at(line, &what));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn pure_modules_hold_no_async_clock_socket_or_log() {
    let words = ["async", "await", "Instant::now", "SystemTime", "std::net::Tcp", "println!"];
    let faults = find_words(&words, |source| PURE.contains(&source.module.as_str()));
    report(&faults);
}

#[test]
fn unsafe_stands_in_io_only() {
    report(&find_words(&["unsafe"], |source| source.module != "io"));
}

#[test]
fn nothing_is_left_unfinished() {
    report(&find_words(&["todo!", "unimplemented!", "dbg!"], |_| true));
}

#[test]
fn files_and_functions_are_short() {
    let mut faults = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(source.at(1, &format!("{lines} lines, at most {FILE_LINES_MAX}")));
        }
        for item in functions(&source.code) {
            if item.lines > FUNCTION_LINES_MAX {
                let what = format!(
                    "fn {} has {} lines, at most {FUNCTION_LINES_MAX}",
                    item.name, item.lines
                );
                faults.push(source.at(item.line, &what));
            }
        }
        for (line, lines) in inline_tests(&source.code) {
            if lines > INLINE_TEST_LINES_MAX {
                let what = format!("{lines} lines of tests belong in a tests.rs beside");
                faults.push(source.at(line, &what));
            }
        }
    }
    report(&faults);
}

#[test]
fn lines_are_narrow_and_without_tabs() {
    let mut faults = Vec::new();
    for source in sources() {
        // A table that rustfmt leaves alone may be as wide as its rows.
        let tables = skipped_by_rustfmt(&source.code);
        for (index, line) in source.text.lines().enumerate() {
            let width = line.chars().count();
            let in_table = tables.iter().any(|lines| lines.contains(&(index + 1)));
            if width > LINE_WIDTH_MAX && !in_table {
                faults.push(source.at(index + 1, &format!("{width} columns")));
            }
            if line.contains('\t') {
                faults.push(source.at(index + 1, "a tab"));
            }
            if line.ends_with([' ', '\r']) {
                faults.push(source.at(index + 1, "white space at the end"));
            }
        }
    }
    report(&faults);
}

#[test]
fn every_table_of_contents_says_what_it_is_for() {
    let mut faults = Vec::new();
    for source in sources() {
        if source.path.ends_with("mod.rs") && !source.text.starts_with("//!") {
            faults.push(source.at(1, "a mod.rs begins with `//!`"));
        }
    }
    report(&faults);
}

#[test]
fn globs_are_not_imported() {
    let mut faults = Vec::new();
    for source in sources() {
        let code = without_tests(&source.code);
        for (index, line) in code.lines().enumerate() {
            let words = line.trim_start();
            let import = words.starts_with("use ") || words.starts_with("pub use ");
            if import && words.contains("::*") {
                faults.push(source.at(index + 1, "a glob"));
            }
        }
    }
    report(&faults);
}

#[test]
fn every_dependency_is_used() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut text = String::new();
    for folder in ["src", "tests", "benches"] {
        for path in files(&root().join(folder), "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    let mut faults = Vec::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| inside) {
            let word = name.trim().replace('-', "_");
            let found =
                ["::", ";", " as "].iter().any(|end| text.contains(&format!("{word}{end}")));
            if !found && !name.starts_with('#') {
                faults.push(format!("Cargo.toml: nothing uses {}", name.trim()));
            }
        }
    }
    report(&faults);
}

#[test]
fn links_in_documents_resolve() {
    let mut faults = Vec::new();
    let mut documents = files(&root().join("docs"), "md");
    documents.extend(files(&root().join("perf"), "md"));
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        documents.push(root().join(name));
    }
    for document in documents {
        let Ok(text) = fs::read_to_string(&document) else {
            faults.push(format!("{} is missing", document.display()));
            continue;
        };
        for target in links(&text) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let whole = if file.is_empty() {
                document.clone()
            } else {
                document.parent().unwrap().join(file)
            };
            if !whole.exists() {
                faults.push(format!("{}: nothing at {target}", document.display()));
            } else if !anchor.is_empty() && !has_heading(&whole, anchor) {
                faults.push(format!("{}: no heading for {target}", document.display()));
            }
        }
    }
    report(&faults);
}

#[test]
fn every_test_that_a_promise_names_exists() {
    let page = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let mut faults = Vec::new();
    let mut named = 0;
    for (index, line) in page.lines().enumerate() {
        // Spans of code; behind the name of a file stand tests that are in it.
        let mut file: Option<(&str, String)> = None;
        for span in line.split('`').skip(1).step_by(2) {
            if Path::new(span).extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(root().join(span)).unwrap_or_default();
                file = Some((span, text));
            } else if let Some((path, text)) = &file {
                named += 1;
                if !has_test(text, span) {
                    faults.push(format!("docs/reliability.md:{}: {path}: no {span}", index + 1));
                }
            }
        }
    }
    assert!(named > 100, "only {named} tests are named: is the page read as it is written?");
    report(&faults);
}

/// Whether a function of that name is there, and a test.
fn has_test(text: &str, name: &str) -> bool {
    let Some((before, _)) = text.split_once(&format!("fn {name}(")) else { return false };
    // Attributes and words before `fn` follow the last item or comment directly.
    let near = before.rsplit(['}', ';']).next().unwrap_or_default();
    near.contains("#[test]")
}

#[test]
fn the_changelog_has_a_place_for_the_next_entry() {
    let text = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    assert!(text.lines().any(|line| line.starts_with("## Unreleased")));
}

#[test]
fn scripts_are_executable() {
    let mut faults = Vec::new();
    let folder = fs::read_dir(root().join("scripts")).unwrap();
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.push(root().join(".ci/run"));
    for path in paths.iter().filter(|path| path.is_file()) {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        if mode & 0o111 != 0o111 {
            faults.push(format!("{} is not executable", path.display()));
        }
        if !fs::read(path).unwrap().starts_with(b"#!") {
            faults.push(format!("{} does not name its interpreter", path.display()));
        }
    }
    report(&faults);
}

// What the rules are read from.

/// One file of `src`, with its text as written and as bare code.
struct Source {
    path: PathBuf,
    module: String,
    text: String,
    /// The same length and lines as `text`; comments and literals are blanks.
    code: String,
}

impl Source {
    fn is_root(&self) -> bool {
        self.module == "main" || self.module == "lib"
    }

    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path.display())
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All sources that people write: generated code is left out.
fn sources() -> Vec<Source> {
    let base = root().join("src");
    let mut found = Vec::new();
    for path in files(&base, "rs") {
        let below = path.strip_prefix(&base).unwrap();
        let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.trim_end_matches(".rs").to_owned();
        if module == "proto" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut code = bare(&text);
        // A tests.rs is a test as a whole, and so is what lies in a folder of its name.
        if path.ends_with("tests.rs") || below.iter().any(|part| part == "tests") {
            code = format!("#[cfg(test)] mod tests {{ {code} }}");
        }
        found.push(Source { path: below.to_path_buf(), module, text, code });
    }
    assert!(!found.is_empty(), "no sources were found");
    found
}

/// Files below `folder` with the extension, in a stable order.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[track_caller]
fn report(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults\n{}\n", faults.len(), faults.join("\n"));
}

fn find_words(words: &[&str], wanted: impl Fn(&Source) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| wanted(source)) {
        let code = without_tests(&source.code);
        for word in words {
            for at in occurrences(&code, word) {
                faults.push(source.at(line_of(&code, at), word));
            }
        }
    }
    faults
}

/// Targets of Markdown links that point into the tree. Fenced code is not read.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let mut rest = line;
        while let Some(at) = rest.find("](").filter(|_| !fenced) {
            rest = &rest[at + 2..];
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            if !target.contains("://") && !target.starts_with("mailto:") {
                found.push(target.to_owned());
            }
        }
    }
    found
}

fn has_heading(document: &Path, anchor: &str) -> bool {
    let text = fs::read_to_string(document).unwrap_or_default();
    text.lines().filter(|line| line.starts_with('#')).any(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().replace(' ', "-") == anchor
    })
}

//! Says which commit is built and of when it is, for `otus --version` and `info`.
//!
//! `OTUS_COMMIT` and `SOURCE_DATE_EPOCH` win. Else, for a release from a working copy, git is asked
//! for the commit and its date; nothing asks the clock, so that the same sources give the same
//! program. Other profiles say `development`: they would be built anew for each commit.

use std::path::Path;
use std::process::Command;

fn main() {
    for variable in ["OTUS_COMMIT", "SOURCE_DATE_EPOCH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let git = is_release().then(commit).flatten();
    let (of_git, date_of_git) = git.map_or((None, None), |(commit, date)| (Some(commit), date));
    let unknown = if is_release() { "no commit" } else { "development" };
    let commit = given("OTUS_COMMIT").or(of_git).unwrap_or_else(|| unknown.to_owned());
    let seconds = given("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok()).or(date_of_git);
    let date = seconds.map_or_else(|| "no date".to_owned(), date);
    let commit: String = commit.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
    println!("cargo::rustc-env=OTUS_COMMIT={commit}");
    println!("cargo::rustc-env=OTUS_BUILD_DATE={date}");
}

/// Whether the profile is `release` itself: others share its name in `PROFILE`, not its directory.
fn is_release() -> bool {
    let out = std::env::var("OUT_DIR").unwrap_or_default();
    // .../release/build/otus-hash/out
    Path::new(&out).ancestors().nth(3).is_some_and(|path| path.ends_with("release"))
}

/// The commit of the working copy and the second it is of; `None` without one, or without git.
fn commit() -> Option<(String, Option<u64>)> {
    // A tarball may lie within the working copy of something else.
    if !Path::new(".git").exists() {
        return None;
    }
    // In a worktree, and where it is a part of another, `.git` is a file that names a directory.
    let files = git(&["rev-parse", "--git-path", "HEAD", "--git-path", "logs/HEAD"])?;
    for file in files.lines().filter(|file| Path::new(file).exists()) {
        println!("cargo::rerun-if-changed={file}");
    }
    let text = git(&["show", "-s", "--format=%h %ct", "HEAD"])?;
    let (commit, seconds) = text.trim().split_once(' ')?;
    Some((commit.to_owned(), seconds.parse().ok()))
}

/// What git says.
fn git(words: &[&str]) -> Option<String> {
    let told = Command::new("git").args(words).output().ok()?;
    String::from_utf8(told.stdout).ok().filter(|_| told.status.success())
}

/// The day of a second since 1970, in UTC: `2026-01-31`.
fn date(seconds: u64) -> String {
    let (mut days, mut year) = (seconds / 86_400, 1970);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

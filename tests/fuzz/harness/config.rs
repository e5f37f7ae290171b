//! Settings: any text is a configuration, or has faults with a place within it, on one line each and
//! without the secrets that stand around them.

use std::io;
use std::net::SocketAddr;

use otus::config::fault::Finding;
use otus::config::load::load;
use otus::config::source::{DotEnv, Source};

use super::cuts;

/// Nobody writes this by chance.
const SECRET: &str = "Zq9-hidden-Zq9-hidden-Zq9";

/// The first byte chooses where secrets are, and what of the source is made of the rest.
pub fn run(data: &[u8]) {
    let (mode, data) = cuts::choice(data, 8);
    let rest = String::from_utf8_lossy(data);
    if rest.contains("Zq9") {
        return;
    }
    let sign = format!("sign = \"{SECRET}\"");
    let needed = format!("server = {{ {sign}, session = false }}\nsecurity.mode = \"sign\"\n");
    let (text, dotenv, env) = match mode {
        0 => (format!("{needed}{rest}"), String::new(), Vec::new()),
        1 => (rest.clone().into_owned(), String::new(), Vec::new()),
        2 => (format!("[server]\n{sign}\n{rest}\n"), String::new(), Vec::new()),
        3 => (needed, rest.clone().into_owned(), Vec::new()),
        4 => (rest.clone().into_owned(), format!("GUFO_SERVER_SIGN={SECRET}\n"), Vec::new()),
        6 => (format!("server = {{ {sign}, {rest} }}\n"), String::new(), Vec::new()),
        7 => (format!("[server]\n{sign}{rest}\n"), String::new(), Vec::new()),
        _ => {
            let own = ("GUFO_SERVER_SIGN".to_owned(), SECRET.to_owned());
            (rest.clone().into_owned(), String::new(), vec![own])
        }
    };
    let dotenv = DotEnv { path: ".env".to_owned(), text: dotenv };
    let texts = [text.clone(), dotenv.text.clone()];
    let path = "settings.toml".to_owned();
    let source = Source { path, text, dotenv: Some(dotenv), env, ..Source::default() };
    match load(source) {
        Err(faults) => {
            assert!(!faults.list().is_empty());
            check_all(faults.list(), &texts);
            assert!(faults.list().iter().all(|finding| finding.code.is_fault()));
            check_text(&faults.to_string());
        }
        Ok((config, notes)) => {
            check_all(&notes, &texts);
            check_text(&format!("{config:?}"));
            match config.compile(1, &resolve) {
                Ok((snapshot, notes)) => {
                    check_all(&notes, &texts);
                    check_text(&format!("{snapshot:?}"));
                }
                Err(faults) => check_text(&faults.to_string()),
            }
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a function that may fail is asked for")]
fn resolve(_: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(vec![([10, 0, 0, 1], port).into()])
}

fn check_all(findings: &[Finding], texts: &[String; 2]) {
    for finding in findings {
        check(finding, texts);
    }
}

fn check(finding: &Finding, texts: &[String; 2]) {
    check_text(&finding.line());
    check_text(&finding.to_string());
    assert_eq!(finding.line().lines().count(), 1, "one line: {:?}", finding.line());
    let Some(at) = finding.place.snippet() else { return };
    let text = if at.file == ".env" { &texts[1] } else { &texts[0] };
    let lines: Vec<&str> = text.split('\n').collect();
    assert!((1..=lines.len()).contains(&at.line), "a line of the text");
    let columns = lines[at.line - 1].chars().count() + 1;
    assert!((1..=columns).contains(&at.column), "a column of the line");
}

fn check_text(text: &str) {
    assert!(!text.contains("hidden"), "a secret is told: {text}");
    let is_odd = |c: char| c.is_control() && c != '\n';
    assert!(!text.chars().any(is_odd), "control characters: {text:?}");
}

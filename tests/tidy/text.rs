//! Just enough of Rust's grammar to read rules against it: which bytes are code, where an item
//! ends, what a path begins with. It does not parse; it is enough that the tree compiles.

use std::ops::RangeInclusive;

/// Where `word` stands as a whole word.
pub(crate) fn occurrences(code: &str, word: &str) -> Vec<usize> {
    let part = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let bytes = code.as_bytes();
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(|at| !part(at.checked_sub(1).and_then(|before| bytes.get(before))))
        .filter(|at| !part(bytes.get(at + word.len())))
        .collect()
}

/// The line, counted from one, that holds the byte at `at`.
pub(crate) fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// First elements of all paths that begin with `crate::`, groups in braces included.
pub(crate) fn crate_paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in occurrences(code, "crate") {
        let Some(rest) = code[at..].strip_prefix("crate::") else { continue };
        let line = line_of(code, at);
        let Some(group) = rest.strip_prefix('{') else {
            found.push((line, first_name(rest)));
            continue;
        };
        let mut depth = 0;
        let mut begins = true;
        for (index, byte) in group.bytes().enumerate() {
            match byte {
                b'{' => depth += 1,
                b'}' if depth == 0 => break,
                b'}' => depth -= 1,
                b',' if depth == 0 => begins = true,
                _ if begins && !byte.is_ascii_whitespace() => {
                    found.push((line, first_name(&group[index..])));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    found
}

fn first_name(path: &str) -> String {
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    let is_macro = path[end..].starts_with('!');
    format!("{}{}", &path[..end], if is_macro { "!" } else { "" })
}

/// The code with every item under `#[cfg(test)]` blanked.
pub(crate) fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(at) = out.find("#[cfg(test)]") {
        let end = item_end(&out, at);
        let blank: String =
            out[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(at..end, &blank);
    }
    out
}

/// Line and length in lines of each test module that stands in the file itself.
pub(crate) fn inline_tests(code: &str) -> Vec<(usize, usize)> {
    if code.starts_with("#[cfg(test)] mod tests {") {
        return Vec::new();
    }
    let all = code.match_indices("#[cfg(test)]");
    all.map(|(at, _)| (line_of(code, at), code[at..item_end(code, at)].matches('\n').count() + 1))
        .collect()
}

/// The lines of each item that says `#[rustfmt::skip]`.
pub(crate) fn skipped_by_rustfmt(code: &str) -> Vec<RangeInclusive<usize>> {
    let all = code.match_indices("#[rustfmt::skip]");
    all.map(|(at, _)| line_of(code, at)..=line_of(code, item_end(code, at))).collect()
}

/// The end of the item that begins at `at`: its semicolon, or its closing brace.
fn item_end(code: &str, at: usize) -> usize {
    let mut depth = 0;
    for (index, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
            b';' if depth == 0 => return index + 1,
            _ => {}
        }
    }
    code.len()
}

/// A function with a body.
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    pub(crate) line: usize,
    /// From `fn` to the closing brace, both lines counted.
    pub(crate) lines: usize,
}

/// All functions with a body, nested ones too.
pub(crate) fn functions(code: &str) -> Vec<Function<'_>> {
    let mut found = Vec::new();
    for at in occurrences(code, "fn") {
        let rest = code[at + 2..].trim_start();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0);
        // A function pointer type has no name, a declaration no body.
        let Some(name) = rest.get(..end).filter(|name| !name.is_empty()) else { continue };
        let whole = &code[at..item_end(code, at)];
        if whole.ends_with('}') {
            let lines = whole.matches('\n').count() + 1;
            found.push(Function { name, line: line_of(code, at), lines });
        }
    }
    found
}

/// Blanks comments and the insides of literals. Every line keeps its number.
pub(crate) fn bare(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = at
            + match rest[0] {
                b'/' if rest.starts_with(b"//") => line_comment(rest),
                b'/' if rest.starts_with(b"/*") => block_comment(rest),
                b'"' => quoted(rest),
                b'r' | b'b' | b'c' if at == 0 || !is_word(bytes[at - 1]) => prefixed(rest),
                b'\'' => character(rest),
                _ => 0,
            };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("whole literals and comments were blanked")
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn line_comment(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Literals that begin with letters: `r"…"`, `r#"…"#`, `b"…"`, `b'…'`, `br"…"`, `c"…"`.
/// Zero where it is a word like any other, or a raw name.
fn prefixed(rest: &[u8]) -> usize {
    let letters = rest.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    let hashes = rest[letters..].iter().take_while(|byte| **byte == b'#').count();
    let raw = rest[..letters].contains(&b'r');
    match (rest.get(letters + hashes), letters) {
        (Some(b'"'), 1 | 2) if raw => {
            let close: Vec<u8> = [&b"\""[..], &vec![b'#'; hashes]].concat();
            let from = letters + hashes + 1;
            let body = rest[from..].windows(close.len()).position(|at| at == close);
            body.map_or(rest.len(), |body| from + body + close.len())
        }
        (Some(b'"'), 1) if hashes == 0 => 1 + quoted(&rest[1..]),
        (Some(b'\''), 1) if hashes == 0 && rest[0] == b'b' => 1 + character(&rest[1..]),
        _ => 0,
    }
}

/// A character literal, or zero for a lifetime.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        let close = rest.iter().skip(3).position(|byte| *byte == b'\'');
        return close.map_or(0, |close| close + 4);
    }
    // One character is at most four bytes; its quote follows at once.
    let text = &rest[1..rest.len().min(6)];
    let first = std::str::from_utf8(text)
        .or_else(|error| std::str::from_utf8(&text[..error.valid_up_to()]))
        .ok()
        .and_then(|text| text.chars().next());
    match first {
        Some(one) if rest.get(1 + one.len_utf8()) == Some(&b'\'') => one.len_utf8() + 2,
        _ => 0,
    }
}

#[test]
fn comments_and_literals_are_not_code() {
    #[track_caller]
    fn check(text: &str, want: &str) {
        let got = bare(text);
        assert_eq!(got.len(), text.len());
        assert_eq!(got.split_whitespace().collect::<Vec<_>>().join(" "), want);
    }
    check("a // b\nc", "a c");
    check("a /* b /* c */ d */ e", "a e");
    check("a \"// b\" c", "a c");
    check(r#"f("}\"", 'x', b'\'', '\u{e9}', 'é')"#, "f( , , , , )");
    check("r#\"a \" b\"# + b\"x\" + br\"\\\" + x", "+ + + x");
    check("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)");
    check("number + r#type + var\"x\"", "number + r#type + var");
}

#[test]
fn groups_of_paths_are_read_whole() {
    let code = "use crate::{base::{size, time}, io, \n proxy::Reason}; crate::bug!(1); my_crate::x";
    let names: Vec<String> = crate_paths(code).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["base", "io", "proxy", "bug!"]);
}

#[test]
fn functions_are_measured_to_their_closing_brace() {
    let code = "fn a() {\n if x {\n }\n}\ntrait T { fn b(f: fn(u8)); }\nconst fn c() {}";
    let found: Vec<(&str, usize, usize)> =
        functions(code).into_iter().map(|item| (item.name, item.line, item.lines)).collect();
    assert_eq!(found, [("a", 1, 4), ("c", 6, 1)]);
}

#[test]
fn tests_are_blanked_with_their_lines_kept() {
    let code = without_tests("a\n#[cfg(test)]\nmod tests {\n x }\nb\n#[cfg(test)]\nmod t;\nc");
    assert_eq!(
        code.lines().map(str::trim).collect::<Vec<_>>(),
        ["a", "", "", "", "b", "", "", "c"]
    );
}

//! The `.env` file: one `KEY=VALUE` a line, `#` for comments, `export` and quotes allowed.
//!
//! Between single quotes every character stands for itself; between double quotes `\n`, `\t`,
//! `\"`, `\\` and `\$` are read. Nothing is expanded, and no value goes over several lines.

use std::ops::Range;

use super::document::{Flaw, is_variable};
use super::fault::Code;

/// One variable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
    /// The bytes of the value, quotes included.
    pub(super) span: Range<usize>,
}

/// Every variable of the text, in its order, and what is wrong with it.
pub(super) fn parse(text: &str) -> (Vec<Variable>, Vec<Flaw>) {
    let (mut variables, mut flaws) = (Vec::new(), Vec::new());
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        match variable(content, start) {
            Ok(None) => {}
            Ok(Some(variable)) => variables.push(variable),
            Err((message, way_out)) => flaws.push(Flaw {
                code: Code::Syntax,
                span: start..start + content.len(),
                message: message.to_owned(),
                way_out: way_out.to_owned(),
            }),
        }
        start += line.len();
    }
    (variables, flaws)
}

type Complaint = (&'static str, &'static str);

/// The variable of a line that starts at this byte; `None` for a line without one.
fn variable(line: &str, start: usize) -> Result<Option<Variable>, Complaint> {
    let trimmed = line.trim_start_matches('\u{feff}').trim();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return Ok(None);
    }
    let Some((name, value)) = line.split_once('=') else {
        return Err(("the line has no `=`", "write NAME=value, or # before a comment"));
    };
    let name = name.trim_start_matches('\u{feff}').trim();
    let name = name.strip_prefix("export ").map_or(name, str::trim);
    if !is_variable(name) {
        return Err(("the name has wrong characters", "use letters, digits and _"));
    }
    let value_start = start + line.len() - value.trim_start().len();
    let (value, len) = unquote(value.trim_start())?;
    let span = value_start..value_start + len;
    Ok(Some(Variable { name: name.to_owned(), value, span }))
}

/// The value, and how many bytes it takes with its quotes.
fn unquote(text: &str) -> Result<(String, usize), Complaint> {
    let mut characters = text.char_indices();
    let mut value = String::new();
    let Some((_, quote @ ('"' | '\''))) = characters.next() else {
        let end = text.find(" #").or_else(|| text.find("\t#")).unwrap_or(text.len());
        let plain = text.get(..end).unwrap_or_default().trim_end();
        let plain = if plain.starts_with('#') { "" } else { plain };
        return Ok((plain.to_owned(), plain.len()));
    };
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => {
                let rest = text.get(at + 1..).unwrap_or_default().trim_start();
                return if rest.is_empty() || rest.starts_with('#') {
                    Ok((value, at + 1))
                } else {
                    Err(("something follows the closing quote", "end the line there"))
                };
            }
            '\\' if quote == '"' => match characters.next().map(|(_, c)| c) {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some(same @ ('"' | '\\' | '$')) => value.push(same),
                _ => return Err(("an unknown escape", "write \\\\ for a backslash")),
            },
            _ => value.push(character),
        }
    }
    Err(("the closing quote is missing", "close it on the same line"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_with_and_without_quotes() {
        check("A=1", &[("A", "1")]);
        check("A = 1 \nB=2\r\n", &[("A", "1"), ("B", "2")]);
        check("export A=1", &[("A", "1")]);
        check("\u{feff}A=1", &[("A", "1")]);
        check("A=\nB=''", &[("A", ""), ("B", "")]);
        check("A=a b # c", &[("A", "a b")]);
        check("A=a#b", &[("A", "a#b")]);
        check("A= # none", &[("A", "")]);
        check("A='a #\\n' # c", &[("A", "a #\\n")]);
        check(r#"A="a \"b\" \\ \$ \n\t=""#, &[("A", "a \"b\" \\ $ \n\t=")]);
        check("A=b=c", &[("A", "b=c")]);
        check("# A=1\n\n  # x\n", &[]);
    }

    #[test]
    fn the_span_of_a_value_holds_its_quotes() {
        let text = "# x\nexport A = \"ä\" # y\n";
        let (variables, _) = parse(text);
        assert_eq!(text.get(variables[0].span.clone()), Some("\"ä\""));
    }

    #[test]
    fn what_is_no_line_of_variables_is_refused_and_the_next_line_is_read() {
        for line in ["A", "=1", "1A=1", "A B=1", "A=\"x", "A='x", "A=\"x\" y", "A=\"\\x\""] {
            let text = format!("{line}\nZ=1\n");
            let (variables, flaws) = parse(&text);
            assert_eq!((variables.len(), flaws.len()), (1, 1), "{line}");
            assert_eq!(flaws[0].span, 0..line.len(), "{line}");
        }
    }

    #[track_caller]
    fn check(text: &str, want: &[(&str, &str)]) {
        let (variables, flaws) = parse(text);
        assert!(flaws.is_empty(), "{flaws:?}");
        let got: Vec<_> = variables.iter().map(|v| (v.name.as_str(), v.value.as_str())).collect();
        assert_eq!(got, want, "{text}");
    }
}

use super::*;
use crate::base::prng::Prng;

/// A part as a test sees it: file name or none, and its payload.
type Got = (Option<String>, Vec<u8>);

fn file(name: &str, payload: &[u8]) -> Got {
    (Some(name.to_string()), payload.to_vec())
}

/// Feeds the pieces; the parts that were whole, and whether the body may end there.
fn decode(pieces: &[&[u8]], limits: Limits) -> Result<(Vec<Got>, bool), MultipartError> {
    let mut multipart = Multipart::new(b"b", limits);
    let mut parts = Vec::new();
    let mut open: Option<Got> = None;
    let mut ended = false;
    for piece in pieces {
        let mut rest = *piece;
        loop {
            let step = multipart.next(rest)?;
            let data = match step.event {
                Event::NeedMore => {
                    assert_eq!(step.consumed, rest.len());
                    break;
                }
                Event::PartBegin => {
                    assert!(open.is_none());
                    open = Some((multipart.part().filename.clone(), Vec::new()));
                    &[]
                }
                Event::Data { start, len } => {
                    assert!(len > 0 && start + len <= step.consumed);
                    &rest[start..start + len]
                }
                Event::Held { start, len } => {
                    assert!(len > 0);
                    &multipart.delimiter()[start..start + len]
                }
                Event::PartEnd => {
                    parts.extend(open.take());
                    &[]
                }
                Event::End => {
                    assert!(open.is_none() && !ended);
                    ended = true;
                    &[]
                }
            };
            if !data.is_empty() {
                open.as_mut().unwrap().1.extend_from_slice(data);
            }
            rest = &rest[step.consumed..];
        }
    }
    assert_eq!(multipart.delimiter(), b"\r\n--b");
    Ok((parts, multipart.is_done()))
}

#[test]
fn parts_are_found_wherever_the_input_is_cut() {
    check(b"--b--", Ok((&[], true)));
    check(b"\r\n--b--\r\n", Ok((&[], true)));
    let f = "Content-Disposition: form-data; name=x; filename=f\r\n";
    let one = format!("--b\r\n{f}\r\nabc\r\n--b--\r\n");
    check(one.as_bytes(), Ok((&[file("f", b"abc")], true)));
    let two = format!("--b\r\n{f}\r\n\r\n--b \t\r\n\r\nx\r\n--b--");
    check(two.as_bytes(), Ok((&[file("f", b""), (None, b"x".to_vec())], true)));
    let text = format!("preamble\r\n--\r\n--b\r\n{f}\r\nabc\r\n--b--  \r\nepilogue --b\r\n");
    check(text.as_bytes(), Ok((&[file("f", b"abc")], true)));
}

#[test]
fn what_only_looks_like_a_delimiter_is_payload() {
    for payload in [
        "\r",
        "\n",
        "\r\n",
        "\r\n-",
        "\r\n--",
        "\r\r\n--",
        "\r\n--\r\n--c",
        "--b",
        "\r\n\r\n",
        "x\r\n--a",
        "\n--b",
        "\r--b",
        "\r\n- -b",
        "\r\n--B",
        "-",
        "--",
        "--\r\n",
        "--x",
    ] {
        // The first bytes behind an empty line are special: see the test below.
        for before in ["", "x"] {
            let payload = format!("{before}{payload}");
            if payload.starts_with("--b") {
                continue;
            }
            let body = format!("--b\r\n\r\n{payload}\r\n--b--");
            check(body.as_bytes(), Ok((&[(None, payload.as_bytes().to_vec())], true)));
        }
    }
}

#[test]
fn a_part_may_end_with_its_head() {
    check(b"--b\r\n\r\n--b--", Ok((&[(None, vec![])], true)));
    check(
        b"--b\r\na: b\r\n\r\n--b\r\n\r\n\r\n--b--",
        Ok((&[(None, vec![]), (None, vec![])], true)),
    );
}

#[test]
fn a_body_cut_short_is_not_done() {
    let whole = b"pre\r\n--b\r\na: b\r\n\r\nabc\r\n--b\r\n\r\nx\r\n--b--\r\nend";
    for cut in 0..whole.len() {
        let (parts, done) = decode(&[&whole[..cut]], Limits::default()).unwrap();
        let (close, cr) = (whole.len() - 5, whole.len() - 4);
        assert_eq!(done, cut >= close && cut != cr, "cut at {cut}");
        assert!(!done || parts.len() == 2);
    }
}

#[test]
fn delimiters_are_read_strictly() {
    check(b"--bx", Err(MultipartError::Delimiter));
    check(b"--b\n", Err(MultipartError::Delimiter));
    check(b"--b\rx", Err(MultipartError::Delimiter));
    check(b"--b-x", Err(MultipartError::Delimiter));
    check(b"--b -", Err(MultipartError::Delimiter));
    check(b"--b--x", Err(MultipartError::Delimiter));
    check(b"--b--\n", Err(MultipartError::Delimiter));
    check(b"--b\r\n\r\nabc\r\n--bx", Err(MultipartError::Delimiter));
}

#[test]
fn heads_are_read_strictly_and_bounded() {
    let malformed = MultipartError::Part(PartError::Malformed);
    check(b"--b\r\nno colon\r\n\r\n", Err(malformed));
    check(b"--b\r\na: b\nc: d\r\n\r\n", Err(malformed));
    // Lines that end with LF only never end the head.
    check(b"--b\r\na: b\n\nabc\r\n--b--", Ok((&[], false)));
    let head = |n: usize| format!("--b\r\na: {}\r\n\r\n", "x".repeat(n - 5));
    let max = Limits::default().part_head_bytes;
    let fits = head(max);
    let events = decode(&[fits.as_bytes()], Limits::default());
    assert_eq!(events, Ok((vec![], false)));
    let large = head(max + 1);
    for cut in [0, 10, max, max + 5, max + 8, large.len()] {
        let (front, back) = large.as_bytes().split_at(cut);
        let got = decode(&[front, back], Limits::default());
        assert_eq!(got, Err(MultipartError::PartHeadTooLarge), "cut at {cut}");
    }
}

#[test]
fn parts_and_files_are_counted() {
    let limits = Limits { files: 1, parts: 2, ..Limits::default() };
    let part = "--b\r\n\r\nx\r\n";
    let file = "--b\r\nContent-Disposition: form-data; filename=f\r\n\r\nx\r\n";
    let get = |text: String| decode(&[text.as_bytes()], limits).map(|(parts, _)| parts.len());
    assert_eq!(get(format!("{part}{file}--b--")), Ok(2));
    assert_eq!(get(format!("{file}{file}--b--")), Err(MultipartError::TooManyFiles));
    assert_eq!(get(format!("{part}{file}{part}--b--")), Err(MultipartError::TooManyParts));
}

#[test]
fn what_says_nothing_is_bounded() {
    let preamble = |n: usize| format!("{}\r\n--b--", "x".repeat(n));
    let max = limits::PREAMBLE_BYTES_MAX;
    check_cuts(preamble(max).as_bytes(), Ok((&[], true)), 97);
    check_cuts(preamble(max + 1).as_bytes(), Err(MultipartError::PreambleTooLarge), 97);
    let epilogue = |n: usize| format!("--b--\r\n{}", "x".repeat(n));
    let max = limits::EPILOGUE_BYTES_MAX;
    check_cuts(epilogue(max).as_bytes(), Ok((&[], true)), 97);
    check_cuts(epilogue(max + 1).as_bytes(), Err(MultipartError::EpilogueTooLarge), 97);
}

/// Bodies made of the pieces that matter, cut anywhere, against a reading of the whole text.
#[test]
fn any_body_is_read_as_by_a_parser_that_sees_it_whole() {
    let words: [&[u8]; 14] = [
        b"\r\n--b",
        b"\r\n",
        b"\r",
        b"\n",
        b"-",
        b"--",
        b"b",
        b"x",
        b"\r\n\r\n",
        b"--b",
        b" ",
        b"\r\n--b\r\n\r\n",
        b"\r\n--b--",
        b"a: b\r\n",
    ];
    let mut prng = Prng::new(5);
    let mut pick = |n: usize| usize::try_from(prng.below(u64::try_from(n).unwrap())).unwrap();
    let (mut good, mut bad) = (0u32, 0u32);
    for _ in 0..100_000 {
        let mut body = if pick(4) == 0 { Vec::new() } else { b"--b\r\n\r\n".to_vec() };
        for _ in 0..pick(12) {
            body.extend_from_slice(words[pick(words.len())]);
        }
        if pick(2) == 0 {
            body.extend_from_slice(b"\r\n--b--");
        }
        let want = naive(&body);
        let mut pieces = Vec::new();
        let mut rest = body.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((1 + pick(6)).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        let got = decode(&pieces, Limits::default());
        let got = got.ok().filter(|(_, done)| *done).map(|(parts, _)| parts);
        *if want.is_some() { &mut good } else { &mut bad } += 1;
        assert_eq!(got, want, "{}", body.escape_ascii());
    }
    assert!(good > 10_000 && bad > 10_000, "{good} {bad}");
}

/// The parts of a whole body, read by splitting the text; `None` if it is not one.
fn naive(body: &[u8]) -> Option<Vec<Got>> {
    let text = [b"\r\n".as_slice(), body].concat();
    let find = |text: &[u8], what: &[u8]| text.windows(what.len()).position(|w| w == what);
    let mut rest = &text[find(&text, b"\r\n--b")? + 5..];
    let mut parts = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(b"--") {
            let blanks = after.iter().take_while(|b| b" \t".contains(b)).count();
            let after = &after[blanks..];
            return (after.is_empty() || after.starts_with(b"\r\n")).then_some(parts);
        }
        let blanks = rest.iter().take_while(|b| b" \t".contains(b)).count();
        // The CRLF of the line stays: it may be the first of the two that end the head.
        let line = &rest[blanks..];
        line.starts_with(b"\r\n").then_some(())?;
        let end = find(line, b"\r\n\r\n")?;
        let head = if end == 0 { &[] } else { &line[2..end + 2] };
        let part = part::parse(head).ok()?;
        // The CRLF of the empty line stays as well: it may begin the delimiter.
        let after = &line[end + 2..];
        let end = find(after, b"\r\n--b")?;
        parts.push((part.filename, after[2.min(end)..end].to_vec()));
        rest = &after[end + 5..];
    }
}

type Want<'a> = Result<(&'a [Got], bool), MultipartError>;

#[track_caller]
fn check(body: &[u8], want: Want<'_>) {
    check_cuts(body, want, 1);
}

/// Cuts the body in two at each `step`th byte; and into single bytes.
#[track_caller]
fn check_cuts(body: &[u8], want: Want<'_>, step: usize) {
    let want = want.map(|(parts, done)| (parts.to_vec(), done));
    for cut in (0..=body.len()).step_by(step) {
        let (front, back) = body.split_at(cut);
        let got = decode(&[front, back], Limits::default());
        assert_eq!(got, want, "{} cut at {cut}", body.escape_ascii());
    }
    let bytes: Vec<&[u8]> = body.chunks(1).collect();
    assert_eq!(decode(&bytes, Limits::default()), want, "{}", body.escape_ascii());
}

use super::*;
use BodyError as E;

#[test]
fn a_length_ends_the_body_and_leaves_the_rest() {
    check(Framing::Length(5), b"helloGET /", Ok(("hello", 5)));
    check(Framing::Length(5), b"hello", Ok(("hello", 5)));
    check(Framing::Length(5), b"hell", Err(E::Truncated));
    check(Framing::Length(0), b"GET /", Ok(("", 0)));
    check(Framing::Empty, b"GET /", Ok(("", 0)));
}

#[test]
fn the_close_ends_a_body_that_nothing_else_ends() {
    check(Framing::UntilClose, b"hello", Ok(("hello", 5)));
    check(Framing::UntilClose, b"", Ok(("", 0)));
    check(Framing::UntilClose, &[b'x'; 1001], Err(E::TooLarge));
}

#[test]
fn chunks_are_joined_and_the_rest_is_left() {
    chunked("5\r\nhello\r\n0\r\n\r\n", Ok("hello"));
    chunked("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET /", Ok("hello world"));
    chunked("0\r\n\r\nGET /", Ok(""));
    chunked("A\r\n0123456789\r\n0\r\n\r\n", Ok("0123456789"));
    chunked("a\r\n0123456789\r\n000\r\n\r\n", Ok("0123456789"));
    chunked("0000000000000005\r\n\r\n\r\n0\r\n0\r\n\r\n", Ok("\r\n\r\n0"));
}

#[test]
fn a_body_without_its_last_chunk_is_truncated() {
    for text in
        ["", "5", "5\r\n", "5\r\nhell", "5\r\nhello\r\n", "0\r\n", "0\r\n\r", "0\r\nA: b\r\n"]
    {
        chunked(text, Err(E::Truncated));
    }
}

#[test]
fn a_size_line_without_digits_is_refused() {
    chunked("\r\n\r\n", Err(E::ChunkSizeMissing));
    chunked(";a\r\n", Err(E::ChunkSizeMissing));
    chunked("5\r\nhello\r\n\r\n", Err(E::ChunkSizeMissing));
}

#[test]
fn a_size_is_one_to_sixteen_hexadecimal_digits() {
    for text in [
        "+5\r\n",
        "-1\r\n",
        " 5\r\n",
        "5 \r\n",
        "5\t\r\n",
        "0x5\r\n",
        "1_0\r\n",
        "g\r\n",
        "5,\r\n",
        "5.0\r\n",
        "2 x\r\n",
        "5\u{661}\r\n",
        "\u{0}5\r\n",
        "5\0\r\n",
        "5=\r\n",
        "5\"\r\n",
    ] {
        chunked(text, Err(E::ChunkSizeByte));
    }
    chunked("00000000000000005\r\nhello", Err(E::ChunkSizeTooLong));
    chunked("FFFFFFFFFFFFFFFF0\r\nhello", Err(E::ChunkSizeTooLong));
    chunked("FFFFFFFFFFFFFFFF\r\nhello", Err(E::TooLarge));
    chunked("5\r\nhello\r\nFFFFFFFFFFFFFFFB\r\nhello", Err(E::TooLarge));
}

#[test]
fn size_lines_end_in_crlf_only() {
    chunked("5\nhello\r\n0\r\n\r\n", Err(E::BareLf));
    chunked("5\rhello\r\n0\r\n\r\n", Err(E::BareCr));
    chunked("5\r\r\nhello\r\n0\r\n\r\n", Err(E::BareCr));
    chunked("5;a\nhello\r\n0\r\n\r\n", Err(E::BareLf));
    chunked("5;a\rX\r\nhello\r\n0\r\n\r\n", Err(E::BareCr));
    chunked("5;a=\"\n\"\r\nhello\r\n", Err(E::BareLf));
    chunked("0\n\r\n", Err(E::BareLf));
    chunked("0\r\n\n", Err(E::BareLf));
    chunked("0\r\n\r\r\n", Err(E::BareCr));
    chunked("0\r\r\n", Err(E::BareCr));
}

#[test]
fn a_chunk_ends_in_crlf_where_its_size_says() {
    chunked("5\r\nhello0\r\n\r\n", Err(E::ChunkEnd));
    chunked("5\r\nhello!!\r\n0\r\n\r\n", Err(E::ChunkEnd));
    chunked("5\r\nhello\n0\r\n\r\n", Err(E::ChunkEnd));
    chunked("5\r\nhello\r0\r\n\r\n", Err(E::ChunkEnd));
    chunked("5\r\nhello\r\r\n0\r\n\r\n", Err(E::ChunkEnd));
}

#[test]
fn extensions_that_follow_the_grammar_are_ignored() {
    for ext in [
        ";a",
        ";a=b",
        ";a=\"b c\"",
        ";a=\"\"",
        ";a;b=c;d",
        " ;a",
        "\t ; \t a \t= \tb",
        ";a=b ;c",
        ";a=\"\\\"\\\\\";b",
        ";a=\"\u{e4};\t=\"",
        ";!#$=~",
        ";a ;b",
    ] {
        chunked(&format!("5{ext}\r\nhello\r\n0{ext}\r\n\r\n"), Ok("hello"));
    }
}

#[test]
fn extensions_that_do_not_are_refused() {
    for ext in [
        ";",
        "; ",
        ";;",
        ";a;",
        ";=",
        ";=b",
        ";a=",
        ";a=;",
        ";a ",
        ";a=b ",
        ";a=\"b\" ",
        ";a b",
        ";a=b c",
        ";a=\"b",
        ";a=\"b\"c",
        ";a=\"\\",
        ";a\0",
        ";a=\"\0\"",
        ";a=\"\\\0\"",
        ";a\u{7f}",
        ";a=b=c",
        ";\u{e4}",
        ";a=\u{b}",
        ";a,b",
        ";a==b",
    ] {
        chunked(&format!("5{ext}\r\nhello\r\n0\r\n\r\n"), Err(E::ChunkExtension));
    }
}

#[test]
fn size_lines_are_bounded() {
    let room = limits::CHUNK_LINE_BYTES_MAX - "5;\r\n".len();
    chunked(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(room)), Ok("hello"));
    chunked(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(room + 1)), Err(E::ChunkLineTooLong));
    chunked(&format!("5{}", " ".repeat(1000)), Err(E::ChunkLineTooLong));
}

#[test]
fn trailers_are_checked() {
    chunked("0\r\nA: b\r\nX-C:\r\n\r\nGET", Ok(""));
    chunked("1\r\nx\r\n0\r\nDigest: \u{e4}\tb \r\n\r\n", Ok("x"));
    for line in
        [" A: b", "A : b", "A", ":b", "A\u{e4}: b", "A: b\0", "A: b\u{7f}", "\tA: b", "A b: c"]
    {
        chunked(&format!("0\r\n{line}\r\n\r\n"), Err(E::Trailer));
    }
    chunked("0\r\nA: b\n\r\n", Err(E::BareLf));
    chunked("0\r\nA: b\r\rC: d\r\n\r\n", Err(E::BareCr));
    chunked("0\r\nA: b\r\n c\r\n\r\n", Err(E::Trailer));
}

#[test]
fn trailers_are_kept_in_normal_form_wherever_they_are_cut() {
    for (text, want) in [
        ("0\r\n\r\n", ""),
        ("1\r\nx\r\n0\r\nA:b\r\n\r\n", "A: b\r\n"),
        ("0\r\nA: \t b:  c \t\r\nx-C: \r\nD:\r\n\r\nGET", "A: b:  c\r\nx-C:\r\nD:\r\n"),
    ] {
        for cut in 0..=text.len() {
            let (front, back) = text.as_bytes().split_at(cut);
            let mut decoder = BodyDecoder::new(Framing::Chunked, 1000);
            drain(&mut decoder, front).unwrap();
            assert!(decoder.is_done() || decoder.trailers().is_empty());
            drain(&mut decoder, back).unwrap();
            assert_eq!(decoder.trailers(), want.as_bytes(), "{text:?} cut at {cut}");
        }
    }
}

#[test]
fn kept_trailers_are_bounded_and_need_no_memory_before_they_come() {
    let mut decoder = BodyDecoder::new(Framing::Chunked, 1000);
    drain(&mut decoder, b"1\r\nx\r\n0\r\n").unwrap();
    assert_eq!(decoder.trailers.capacity(), 0);
    let line = format!("A:{}\r\n", "b".repeat(limits::TRAILER_BYTES_MAX / limits::TRAILERS_MAX));
    let lines = line.repeat(limits::TRAILERS_MAX);
    assert_eq!(decoder.decode(lines.as_bytes()), Err(E::TrailerTooLarge));
    assert!(decoder.trailers.len() <= limits::TRAILER_BYTES_MAX + limits::TRAILERS_MAX);
    assert_eq!(decoder.trailers(), b"");
}

#[test]
fn trailers_are_counted() {
    for (count, want) in
        [(limits::TRAILERS_MAX, Ok("")), (limits::TRAILERS_MAX + 1, Err(E::TrailerTooLarge))]
    {
        chunked(&format!("0\r\n{}\r\n", "A:b\r\n".repeat(count)), want);
    }
}

#[test]
fn trailers_about_framing_are_refused() {
    for name in ["Content-Length", "TRANSFER-ENCODING", "host"] {
        chunked(&format!("0\r\nA: b\r\n{name}: 5\r\n\r\n"), Err(E::TrailerForbidden));
    }
    chunked("0\r\nContent-Lengths: 5\r\nHosts: a\r\nTransfer-Encoding-X: b\r\n\r\n", Ok(""));
}

#[test]
fn the_trailer_section_is_bounded() {
    let room = limits::TRAILER_BYTES_MAX - "A:\r\n\r\n".len();
    for (extra, want) in [(0, Ok("")), (1, Err(E::TrailerTooLarge))] {
        let text = format!("0\r\nA:{}\r\n\r\n", "b".repeat(room + extra));
        assert_eq!(
            run(Framing::Chunked, &[text.as_bytes()]).map(|(body, _)| body),
            want.map(Vec::from)
        );
    }
}

#[test]
fn the_maximum_is_told_as_early_as_it_is_known() {
    let first = |framing, input: &[u8]| BodyDecoder::new(framing, 4).decode(input);
    assert_eq!(first(Framing::Length(5), b""), Err(E::TooLarge));
    assert_eq!(first(Framing::Chunked, b"5\r\n"), Err(E::TooLarge));
    assert!(first(Framing::Length(4), b"").is_ok());
    assert!(first(Framing::Chunked, b"4\r\n").is_ok());
    let mut decoder = BodyDecoder::new(Framing::UntilClose, 4);
    assert!(decoder.decode(b"abcd").is_ok());
    assert_eq!(decoder.decode(b"e"), Err(E::TooLarge));
}

#[test]
fn tiny_chunks_pass_and_wasteful_ones_do_not() {
    let body = |line: &str, count: usize| {
        let text = line.repeat(count) + "0\r\n\r\n";
        let mut decoder = BodyDecoder::new(Framing::Chunked, u64::MAX);
        drain(&mut decoder, text.as_bytes()).map(|_| ())
    };
    assert_eq!(body("1\r\nx\r\n", 100_000), Ok(()));
    assert_eq!(body("1;aaa\r\nx\r\n", 100_000), Err(E::OverheadTooHigh));
    assert_eq!(body("0000000000000001\r\nx\r\n", 100_000), Err(E::OverheadTooHigh));
    assert_eq!(body("0000000000000001\r\nx\r\n", 800), Ok(()));
}

#[test]
fn remaining_is_what_comes_without_framing_between() {
    let mut decoder = BodyDecoder::new(Framing::Chunked, 100);
    assert_eq!(decoder.remaining(), Some(0));
    let step = decoder.decode(b"a\r\nxyz").unwrap();
    assert_eq!(step, Step { consumed: 6, event: BodyEvent::Data { start: 3, len: 3 } });
    assert_eq!(decoder.remaining(), Some(7));
    assert!(!decoder.skip(8));
    assert!(decoder.skip(7));
    assert_eq!(decoder.remaining(), Some(0));
    assert_eq!(decoder.payload(), 10);
    let step = decoder.decode(b"\r\n0\r\n\r\nG").unwrap();
    assert_eq!(step, Step { consumed: 7, event: BodyEvent::End });
    assert!(decoder.is_done() && !decoder.skip(1));

    let mut decoder = BodyDecoder::new(Framing::Length(9), 100);
    assert_eq!(decoder.remaining(), Some(9));
    assert!(decoder.skip(9) && decoder.is_done());

    let mut decoder = BodyDecoder::new(Framing::UntilClose, 100);
    assert_eq!(decoder.remaining(), None);
    assert!(decoder.skip(100) && !decoder.skip(1) && !decoder.is_done());
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn an_error_repeats_itself() {
    let mut decoder = BodyDecoder::new(Framing::Chunked, 100);
    assert_eq!(decoder.decode(b"x"), Err(E::ChunkSizeByte));
    assert_eq!(decoder.decode(b"0\r\n\r\n"), Err(E::ChunkSizeByte));
    assert_eq!(decoder.finish(), Err(E::ChunkSizeByte));
    assert!(!decoder.is_done() && !decoder.skip(1));
}

/// Whatever comes, nothing panics, no step stands still, and cuts change nothing.
#[test]
fn chance_bodies_are_read_alike_in_any_pieces() {
    let words =
        ["0", "5", "a", "\r\n", "\r", "\n", ";", "x=y", "\"", "\\", "hello", " ", "T: v", ":"];
    let mut prng = crate::base::prng::Prng::new(11);
    for _ in 0..3000 {
        let mut text = String::new();
        for _ in 0..prng.below(14) {
            text.push_str(words[usize::try_from(prng.below(14)).unwrap()]);
        }
        let whole = run(Framing::Chunked, &[text.as_bytes()]);
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(run(Framing::Chunked, &bytes), whole, "{text:?}");
    }
}

#[track_caller]
fn chunked(text: &str, want: Result<&str, BodyError>) {
    let want = want.map(|body| (body.as_bytes().to_vec(), text.rfind("GET").unwrap_or(text.len())));
    for cut in 0..=text.len() {
        let (front, back) = text.as_bytes().split_at(cut);
        assert_eq!(run(Framing::Chunked, &[front, back]), want, "{text:?} cut at {cut}");
    }
}

#[track_caller]
fn check(framing: Framing, input: &[u8], want: Result<(&str, usize), BodyError>) {
    let want = want.map(|(body, used)| (body.as_bytes().to_vec(), used));
    for cut in 0..=input.len() {
        let (front, back) = input.split_at(cut);
        assert_eq!(run(framing, &[front, back]), want, "cut at {cut}");
    }
}

/// Decodes the parts as they arrive: the payload, and the bytes that were used.
fn run(framing: Framing, parts: &[&[u8]]) -> Result<(Vec<u8>, usize), BodyError> {
    let mut decoder = BodyDecoder::new(framing, 1000);
    let mut body = Vec::new();
    let mut used = 0;
    for part in parts {
        let (data, consumed) = drain(&mut decoder, part)?;
        body.extend(data);
        used += consumed;
    }
    decoder.finish()?;
    Ok((body, used))
}

fn drain(decoder: &mut BodyDecoder, part: &[u8]) -> Result<(Vec<u8>, usize), BodyError> {
    let mut body = Vec::new();
    let mut used = 0;
    loop {
        let rest = &part[used..];
        let Step { consumed, event } = decoder.decode(rest)?;
        used += consumed;
        match event {
            BodyEvent::Data { start, len } => {
                assert!(len > 0 && start + len == consumed);
                body.extend_from_slice(&rest[start..start + len]);
            }
            BodyEvent::NeedMore => {
                assert_eq!(consumed, rest.len());
                return Ok((body, used));
            }
            BodyEvent::End => {
                assert!(decoder.is_done());
                return Ok((body, used));
            }
        }
    }
}

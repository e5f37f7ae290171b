//! Facts about paths.

use super::*;
use crate::base::prng::Prng;

#[track_caller]
fn check(raw: &str, want: &str, oddities: Oddities) {
    let mut buffer = Vec::new();
    let got = normalise(raw.as_bytes(), &mut buffer).unwrap_or_else(|e| panic!("{raw}: {e:?}"));
    assert_eq!((str::from_utf8(got.text), got.oddities), (Ok(want), oddities), "{raw}");
    // The normal form of the normal form is itself, with the oddities that are still in it.
    let left = Normal { oddities: got.oddities.without(Oddities::DOTS), ..got };
    let mut again = Vec::new();
    assert_eq!(normalise(got.text, &mut again), Ok(left), "{raw}");
}

#[track_caller]
fn refused(raw: &[u8], want: PathError) {
    let got = normalise(raw, &mut Vec::new()).map(|normal| normal.oddities);
    assert_eq!(got, Err(want), "{}", raw.escape_ascii());
}

#[track_caller]
fn read(path: &str, reader: Reader, want: Result<&str, PathError>) {
    let mut out = Vec::new();
    let got = lenient(path.as_bytes(), reader, &mut out);
    let got = got.map(|()| str::from_utf8(&out).unwrap());
    assert_eq!(got, want, "{path} {reader:?}");
}

#[test]
fn a_plain_path_is_normal_and_is_not_copied() {
    let raw = b"/api/v1/a.b-c_d~e/!$&'()*+,=:@/";
    let mut buffer = Vec::new();
    let normal = normalise(raw, &mut buffer).unwrap();
    assert!(std::ptr::eq(normal.text, raw.as_slice()) && buffer.is_empty());
    for path in ["/", "/a", "/a/", "/a/b", "/a..b", "/a.", "/a/b.c"] {
        check(path, path, Oddities::NONE);
    }
}

#[test]
fn dot_segments_are_resolved_after_empty_ones_are_dropped() {
    for (raw, want) in [
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/.", "/"),
        ("/a//../b", "/b"),
        ("/a/b/c/./../../g", "/a/g"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a/%2e/b", "/a/b"),
    ] {
        check(raw, want, Oddities::DOTS);
    }
    for (raw, want) in [
        ("//", "/"),
        ("//a//b//", "/a/b/"),
        ("/a/.../b", "/a/.../b"),
        ("/.well-known/x", "/.well-known/x"),
        ("/..a/.b", "/..a/.b"),
    ] {
        check(raw, want, Oddities::NONE);
    }
}

#[test]
fn escapes_have_one_form() {
    check("/%41%7e%2d", "/A~-", Oddities::NONE);
    check("/a%20b%c3%a9", "/a%20b%C3%A9", Oddities::NONE);
    check("/a|b\"<>^`{}[]", "/a%7Cb%22%3C%3E%5E%60%7B%7D%5B%5D", Oddities::NONE);
    check("/a%7cb", "/a%7Cb", Oddities::NONE);
    // Reserved characters and their escapes are not the same to every back end.
    check("/a%21b!%2B+", "/a%21b!%2B+", Oddities::NONE);
    check("/100%25", "/100%25", Oddities::NONE);
}

#[test]
fn what_can_be_read_in_two_ways_is_odd() {
    for (raw, want, oddity) in [
        ("/a%2fb", "/a%2Fb", Oddities::SLASH),
        ("/a\\b", "/a%5Cb", Oddities::BACKSLASH),
        ("/a%5cb", "/a%5Cb", Oddities::BACKSLASH),
        ("/a%252fb", "/a%252fb", Oddities::DOUBLE),
        ("/a%25%32%66", "/a%252f", Oddities::DOUBLE),
        ("/a;x=1/b", "/a;x=1/b", Oddities::PARAMETER),
        ("/a%3bx", "/a%3Bx", Oddities::PARAMETER),
        ("/a%09", "/a%09", Oddities::CONTROL),
        ("/a%7f", "/a%7F", Oddities::CONTROL),
        ("/caf%e9", "/caf%E9", Oddities::NOT_UTF8),
        ("/%ed%a0%80", "/%ED%A0%80", Oddities::NOT_UTF8),
        ("/a%ef%bc%8fb", "/a%EF%BC%8Fb", Oddities::ALIKE),
        ("/a%ef%bc%bcb", "/a%EF%BC%BCb", Oddities::ALIKE),
        ("/%ef%bc%8e%ef%bc%8e/a", "/%EF%BC%8E%EF%BC%8E/a", Oddities::ALIKE),
        ("/.%e3%80%82/a", "/.%E3%80%82/a", Oddities::ALIKE),
        ("/%e2%80%a5/a", "/%E2%80%A5/a", Oddities::ALIKE),
        ("/who%3f", "/who%3F", Oddities::DELIMITER),
        ("/c%23", "/c%23", Oddities::DELIMITER),
    ] {
        check(raw, want, oddity);
    }
    check("/a%e3%80%82b", "/a%E3%80%82b", Oddities::NONE);
    check("/..;/a%2fb", "/..;/a%2Fb", Oddities::PARAMETER.with(Oddities::SLASH));
}

#[test]
fn what_no_policy_takes_is_refused() {
    for raw in [&b""[..], b"*", b"a/b", b"%2fa"] {
        refused(raw, PathError::NotAbsolute);
    }
    for raw in [&b"/a b"[..], b"/a?b", b"/a#b", b"/\xc3\xa9", b"/a\0", b"/a\r\n", b"/\x7f"] {
        refused(raw, PathError::Byte);
    }
    for raw in [&b"/%"[..], b"/%2", b"/%2g/a", b"/%u002e", b"/a%", b"/%%20", b"/% 2"] {
        let want = if raw.contains(&b' ') { PathError::Byte } else { PathError::Escape };
        refused(raw, want);
    }
    for raw in [&b"/a%00"[..], b"/a%0d", b"/%0aSet-Cookie:"] {
        refused(raw, PathError::Break);
    }
    for raw in [&b"/%c0%af"[..], b"/%c0%ae%c0%ae/", b"/%e0%80%af", b"/%f0%80%80%af", b"/%c1%9c"] {
        refused(raw, PathError::Overlong);
    }
    for raw in [&b"/.."[..], b"/../a", b"/a/../..", b"/%2e%2e/", b"//..", b"/./../a"] {
        refused(raw, PathError::AboveRoot);
    }
}

#[test]
fn a_lenient_reader_decodes_to_the_end() {
    use Reader::{Cutting, CuttingWithoutDots, Ending, KeepingWithoutDots};
    read("/a%2F..%2Fb", Cutting, Ok("/b"));
    read("/a%252f%2e%252e%5Cb", Cutting, Ok("/b"));
    read("/a%25252525252fb", Cutting, Ok("/a/b"));
    read("/a;x/..;y/b", Cutting, Ok("/b"));
    read("/a%3Bx/b", Cutting, Ok("/a/b"));
    read("/a%3Bx/b", KeepingWithoutDots, Ok("/a;x/b"));
    read("/;x/a", CuttingWithoutDots, Ok("/a"));
    read("/a%2Fb", CuttingWithoutDots, Ok("/a/b"));
    read("/a/..;/b", CuttingWithoutDots, Err(PathError::AboveRoot));
    read("/a/..;/b", KeepingWithoutDots, Ok("/a/..;/b"));
    read("/a/%252e/b", KeepingWithoutDots, Err(PathError::AboveRoot));
    read("/a/..%2F..%2F..", Cutting, Err(PathError::AboveRoot));
    read("/a%2500b", Cutting, Err(PathError::Break));
    for reader in [Cutting, CuttingWithoutDots, KeepingWithoutDots, Ending] {
        read("/a/%25c0%25ae%25c0%25ae/b", reader, Err(PathError::Overlong));
        read("/a;%25c0%25af/b", reader, Err(PathError::Overlong));
        read("/a%C0/b", reader, Ok("/a%C0/b"));
    }
    read("/100%25", Cutting, Ok("/100%25"));
    read("/a%EF%BC%8Fb", KeepingWithoutDots, Ok("/a/b"));
    read("/a%EF%BC%8Fb", Cutting, Ok("/a%EF%BC%8Fb"));
    read("/x%E3%80%82y", Cutting, Ok("/x%E3%80%82y"));
    read("/private%3Fx/y", Ending, Ok("/private"));
    read("/%3Fx", Ending, Ok("/"));
    read("/private%2523x", Ending, Ok("/private"));
}

#[test]
fn escapes_of_escapes_cost_no_more_than_their_bytes() {
    let long = format!("/{}41", "%25".repeat(2000).replace("%25%", "%25"));
    let nested = format!("/%{}41", "25".repeat(4000));
    for path in [long, nested] {
        let mut out = Vec::new();
        lenient(path.as_bytes(), Reader::Cutting, &mut out).unwrap();
        assert!(out.len() < path.len());
    }
    read(&format!("/%{}41", "25".repeat(4000)), Reader::Cutting, Ok("/A"));
}

/// A path as a back end reads it that decodes `times` times, takes `\` for `/`, cuts parameters,
/// drops empty segments and resolves dots. Written without a look at the code above.
fn back_end(path: &[u8], times: usize) -> Vec<Vec<u8>> {
    let mut bytes = path.to_vec();
    for _ in 0..times {
        let mut out = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let digits = bytes.get(at + 1..at + 3).and_then(|d| str::from_utf8(d).ok());
            let value = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
            let value = value.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            let value = value.filter(|_| bytes[at] == b'%');
            out.push(value.unwrap_or(bytes[at]));
            at += if value.is_some() { 3 } else { 1 };
        }
        bytes = out;
    }
    let mut stack: Vec<Vec<u8>> = Vec::new();
    for segment in bytes.split(|b| matches!(b, b'/' | b'\\')) {
        match segment.split(|b| *b == b';').next().unwrap() {
            b"" | b"." => {}
            b".." => {
                stack.pop();
            }
            other => stack.push(other.to_vec()),
        }
    }
    stack
}

const PIECES: [&str; 24] = [
    "/", "/", "/", ".", "..", "%2e", "%2E%2e", "%2f", "%5c", "\\", ";", "%3b", "%25", "%", "25",
    "2f", "2e", "5C", "a", "b", "private", "%c3%a9", "%32", "%20",
];

fn any_path(prng: &mut Prng) -> String {
    let count = prng.below(12);
    let piece = |_| PIECES[usize::try_from(prng.below(24)).unwrap()];
    std::iter::once("/").chain((0..count).map(piece)).collect()
}

#[test]
fn every_back_end_reads_a_strict_path_alike() {
    let mut prng = Prng::new(0x5eed);
    let mut taken = 0;
    for _ in 0..60_000 {
        let raw = any_path(&mut prng);
        let mut buffer = Vec::new();
        let Ok(normal) = normalise(raw.as_bytes(), &mut buffer) else { continue };
        let text = normal.text.to_vec();
        let mut again = Vec::new();
        let again = normalise(&text, &mut again).unwrap();
        assert_eq!(again.text, text, "{raw}");
        assert!(again.oddities.without(normal.oddities).is_empty(), "{raw}");
        let is_strict = normal.oddities.common(PathPolicy::Strict.refuses()).is_empty();
        let one = back_end(&text, 1);
        if is_strict {
            taken += 1;
            assert_eq!(one, back_end(&text, 2), "{raw}");
            assert_eq!(one, back_end(&text, 9), "{raw}");
            let segments = text.split(|b| *b == b'/').filter(|s| !s.is_empty()).count();
            assert_eq!(segments, one.len(), "{raw}");
        }
        // What is read leniently is read by everyone as that.
        let mut out = Vec::new();
        if lenient(&text, Reader::Cutting, &mut out).is_ok() {
            assert_eq!(back_end(&out, 1), back_end(&text, 99), "{raw}");
            assert_eq!(back_end(&out, 1), back_end(&out, 9), "{raw}");
            let again = normalise(&out, &mut buffer).unwrap();
            let bytes = Oddities::NOT_UTF8.with(Oddities::CONTROL);
            assert!(again.text == out && again.oddities.without(bytes).is_empty(), "{raw}");
        }
    }
    assert!(taken > 2000, "{taken}");
}

#[test]
fn any_bytes_are_taken_or_refused() {
    let mut prng = Prng::new(3);
    for _ in 0..20_000 {
        let mut raw = vec![0; usize::try_from(prng.below(16)).unwrap() + 1];
        prng.fill(&mut raw);
        raw[0] = b'/';
        let mut buffer = Vec::new();
        if let Ok(normal) = normalise(&raw, &mut buffer) {
            assert!(normal.text.iter().all(u8::is_ascii_graphic));
        }
    }
}

#[test]
fn policies_have_their_names() {
    for name in PathPolicy::NAMES {
        assert_eq!(PathPolicy::from_name(name).unwrap().name(), *name);
    }
    assert_eq!(PathPolicy::from_name("lax"), None);
    assert!(Oddities::NONE.text().is_empty() && !Oddities::DELIMITER.text().is_empty());
}

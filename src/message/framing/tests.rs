use super::*;
use FramingError as E;

const LENGTH: &str = "content-length";
const CODING: &str = "transfer-encoding";

#[test]
fn a_length_is_one_to_nineteen_digits() {
    length("0", Some(0));
    length("5", Some(5));
    length("003", Some(3));
    length("9999999999999999999", Some(9_999_999_999_999_999_999));
    for bad in [
        "",
        " ",
        "+5",
        "-5",
        "5 ",
        " 5",
        "5,5",
        "5, 5",
        "0x5",
        "5.0",
        "5e1",
        "1_0",
        "5;",
        "\u{665}",
        "10000000000000000000",
        "00000000000000000000",
        "five",
    ] {
        length(bad, None);
    }
}

#[test]
fn a_request_without_framing_fields_has_no_body() {
    request(Method::Post, Version::Http11, &[], Ok(Framing::Empty));
    request(Method::Get, Version::Http10, &[], Ok(Framing::Empty));
}

#[test]
fn length_and_coding_together_are_refused() {
    let both = [(LENGTH, "5"), (CODING, "chunked")];
    request(Method::Post, Version::Http11, &both, Err(E::LengthAndCoding));
    request(Method::Post, Version::Http10, &both, Err(E::LengthAndCoding));
    let both = [(CODING, "chunked"), (LENGTH, "0")];
    request(Method::Post, Version::Http11, &both, Err(E::LengthAndCoding));
    let other = [(CODING, "identity"), (LENGTH, "5")];
    request(Method::Post, Version::Http11, &other, Err(E::LengthAndCoding));
    response(Method::Get, 200, &both, Err(E::LengthAndCoding));
    response(Method::Head, 200, &both, Err(E::LengthAndCoding));
    response(Method::Get, 304, &both, Err(E::LengthAndCoding));
}

#[test]
fn repeated_framing_fields_are_refused_even_when_equal() {
    let post = |fields: &[(&str, &str)], want| request(Method::Post, Version::Http11, fields, want);
    post(&[(LENGTH, "5"), (LENGTH, "5")], Err(E::LengthRepeated));
    post(&[(LENGTH, "5"), (LENGTH, "6")], Err(E::LengthRepeated));
    post(&[(CODING, "chunked"), (CODING, "chunked")], Err(E::CodingRepeated));
    post(&[(CODING, "chunked"), (CODING, "identity")], Err(E::CodingRepeated));
    post(&[(CODING, "identity"), (CODING, "chunked")], Err(E::CodingRepeated));
}

#[test]
fn no_coding_but_chunked_is_taken() {
    let post = |value, want| request(Method::Post, Version::Http11, &[(CODING, value)], want);
    post("chunked", Ok(Framing::Chunked));
    post("ChUnKeD", Ok(Framing::Chunked));
    for single in ["gzip", "identity", "xchunked", "chunkedchunked", "chunke", "\'chunked\'"] {
        post(single, Err(E::CodingUnsupported));
    }
    for odd in [
        "",
        ",chunked",
        "chunked,",
        "chunked, chunked",
        "gzip, chunked",
        "chunked, gzip",
        "chunked;q=1",
        "chunked ",
        "\"chunked\"",
        "chunked\u{b}",
        "chun ked",
        "chunked\u{a0}",
    ] {
        post(odd, Err(E::CodingInvalid));
    }
}

#[test]
fn coding_is_refused_before_http_11() {
    let fields = [(CODING, "chunked")];
    request(Method::Post, Version::Http10, &fields, Err(E::CodingBeforeHttp11));
    request(Method::Post, Version::Http2, &fields, Err(E::CodingBeforeHttp11));
}

#[test]
fn connect_and_trace_have_no_body() {
    for method in [Method::Connect, Method::Trace] {
        request(method, Version::Http11, &[(LENGTH, "5")], Err(E::BodyForbidden));
        request(method, Version::Http11, &[(CODING, "chunked")], Err(E::BodyForbidden));
        request(method, Version::Http11, &[(LENGTH, "0")], Ok(Framing::Length(0)));
        request(method, Version::Http11, &[], Ok(Framing::Empty));
    }
}

#[test]
fn some_responses_have_no_body_whatever_they_say() {
    for fields in [&[][..], &[(LENGTH, "5")], &[(CODING, "chunked")]] {
        response(Method::Head, 200, fields, Ok(Framing::Empty));
        response(Method::Get, 304, fields, Ok(Framing::Empty));
        response(Method::Get, 204, fields, Ok(Framing::Empty));
        response(Method::Connect, 200, fields, Ok(Framing::Empty));
    }
    response(Method::Get, 100, &[], Ok(Framing::Empty));
    response(Method::Get, 101, &[], Ok(Framing::Empty));
    response(Method::Get, 103, &[(LENGTH, "5")], Err(E::BodyForbidden));
    response(Method::Get, 101, &[(CODING, "chunked")], Err(E::BodyForbidden));
}

#[test]
fn other_responses_end_by_coding_length_or_close() {
    for (method, status) in [(Method::Get, 200), (Method::Post, 500), (Method::Connect, 403)] {
        response(method, status, &[(LENGTH, "5")], Ok(Framing::Length(5)));
        response(method, status, &[(CODING, "chunked")], Ok(Framing::Chunked));
        response(method, status, &[], Ok(Framing::UntilClose));
    }
}

#[test]
fn a_204_that_announces_a_body_is_odd() {
    for (status, value, want) in [(204, "0", false), (204, "5", true), (304, "5", false)] {
        let mut fields = FramingFields::default();
        fields.add_length(value.as_bytes()).unwrap();
        assert_eq!(fields.is_odd(status), want, "{status} {value}");
    }
}

#[track_caller]
fn length(value: &str, want: Option<u64>) {
    assert_eq!(parse_length(value.as_bytes()), want.ok_or(E::LengthInvalid), "{value:?}");
}

fn gather(fields: &[(&str, &str)]) -> Result<FramingFields, FramingError> {
    let mut out = FramingFields::default();
    for (name, value) in fields {
        if *name == LENGTH {
            out.add_length(value.as_bytes())?;
        } else {
            out.add_coding(value.as_bytes())?;
        }
    }
    Ok(out)
}

#[track_caller]
fn request(
    method: Method,
    version: Version,
    fields: &[(&str, &str)],
    want: Result<Framing, FramingError>,
) {
    let got = gather(fields).and_then(|framing| framing.request(method, version));
    assert_eq!(got, want, "{method:?} {version:?} {fields:?}");
}

#[track_caller]
fn response(
    method: Method,
    status: u16,
    fields: &[(&str, &str)],
    want: Result<Framing, FramingError>,
) {
    let got = gather(fields).and_then(|framing| framing.response(method, Version::Http11, status));
    assert_eq!(got, want, "{method:?} {status} {fields:?}");
}

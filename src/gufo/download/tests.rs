use super::*;

fn reply(values: &[(&str, &str)]) -> Reply {
    let mut reply = Reply::new();
    for (key, json) in values {
        reply.set(key, json);
    }
    reply
}

#[test]
fn inline_files_are_served_as_they_are() {
    let reply = reply(&[
        ("file", "\"aGk=\\n\\u00e4\""),
        ("isbase64", "true"),
        ("filetype", "\"text/plain\""),
        ("filename", "\"../a b.txt\""),
    ]);
    let got = download(&reply).unwrap().unwrap();
    assert_eq!((got.body.as_ref(), got.content_type.as_ref()), ("aGk=\nä", "text/plain"));
    assert_eq!(got.disposition, "attachment; filename=\"a b.txt\"");
}

#[test]
fn paths_of_the_gateway_are_refused() {
    for isbase64 in [None, Some("false"), Some("\"true\""), Some("1"), Some("null")] {
        let mut values = vec![("file", "\"/etc/passwd\"")];
        values.extend(isbase64.map(|value| ("isbase64", value)));
        assert_eq!(download(&reply(&values)), Err(FilePathRefused), "{isbase64:?}");
    }
}

#[test]
fn other_answers_are_no_downloads() {
    assert_eq!(download(&reply(&[("message", "\"file\"")])), Ok(None));
    assert_eq!(download(&reply(&[("file", "{\"name\":\"a\"}"), ("isbase64", "true")])), Ok(None));
}

fn description(meta: &[(&'static str, &'static str)]) -> Result<Description, Malformed> {
    let said = Said { meta: meta.to_vec(), ..Said::default() };
    let mut description = Description::default();
    description.add(&said, &Reply::new()).map(|()| description)
}

#[test]
fn a_stream_is_what_its_service_says_of_it() {
    let got = description(&[
        ("filename", "a.mp4"),
        ("filetype", "video/mp4"),
        ("size", "1234"),
        ("etag", "\"x\""),
        ("disposition", "inline"),
    ])
    .unwrap();
    assert_eq!((got.content_type(), got.length()), ("video/mp4", Some(1234)));
    assert_eq!(got.disposition(), "inline; filename=\"a.mp4\"");
    assert_eq!((got.etag.as_deref(), got.range()), (Some("\"x\""), None));
    let got = description(&[("size", "1234"), ("Content-Range", "bytes 10-19/1234")]).unwrap();
    assert_eq!((got.length(), got.range().unwrap().text.as_str()), (Some(10), "bytes 10-19/1234"));
    let nothing = description(&[]).unwrap();
    assert_eq!(nothing.content_type(), "application/octet-stream");
    assert_eq!((nothing.disposition().as_str(), nothing.length()), ("attachment", None));
    let mut values = reply(&[("size", "7"), ("filetype", "\"text/csv\"")]);
    values.set("filename", "\"b.csv\"");
    let said = Said { more: true, ..Said::default() };
    let mut got = Description::default();
    got.add(&said, &values).unwrap();
    assert_eq!((got.content_type(), got.length()), ("text/csv", Some(7)));
    // A message that says nothing of it changes nothing.
    got.add(&Said::default(), &Reply::new()).unwrap();
    assert_eq!(got.disposition(), "attachment; filename=\"b.csv\"");
}

#[test]
fn lengths_and_ranges_that_are_none_are_faults() {
    for (key, value) in [
        ("size", "-1"),
        ("size", "1.5"),
        ("size", ""),
        ("size", "99999999999999999999"),
        ("Content-Range", "bytes 5-4/10"),
        ("Content-Range", "bytes 0-10/10"),
        ("Content-Range", "bytes 0-18446744073709551615/*"),
        ("Content-Range", "bytes */10"),
        ("Content-Range", "0-1/2"),
        ("Content-Range", "bytes 0-1/2\r\nx: y"),
    ] {
        assert_eq!(description(&[(key, value)]), Err(Malformed), "{key}: {value}");
    }
    assert_eq!(description(&[("etag", "x\r\ny")]).unwrap().etag, None);
}

#[test]
fn what_could_break_a_header_is_replaced() {
    let values = [
        ("file", "\"x\""),
        ("isbase64", "true"),
        ("filetype", "\"text/html\\r\\nSet-Cookie: a=b\""),
    ];
    let got = reply(&values);
    let got = download(&got).unwrap().unwrap();
    assert_eq!(got.content_type, "application/octet-stream");
    assert_eq!(got.disposition, "attachment");
    for (name, want) in [
        ("a\"b\r\nc.txt", "attachment; filename=\"a_bc.txt\"; filename*=UTF-8''a%22bc.txt"),
        ("ä 1.jpg", "attachment; filename=\"_ 1.jpg\"; filename*=UTF-8''%C3%A4%201.jpg"),
        ("50%.txt", "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
        ("", "attachment; filename=\"upload.bin\""),
    ] {
        assert_eq!(disposition("attachment", name), want);
    }
}

#[test]
fn a_path_leads_through_names_below_its_root() {
    for (path, want) in [
        ("/srv/files/a/b.txt", Some("a|b.txt")),
        ("a/b.txt", Some("a|b.txt")),
        ("/srv/filesx/a", None),
        ("/etc/passwd", None),
        ("/srv/files", None),
        ("/srv/files/", None),
        ("/srv/files/../../etc/passwd", None),
        ("../a", None),
        ("a//b", None),
        ("./a", None),
        ("a\0b", None),
        ("", None),
    ] {
        for root in ["/srv/files", "/srv/files/"] {
            let got = names_below(root, path).map(|names| names.join("|"));
            assert_eq!(got.as_deref(), want, "{path}");
        }
    }
    let named = reply(&[("file", "\"a\""), ("filename", "\"b\"")]);
    assert_eq!(local(&named).unwrap().path, "a");
    assert_eq!(local(&reply(&[("file", "\"a\""), ("isbase64", "true")])), None);
}

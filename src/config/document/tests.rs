//! Facts about reading TOML leniently where Gufo did, and strictly elsewhere.

use super::*;

/// `path=raw` of every value, `path<-variable`, and `code@line: message; way out` of every flaw.
fn describe(text: &str) -> Vec<String> {
    let parsed = parse(text);
    let contents = parsed.contents();
    let line = |span: &Range<usize>| 1 + text[..span.start].matches('\n').count();
    let flaw = |flaw: &Flaw| {
        let Flaw { code, span, message, way_out } = flaw;
        format!("{}@{}: {message}; {way_out}", code.text(), line(span))
    };
    let leaf = |leaf: &Leaf<'_>| format!("{}={}", leaf.path, &text[leaf.span.clone()]);
    let indirect = |i: &Indirect| format!("{}<-{}", i.path, i.variable);
    contents
        .leaves
        .iter()
        .map(leaf)
        .chain(contents.indirect.iter().map(indirect))
        .chain(parsed.flaws.iter().map(flaw))
        .chain(contents.flaws.iter().map(flaw))
        .collect()
}

#[track_caller]
fn check(text: &str, want: &[&str]) {
    assert_eq!(describe(text), want, "{text}");
}

#[test]
fn values_are_found_in_every_form_of_table() {
    check("[server]\nport = 1\n", &["server.port=1"]);
    check("server.port = 1", &["server.port=1"]);
    check("server = { port = 1 }", &["server.port=1"]);
    check(
        "[microservices]\nstorage = { port = 1, pool = { idle = \"5m\" } }\n\
         [microservices.b.retry]\nattempts = 2",
        &[
            "microservices.storage.port=1",
            "microservices.storage.pool.idle=\"5m\"",
            "microservices.b.retry.attempts=2",
        ],
    );
    check("[x-mine]\nanything = 1\n", &[]);
}

#[test]
fn lists_of_tables_are_numbered() {
    let want = ["route.000000.id=\"a\"", "route.000001.id=\"b\""];
    check("[[route]]\nid = \"a\"\n[[route]]\nid = \"b\"\n", &want);
    check("route = [{ id = \"a\" }, { id = \"b\" }]", &want);
    check("[route]\nid = \"a\"", &["OT0103@1: `route` is a list of tables; write [[route]]"]);
    check("route = [1]", &["OT0103@1: `route` is a list of tables; write [[route]]"]);
}

#[test]
fn a_value_may_be_in_a_variable() {
    check("[server]\nsign_env = \"MINE\"", &["server.sign<-MINE"]);
    check("[server]\nsign = { env = \"MINE\" }", &["server.sign<-MINE"]);
    check("[security]\nsign_env = \"MINE\"", &["server.sign<-MINE"]);
    check("[security]\nsign = \"a\"", &["server.sign=\"a\""]);
    check("[database]\npassword_env = \"MINE\"", &["database.password<-MINE"]);
    check(
        "[server]\nsign_env = \"a b\"",
        &["OT0106@2: this is not the name of a variable; write one such as \"GUFO_SIGN\""],
    );
    check(
        "[server]\nport_env = \"MINE\"",
        &["OT0102@2: unknown key `port_env`; see docs/config.md"],
    );
    check("[server]\nsign = { file = \"a\" }", &["OT0103@2: `sign` is a table; write one value"]);
}

#[test]
fn unknown_keys_are_refused_with_what_was_meant() {
    check("[server]\nprot = 1", &["OT0102@2: unknown key `prot`; did you mean `port`?"]);
    check("[sever]\nport = 1", &["OT0102@1: unknown table [sever]; did you mean `server`?"]);
    check(
        "\"a b\" = 1",
        &["OT0102@1: the key \"a b\" has characters that no key has; use letters, digits, - and _"],
    );
    check("server = 1", &["OT0103@1: `server` is a table; write [server]"]);
    check("[server.port]\na = 1", &["OT0103@1: `port` is a table; write one value"]);
    check("[[server.port]]\na = 1", &["OT0103@1: `port` is a list of tables; write one value"]);
}

#[test]
fn a_broken_line_does_not_hide_the_others() {
    check(
        "[server]\nport = = 1\nip = \"a\nio = \"epoll\"\n",
        &[
            "server.io=\"epoll\"",
            "OT0101@2: extra `=`; expected nothing",
            "OT0101@3: invalid basic string; expected `\"`",
        ],
    );
    check(
        "[server]\nport = 1\nport = 2\n",
        &["server.port=1", "OT0101@3: the key is written twice; leave one of them out"],
    );
}

#[test]
fn a_broken_header_ends_the_reading() {
    let found = describe("[server\nport = 1\n[limits]\nhead = \"1KiB\"\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("OT0101@1: "), "{found:?}");
}

#[test]
fn a_table_that_is_written_twice_is_read_as_one() {
    let text = "[microservices.session]\nhost = \"a\"\n[server]\nport = 1\n\
                [microservices.session] # again\nport = 2\nhost = \"b\"\n";
    check(
        text,
        &[
            "microservices.session.host=\"a\"",
            "server.port=1",
            "microservices.session.port=2",
            "microservices.session.host=\"b\"",
            "OT0303@5: the table [microservices.session] is written twice, \
         first in line 1; both are read as one; write its keys in one place",
        ],
    );
    check(
        "[server]\nport = 1\n[server]\nip = \"::\"\n[server]\nio = \"epoll\"\n",
        &[
            "server.port=1",
            "server.ip=\"::\"",
            "server.io=\"epoll\"",
            "OT0303@3: the table [server] is written twice, first in line 1; both are read as one; \
         write its keys in one place",
            "OT0303@5: the table [server] is written twice, first in line 1; both are read as one; \
         write its keys in one place",
        ],
    );
}

#[test]
fn what_may_be_a_secret_is_known_to_be_masked() {
    for text in [
        "[server]\nsign = \"hunter2\"",
        "[server]\nmy_password = \"hunter2\"",
        "[server]\nsign = { value = \"hunter2\" }",
        "[server]\nsign = \"hunter2",
        "[server]\nsign_env = \"hunter 2\"",
        "server = { port = 1, token = \"hunter2\" }",
        "servr = { password = \"hunter2\" }",
        "\"my key\" = \"hunter2\"",
    ] {
        let parsed = parse(text);
        let mut secrets = parsed.secrets.clone();
        secrets.extend(parsed.contents().secrets);
        let at = text.find("hunter").unwrap();
        assert!(secrets.iter().any(|secret| secret.contains(&at)), "{text}");
    }
}

#[test]
fn no_text_makes_the_reader_fail() {
    let text = "[microservices.session]\nhost = \"a\"\n[[route]]\nid = '''x\n'''\n\
                [microservices.session]\npool = { idle = [1, {a = 2}] }\nä = \"\\u00e4\"\n";
    let mut prng = crate::base::prng::Prng::new(1);
    for cut in 0..=text.len() {
        let bytes = &text.as_bytes()[..cut];
        let _ = describe(&String::from_utf8_lossy(bytes));
    }
    for _ in 0..500 {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=prng.below(3) {
            let at = usize::try_from(prng.below(u64::try_from(bytes.len()).unwrap())).unwrap();
            bytes[at] = b"[]{}=\"'\n.#, a1\\"[usize::try_from(prng.below(15)).unwrap()];
        }
        let _ = describe(&String::from_utf8_lossy(&bytes));
    }
}

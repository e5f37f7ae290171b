//! Messages of `Reverse`: what `prost` reads we read, an answer is JSON whatever a service says, and
//! calls are as long as foretold.

use std::borrow::Cow;

use otus::gufo::arguments::{from_json, from_query};
use otus::gufo::asked::{Asked, Given};
use otus::gufo::dialect::Dialect;
use otus::gufo::reply::{Reply, ReplyError};
use otus::gufo::request::Call;
use otus::gufo::wire::{self, Reader, Value, WireError};
use otus::proto::{reverse, reverse_c};
use prost::Message;

use super::cuts;

/// The first byte chooses what the rest is.
pub fn run(data: &[u8]) {
    let (mode, data) = cuts::choice(data, 8);
    fields(data);
    match mode {
        0 | 1 => answer(Dialect::B, data),
        2 => answer(Dialect::C, data),
        3 | 4 => asked(false, data),
        5 => asked(true, data),
        6 => from_query(data).map(|args| call(&args)).unwrap_or_default(),
        _ => from_json(data).map(|args| call(&args)).unwrap_or_default(),
    }
}

/// Fields that are read are bytes of the message, and can be written again.
fn fields(data: &[u8]) {
    let mut reader = Reader::new(data);
    let mut out = Vec::new();
    while let Ok(Some((number, value))) = reader.next_field() {
        assert!((1..1 << 29).contains(&number));
        let before = out.len();
        match value {
            Value::Varint(value) => {
                wire::put_varint_field(&mut out, number, value);
                assert_eq!(out.len() - before, wire::varint_field_len(number, value));
            }
            Value::Bytes(bytes) => {
                wire::put_len_field(&mut out, number, bytes);
                assert_eq!(out.len() - before, wire::len_field_len(number, bytes.len()));
            }
            Value::Fixed64(_) | Value::Fixed32(_) => continue,
        }
        let again = Reader::new(&out[before..]).next_field();
        assert_eq!(again, Ok(Some((number, value))));
    }
    assert!(out.len() <= data.len(), "a shorter way to write it");
}

fn answer(dialect: Dialect, data: &[u8]) {
    let mut reply = Reply::new();
    let merged = reply.merge(dialect, data);
    let theirs = if dialect == Dialect::C {
        reverse_c::Response::decode(data).map(|response| response.data).ok()
    } else {
        reverse::Response::decode(data).map(|response| response.data).ok()
    };
    if let Err(error) = merged {
        let strict = matches!(
            error,
            ReplyError::TooManyEntries
                | ReplyError::TooLarge
                | ReplyError::Wire(WireError::TooDeep | WireError::WireType)
        );
        // What an Any holds it does not look at.
        let lax = has_any(data) || !has_whole_maps(data, 1) || !has_whole_maps_within(data, 2);
        assert!(strict || theirs.is_none() || lax, "only we refuse it: {error:?}");
        return;
    }
    let mut out = Vec::new();
    if reply.put_data(&mut out) {
        assert!(json_of(&out).is_none_or(|json| json.is_object()));
    }
    assert!((200..=599).contains(&reply.status()));
    let mut keys: Vec<&str> = reply.values().map(|(key, _)| key).collect();
    keys.sort_unstable();
    assert!(keys.windows(2).all(|two| two[0] != two[1]), "a key twice");
    let Some(theirs) = theirs.filter(|_| has_whole_maps(data, 1)) else { return };
    for (key, any) in &theirs {
        let Some(name) = any.type_url.rsplit('/').next() else { continue };
        let mut quoted = Vec::new();
        otus::gufo::json::put_string(&mut quoted, key);
        let key = str::from_utf8(&quoted[1..quoted.len() - 1]).unwrap();
        let ours = reply.values().find(|(own, _)| *own == key).map(|(_, value)| value);
        if name == "google.protobuf.BytesValue"
            && let Ok(bytes) = Vec::<u8>::decode(any.value.as_slice())
        {
            let Ok(json) = otus::gufo::json::value(&bytes) else { continue };
            assert_eq!(ours, Some(json), "{key}");
        } else if name == "google.protobuf.StringValue"
            && let Ok(text) = String::decode(any.value.as_slice())
        {
            let ours = ours.and_then(otus::gufo::json::string);
            assert_eq!(ours.as_deref(), Some(&*text), "{key}");
        }
    }
}

/// Whether the map in field `map` has entries and nothing else: where another type of field has its
/// number, which makes it an unknown field, prost reads an entry all the same.
fn has_whole_maps(data: &[u8], map: u32) -> bool {
    plain_fields(data).all(|(key, _)| key >> 3 != u64::from(map) || key & 7 == 2)
}

/// The same of the maps of messages within it, which have these numbers, down to `depth`.
fn has_whole_maps_within(data: &[u8], depth: usize) -> bool {
    plain_fields(data).filter(|(key, _)| depth > 0 && key & 7 == 2).all(|(_, inner)| {
        [3, 4, 6, 9].iter().all(|map| has_whole_maps(inner, *map))
            && has_whole_maps_within(inner, depth - 1)
    })
}

/// Keys of fields, and their bytes where they tell their length. Ends with what cannot be read, of
/// which it gives the key.
fn plain_fields(data: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (key, tail) = plain_varint(rest)?;
        let field = match key & 7 {
            0 => plain_varint(tail).map(|(_, tail)| (&[][..], tail)),
            1 => tail.get(8..).map(|tail| (&[][..], tail)),
            2 => plain_varint(tail)
                .and_then(|(len, tail)| tail.split_at_checked(usize::try_from(len).ok()?)),
            5 => tail.get(4..).map(|tail| (&[][..], tail)),
            _ => None,
        };
        let (bytes, tail) = field.unwrap_or_default();
        rest = tail;
        Some((key, bytes))
    })
}

fn plain_varint(data: &[u8]) -> Option<(u64, &[u8])> {
    let last = data.iter().take(10).position(|byte| *byte < 0x80)?;
    let bytes = data[..=last].iter().rev();
    let value = bytes.fold(0u64, |value, byte| (value << 7) | u64::from(byte & 0x7f));
    Some((value, &data[last + 1..]))
}

/// What `serde_json` reads; `None` for numbers beyond `f64` and halves of surrogate pairs, which are
/// JSON all the same.
fn json_of(text: &[u8]) -> Option<serde_json::Value> {
    let is_grammar = |error: &serde_json::Error| {
        let told = error.to_string();
        ["number out of range", "lone leading surrogate", "unexpected end of hex escape"]
            .iter()
            .any(|grammar| told.starts_with(grammar))
    };
    match serde_json::from_slice(text) {
        Ok(json) => Some(json),
        Err(error) if is_grammar(&error) => None,
        Err(error) => panic!("no JSON: {error}"),
    }
}

/// Whether some entry holds an Any.
fn has_any(data: &[u8]) -> bool {
    data.windows(6).any(|window| window == b"google")
}

fn asked(packaged: bool, data: &[u8]) {
    let Ok(asked) = Asked::read(packaged, data) else { return };
    assert_eq!(asked.message, data);
    assert_eq!(packaged, asked.dialect == Dialect::C);
    for given in asked.args.values() {
        match given {
            Given::Any(any) => assert!(is_part(data, any)),
            Given::Text(text) => assert!(packaged && text.len() <= data.len()),
        }
    }
    if packaged
        && has_whole_maps(data, 6)
        && let Ok(theirs) = reverse_c::Request::decode(data)
    {
        let ours = asked.args.iter().map(|(name, given)| match given {
            Given::Text(text) => ((*name).to_owned(), (*text).to_owned()),
            Given::Any(_) => panic!("a query has texts"),
        });
        assert!(ours.eq(theirs.query), "the query");
    }
}

/// Whether `part` stands somewhere in `data`.
fn is_part(data: &[u8], part: &[u8]) -> bool {
    part.is_empty() || data.windows(part.len()).any(|own| own == part)
}

/// A call with these arguments, in every dialect.
fn call(args: &[otus::gufo::arguments::Argument<'_>]) {
    for dialect in Dialect::ALL {
        let call = Call { args, ..Call::default() };
        let mut out = Vec::new();
        call.encode(dialect, &mut out).expect("it is small");
        let len = call.encoded_len(dialect);
        assert_eq!(out.len(), 5 + len, "as long as foretold");
        assert_eq!(out[..5], otus::protocol::grpc::frame::prefix(u32::try_from(len).unwrap()));
        let asked = Asked::read(dialect == Dialect::C, &out[5..]).expect("what we write we read");
        let names: Vec<&str> = args.iter().map(|argument| &*argument.name).collect();
        if dialect == Dialect::C {
            assert!(reverse_c::Request::decode(&out[5..]).is_ok());
        } else {
            assert!(asked.args.keys().copied().eq(names), "names in their order, each once");
            let theirs = reverse::Request::decode(&out[5..]).expect("prost reads it");
            for argument in args {
                let any = &theirs.args[&*argument.name];
                let json = Vec::<u8>::decode(any.value.as_slice()).unwrap();
                let json = json_of(&json);
                if let otus::gufo::arguments::ArgumentValue::Text(text) = &argument.value {
                    let text = serde_json::Value::String(Cow::clone(text).into_owned());
                    assert_eq!(json, Some(text));
                }
            }
        }
    }
}

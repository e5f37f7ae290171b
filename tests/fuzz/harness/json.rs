//! JSON that is passed on without being understood: what we take for a value is one to `serde_json`,
//! and the reverse but for bounds that we document.

use otus::base::limits;
use otus::gufo::json::{JsonError, members, string, value};
use serde_json::value::Value;

pub fn run(data: &[u8]) {
    let theirs: Result<Value, _> = serde_json::from_slice(data);
    match (value(data), &theirs) {
        (Ok(text), theirs) => {
            assert_eq!(text.trim_ascii(), text);
            let alone = text.len() == data.trim_ascii().len();
            assert!(alone, "nothing but space round it");
            // Half a surrogate pair, and numbers beyond `f64`, are grammar all the same.
            assert!(theirs.is_ok() || data.contains(&b'\\') || is_huge(theirs), "{theirs:?}");
            if let (Ok(Value::String(theirs)), Some(ours)) = (theirs, string(text)) {
                assert_eq!(ours, theirs.as_str());
            }
        }
        (Err(JsonError::TooDeep), _) => {
            let depth = usize::try_from(limits::JSON_DEPTH_MAX).unwrap();
            let opening = data.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
            assert!(opening > depth);
        }
        (Err(JsonError::TooManyMembers), _) => {}
        (Err(error), theirs) => assert!(theirs.is_err(), "only we refuse it: {error:?}"),
    }
    let Ok(list) = members(data) else { return };
    assert!(list.windows(2).all(|two| two[0].key < two[1].key), "sorted, each key once");
    for member in &list {
        assert_eq!(value(member.value.as_bytes()), Ok(member.value));
    }
    if let Ok(Value::Object(theirs)) = theirs {
        let keys = list.iter().map(|member| &*member.key);
        assert!(keys.eq(theirs.keys().map(String::as_str)), "the same keys");
        for member in &list {
            let ours: Result<Value, _> = serde_json::from_str(member.value);
            assert_eq!(ours.ok().as_ref(), theirs.get(&*member.key), "the last of equal keys");
        }
    }
}

fn is_huge(theirs: &Result<Value, serde_json::Error>) -> bool {
    theirs.as_ref().is_err_and(|error| {
        let text = error.to_string();
        text.starts_with("number out of range") || text.starts_with("recursion limit")
    })
}

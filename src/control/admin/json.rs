//! JSON as it is told to operators.

use crate::base::decimal;
use crate::observe::json::push_string;

/// A text that grows: one value, or the members of an object or a list that is open.
#[derive(Debug, Default)]
pub(super) struct Json {
    out: Vec<u8>,
    /// Whether something stands before what comes next.
    behind: bool,
}

impl Json {
    /// One object with these members.
    pub(super) fn of(members: impl FnOnce(&mut Json)) -> Vec<u8> {
        let mut json = Json::default();
        json.object(members);
        json.out
    }

    /// One list with these items.
    pub(super) fn list_of(items: impl FnOnce(&mut Json)) -> Vec<u8> {
        let mut json = Json::default();
        json.list(items);
        json.out
    }

    pub(super) fn object(&mut self, members: impl FnOnce(&mut Json)) {
        self.nested(b'{', b'}', members);
    }

    pub(super) fn list(&mut self, items: impl FnOnce(&mut Json)) {
        self.nested(b'[', b']', items);
    }

    fn nested(&mut self, open: u8, close: u8, inner: impl FnOnce(&mut Json)) {
        self.separate();
        self.out.push(open);
        self.behind = false;
        inner(self);
        self.out.push(close);
        self.behind = true;
    }

    /// The name of the member that comes next.
    pub(super) fn key(&mut self, name: &str) -> &mut Self {
        self.separate();
        push_string(&mut self.out, name);
        self.out.push(b':');
        self.behind = false;
        self
    }

    pub(super) fn text(&mut self, text: &str) {
        self.separate();
        push_string(&mut self.out, text);
        self.behind = true;
    }

    pub(super) fn number(&mut self, number: u64) {
        self.separate();
        decimal::push(&mut self.out, number);
        self.behind = true;
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    /// What is JSON already.
    pub(super) fn raw(&mut self, text: &str) {
        self.separate();
        self.out.extend_from_slice(text.as_bytes());
        self.behind = true;
    }

    fn separate(&mut self) {
        if self.behind {
            self.out.push(b',');
        }
        self.behind = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_items_are_separated() {
        let json = Json::of(|json| {
            json.key("a").number(1);
            json.key("b").list(|json| {
                json.text("x\"");
                json.object(|_| {});
                json.boolean(true);
            });
            json.key("c").object(|json| json.key("d").raw("1.5"));
        });
        let want = r#"{"a":1,"b":["x\"",{},true],"c":{"d":1.5}}"#;
        assert_eq!(String::from_utf8(json).unwrap(), want);
        assert_eq!(Json::list_of(|_| {}), b"[]");
    }
}

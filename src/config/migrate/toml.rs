//! Settings, written line by line.

use toml_edit::{Array, Value};

/// A settings file that grows.
#[derive(Debug, Default)]
pub(super) struct Toml {
    out: String,
}

impl Toml {
    pub(super) fn comment(&mut self, text: &str) {
        self.out.push_str("# ");
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// `[server]` or `[[route]]`
    pub(super) fn table(&mut self, header: &str) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out.push_str(header);
        self.out.push('\n');
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.raw(key, Value::from(text).to_string().trim());
    }

    pub(super) fn texts<'a>(&mut self, key: &str, texts: impl IntoIterator<Item = &'a str>) {
        let list: Array = texts.into_iter().collect();
        self.raw(key, Value::from(list).to_string().trim());
    }

    /// What is a value of TOML already.
    pub(super) fn raw(&mut self, key: &str, value: &str) {
        self.out.push_str(key);
        self.out.push_str(" = ");
        self.out.push_str(value);
        self.out.push('\n');
    }

    pub(super) fn finish(self) -> String {
        self.out
    }
}

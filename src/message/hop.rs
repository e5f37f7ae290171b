//! Fields about one connection only: what `connection` says, and what is never passed on
//! (RFC 9110 §7.6.1).

use super::head::Field;
use super::known::Known;
use super::token;

/// Options that the `connection` fields of one head may list together. Real ones list three; each
/// is compared with each field name, so the product must stay small.
pub const CONNECTION_OPTIONS_MAX: u8 = 16;

/// Why the `connection` fields of a head are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectionError {
    /// An element of the list is not a token.
    NotAToken,
    /// More than [`CONNECTION_OPTIONS_MAX`] elements, empty ones included.
    TooMany,
}

/// What the `connection` fields of one head say, gathered field by field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConnectionOptions {
    /// `close` is listed; it beats `keep-alive` (RFC 9112 §9.3).
    pub close: bool,
    /// `keep-alive` is listed.
    pub keep_alive: bool,
    /// `upgrade` is listed.
    pub upgrade: bool,
    count: u8,
}

impl ConnectionOptions {
    /// Takes the value of a `connection` field.
    pub fn add(&mut self, value: &[u8]) -> Result<(), ConnectionError> {
        if self.count < CONNECTION_OPTIONS_MAX {
            // What nearly all of them say.
            match value {
                b"keep-alive" | b"Keep-Alive" => {
                    self.count += 1;
                    self.keep_alive = true;
                    return Ok(());
                }
                b"close" => {
                    self.count += 1;
                    self.close = true;
                    return Ok(());
                }
                _ => {}
            }
        }
        for element in value.split(|byte| *byte == b',').map(token::trim) {
            if self.count == CONNECTION_OPTIONS_MAX {
                return Err(ConnectionError::TooMany);
            }
            self.count += 1;
            if element.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if element.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if element.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else if !element.is_empty() && !token::is_token(element) {
                return Err(ConnectionError::NotAToken);
            }
        }
        Ok(())
    }
}

/// A set of fields of one head, by their position. Positions from 128 on are never in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FieldSet(u128);

impl FieldSet {
    /// Adds the field at `index`.
    pub fn insert(&mut self, index: usize) {
        self.0 |= bit(index);
    }

    /// Whether the field at `index` is in the set.
    #[must_use]
    pub fn contains(self, index: usize) -> bool {
        self.0 & bit(index) != 0
    }
}

fn bit(index: usize) -> u128 {
    u32::try_from(index).ok().and_then(|index| 1_u128.checked_shl(index)).unwrap_or(0)
}

const _: () = assert!(crate::base::limits::HEAD_FIELDS_MAX <= 128);

/// The fields of a head that end at this hop: those that always do, and those that `connection`
/// names.
///
/// A name in `connection` counts only if it [may be nominated](Known::may_be_nominated): nobody can
/// have the host, the length, credentials or forwarding fields stripped.
#[must_use]
pub fn hop_by_hop(fields: &[Field], bytes: &[u8]) -> FieldSet {
    let mut set = FieldSet::default();
    for (index, field) in fields.iter().enumerate() {
        if field.known.is_hop_by_hop() {
            set.insert(index);
        }
        if field.known == Known::Connection {
            match field.value.of(bytes) {
                b"keep-alive" | b"Keep-Alive" => {} // It always ends here.
                value => {
                    for name in token::list(value) {
                        nominate(fields, bytes, name, &mut set);
                    }
                }
            }
        }
    }
    set
}

fn nominate(fields: &[Field], bytes: &[u8], name: &[u8], set: &mut FieldSet) {
    // Known names are either stripped already or may not be nominated.
    if Known::of(name) != Known::Other {
        return;
    }
    for (index, field) in fields.iter().enumerate() {
        if field.known == Known::Other && field.name.of(bytes).eq_ignore_ascii_case(name) {
            set.insert(index);
        }
    }
}

#[cfg(test)]
mod tests;

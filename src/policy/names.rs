//! Sets of field names.

/// Names of fields, and beginnings of names, compared without regard to case.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    /// In lower case, sorted.
    exact: Vec<Box<[u8]>>,
    /// In lower case.
    prefixes: Vec<Box<[u8]>>,
}

impl Names {
    /// A set of names; one that ends in `*` stands for all that begin so.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Names::default();
        for name in names {
            let lower = name.to_ascii_lowercase();
            match lower.strip_suffix('*') {
                Some(prefix) => set.prefixes.push(prefix.as_bytes().into()),
                None => set.exact.push(lower.as_bytes().into()),
            }
        }
        set.exact.sort();
        set.exact.dedup();
        set
    }

    /// Whether no name is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty()
    }

    /// Whether the name is in it.
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        let begins = |prefix: &[u8]| {
            name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        self.prefixes.iter().any(|prefix| begins(prefix))
            || self.exact.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_every_ending() {
        let names = Names::new(["X-User-Id", "x-iam-*"]);
        for name in ["x-user-id", "X-USER-ID", "X-IAM-", "x-iam-Roles"] {
            assert!(names.contains(name.as_bytes()), "{name}");
        }
        for name in ["x-user", "x-user-id2", "x-ia", ""] {
            assert!(!names.contains(name.as_bytes()), "{name}");
        }
        assert!(Names::default().is_empty());
    }
}

//! Prefixes that are compared as strings, for one host.

use super::rule::RouteId;

/// The texts, sorted, each with the longest other one that it begins with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Strings {
    list: Vec<Entry>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    text: Box<[u8]>,
    /// Where in the list the next shorter prefix of this text stands.
    parent: Option<usize>,
    /// The routes with this text, best first.
    routes: Vec<RouteId>,
}

impl Strings {
    /// From texts with their routes, best first. No text stands there twice.
    pub(super) fn new(mut texts: Vec<(Vec<u8>, Vec<RouteId>)>) -> Self {
        texts.sort();
        let mut list: Vec<Entry> = Vec::with_capacity(texts.len());
        for (text, routes) in texts {
            // Those that the text begins with stand before it; the last before it leads to them.
            let mut parent = list.len().checked_sub(1);
            while let Some(entry) = parent.and_then(|at| list.get(at)) {
                if text.starts_with(&entry.text) {
                    break;
                }
                parent = entry.parent;
            }
            list.push(Entry { text: text.into_boxed_slice(), parent, routes });
        }
        Strings { list }
    }

    /// Whether there are none.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The texts that a decoded path begins with, the longest first, each with its routes.
    pub(super) fn prefixes<'a>(
        &'a self,
        path: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a [RouteId])> {
        let after = self.list.partition_point(|entry| entry.text.as_ref() <= path);
        let mut next = after.checked_sub(1);
        std::iter::from_fn(move || {
            loop {
                let entry = self.list.get(next?)?;
                next = entry.parent;
                if path.starts_with(&entry.text) {
                    return Some((entry.text.as_ref(), entry.routes.as_slice()));
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_come_longest_first() {
        let texts = ["/", "/a", "/ab", "/abc/", "/abd", "/b", "/abc/d/e"];
        let entry = |(n, text): (usize, &&str)| (text.as_bytes().to_vec(), vec![RouteId::at(n)]);
        let strings = Strings::new(texts.iter().enumerate().map(entry).collect());
        for path in ["/", "/a", "/abc", "/abc/d", "/abc/d/e/f", "/abe", "/abd", "/zz", "/b/a", ""] {
            let mut want: Vec<_> = texts.iter().filter(|text| path.starts_with(**text)).collect();
            want.sort_by_key(|text| usize::MAX - text.len());
            let got: Vec<_> = strings.prefixes(path.as_bytes()).collect();
            assert_eq!(got.len(), want.len(), "{path}");
            for ((got, routes), want) in got.into_iter().zip(want) {
                assert_eq!(got, want.as_bytes(), "{path}");
                assert_eq!(texts[routes[0].index()], *want);
            }
        }
    }
}

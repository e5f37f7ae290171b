//! What an operator may have meant by a key that does not exist.

use super::schema;

/// Words that make a name sound as if its value were a secret.
const SECRET_WORDS: [&str; 8] =
    ["secret", "pass", "token", "sign", "key", "dsn", "credential", "auth"];

/// Whether anything in the text sounds like a secret.
pub(super) fn looks_secret(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| lower.contains(word))
}

/// A key that is written like this one, or has the same last part.
pub(super) fn suggest(path: &str) -> Option<String> {
    let (above, name) = path.rsplit_once('.').unwrap_or(("", path));
    let depth = path.split('.').count() - 1;
    let siblings = schema::keys().filter_map(|key| {
        let mut own = key.path.split('.');
        let same = |part: &str| own.next().is_some_and(|own| own == "*" || own == part);
        let below = above.is_empty() || above.split('.').all(same);
        if below { key.path.split('.').nth(depth) } else { None }
    });
    let near = siblings
        .map(|sibling| (distance(name, sibling), sibling))
        .filter(|(distance, sibling)| *distance <= (sibling.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance);
    if let Some((_, sibling)) = near {
        return Some(sibling.to_owned());
    }
    let elsewhere = schema::keys().find(|key| key.path.rsplit('.').next() == Some(name));
    elsewhere.map(|key| key.path.replace('*', "<name>"))
}

/// The variable of ours that is written like this one.
pub(super) fn suggest_variable(name: &str) -> Option<String> {
    let keys = schema::keys().filter(|key| !key.path.contains('*'));
    let own = keys.map(|key| schema::variable(key.path));
    let all = own.chain(schema::VARIABLES.iter().map(|(variable, _)| (*variable).to_owned()));
    let near = all.map(|variable| (distance(name, &variable), variable));
    near.filter(|(distance, _)| *distance <= 3).min().map(|(_, variable)| variable)
}

/// Letters to insert, remove, replace or swap with their neighbour (optimal string alignment).
/// Texts of more than 64 bytes are far from everything.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut two_above: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut a_before = None;
    for (row, x) in a.iter().enumerate() {
        let mut current = vec![row + 1];
        let mut b_before = None;
        for (column, y) in b.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX);
            let replaced = at(&above, column) + usize::from(x != y);
            let mut best = replaced.min(at(&above, column + 1) + 1).min(at(&current, column) + 1);
            if a_before == Some(y) && b_before == Some(x) {
                best = best.min(at(&two_above, column - 1) + 1);
            }
            current.push(best);
            b_before = Some(y);
        }
        two_above = std::mem::replace(&mut above, current);
        a_before = Some(x);
    }
    above.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_edits() {
        for (a, b, want) in [
            ("", "", 0),
            ("a", "", 1),
            ("port", "port", 0),
            ("prot", "port", 1),
            ("pot", "port", 1),
            ("ports", "port", 1),
            ("kitten", "sitting", 3),
            ("timeout", "stream_timeout", 7),
        ] {
            assert_eq!(distance(a, b), want, "{a} {b}");
            assert_eq!(distance(b, a), want, "{b} {a}");
        }
    }

    #[test]
    fn a_near_key_of_the_same_table_is_suggested_first() {
        check("server.prot", Some("port"));
        check("server.shutdown_grase", Some("shutdown_grace"));
        check("sever", Some("server"));
        check("timeout", Some("timeouts"));
        check("microservices.storage.timout", Some("timeout"));
        check("microservices.storage.pool.idel", Some("idle"));
        check("microservices.storage.pol", Some("pool"));
        check("route.0000.modul", Some("module"));
    }

    #[test]
    fn a_key_of_another_table_is_suggested_with_its_table() {
        check("server.body_idle", Some("timeouts.body_idle"));
        check("server.attempts", Some("microservices.<name>.retry.attempts"));
        check("server.wholly_strange", None);
    }

    #[test]
    fn a_near_variable_is_suggested() {
        assert_eq!(suggest_variable("GUFO_SERVER_PROT").as_deref(), Some("GUFO_SERVER_PORT"));
        assert_eq!(suggest_variable("GUFO_SINGN").as_deref(), Some("GUFO_SIGN"));
        assert_eq!(suggest_variable("GUFO_WHOLLY_STRANGE"), None);
    }

    #[track_caller]
    fn check(path: &str, want: Option<&str>) {
        assert_eq!(suggest(path).as_deref(), want, "{path}");
    }
}

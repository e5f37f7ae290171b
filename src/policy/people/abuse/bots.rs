//! Programs that say what they are (SPEC 11.7).

use std::collections::HashSet;
use std::sync::Arc;

use regex::bytes::{RegexSet, RegexSetBuilder};

use crate::policy::recent::Recent;

/// Bytes that a compiled set of patterns may have; the time of a match grows with the text alone.
const PATTERNS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longer texts are judged anew each time: the memory of the cache stays bounded.
const CACHED_BYTES_MAX: usize = 512;

/// Which `User-Agent`s are turned away.
#[derive(Clone, Debug, Default)]
pub struct BotRule {
    empty_is_bot: bool,
    allow: HashSet<Vec<u8>>,
    deny: HashSet<Vec<u8>>,
    patterns: RegexSet,
    cached: usize,
}

/// Patterns are compared as they were written.
impl PartialEq for BotRule {
    fn eq(&self, other: &Self) -> bool {
        let lists = |rule: &BotRule| (rule.empty_is_bot, rule.cached);
        lists(self) == lists(other)
            && self.allow == other.allow
            && self.deny == other.deny
            && self.patterns.patterns() == other.patterns.patterns()
    }
}

/// A pattern is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadPattern {
    /// Which one; `None`: all together are too large.
    pub index: Option<usize>,
    /// What is wrong with it, for operators.
    pub why: String,
}

impl BotRule {
    /// `allow` and `deny` are whole texts, `patterns` regular expressions. Verdicts are kept for
    /// `cached` texts.
    pub fn new(
        empty_is_bot: bool,
        allow: &[String],
        deny: &[String],
        patterns: &[String],
        cached: usize,
    ) -> Result<Self, BadPattern> {
        let set = |list: &[String]| list.iter().map(|text| text.clone().into_bytes()).collect();
        let build = |patterns: &[String]| {
            RegexSetBuilder::new(patterns).size_limit(PATTERNS_BYTES_MAX).build()
        };
        let patterns = build(patterns).map_err(|error| {
            let is_bad = |pattern: &String| build(std::slice::from_ref(pattern)).is_err();
            let why = error.to_string();
            BadPattern { index: patterns.iter().position(is_bad), why }
        })?;
        Ok(BotRule { empty_is_bot, allow: set(allow), deny: set(deny), patterns, cached })
    }

    fn is_listed_bot(&self, patterns: &RegexSet, agent: &[u8]) -> bool {
        !self.allow.contains(agent) && (self.deny.contains(agent) || patterns.is_match(agent))
    }
}

/// What one shard knows of clients that came before.
#[derive(Debug)]
pub struct BotJudge {
    rule: Arc<BotRule>,
    /// Our own: shards that share one wait for each other's memory in it.
    patterns: RegexSet,
    known: Recent<Box<[u8]>, bool>,
}

impl BotJudge {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(rule: &Arc<BotRule>) -> Self {
        let patterns = rule.patterns.clone();
        BotJudge { rule: Arc::clone(rule), patterns, known: Recent::new(rule.cached) }
    }

    /// What it judges by.
    #[must_use]
    pub fn rule(&self) -> &BotRule {
        &self.rule
    }

    /// Whether the client is turned away: the first of empty, allowed, denied and patterns that
    /// says something counts. `agent`: none was sent.
    pub fn is_bot(&mut self, agent: Option<&[u8]>) -> bool {
        let agent = agent.unwrap_or_default();
        if agent.is_empty() {
            return self.rule.empty_is_bot;
        }
        if let Some(known) = self.known.get(agent) {
            return *known;
        }
        let is_bot = self.rule.is_listed_bot(&self.patterns, agent);
        if agent.len() <= CACHED_BYTES_MAX {
            self.known.put(agent.into(), is_bot);
        }
        is_bot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(empty: bool, allow: &[&str], deny: &[&str], patterns: &[&str]) -> BotJudge {
        let [allow, deny, patterns] = [allow, deny, patterns]
            .map(|list| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        BotJudge::new(&Arc::new(BotRule::new(empty, &allow, &deny, &patterns, 8).unwrap()))
    }

    #[test]
    fn the_first_list_that_says_something_counts() {
        let mut judge = judge(true, &["good bot"], &["curl/8", "good bot"], &["(?i)bot", "^evil"]);
        for _ in 0..2 {
            assert!(judge.is_bot(None) && judge.is_bot(Some(b"")));
            assert!(!judge.is_bot(Some(b"good bot")), "allowed before denied");
            assert!(judge.is_bot(Some(b"curl/8")) && !judge.is_bot(Some(b"curl/8.1")));
            assert!(judge.is_bot(Some(b"a BOT")) && judge.is_bot(Some(b"evil one")));
            assert!(!judge.is_bot(Some(b"not evil")) && !judge.is_bot(Some(b"Good")));
        }
    }

    #[test]
    fn nobody_is_a_bot_where_nothing_is_listed() {
        let mut judge = judge(false, &[], &[], &[]);
        assert!(!judge.is_bot(None) && !judge.is_bot(Some(b"\xff\xfe")));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut judge = judge(false, &[], &[], &["x$"]);
        for number in 0..1000 {
            assert!(judge.is_bot(Some(format!("{number}x").as_bytes())));
        }
        let before = judge.known.len();
        assert!(judge.is_bot(Some(&[b'x'; 10_000])));
        assert!(before <= 8 && judge.known.len() == before);
    }

    #[test]
    fn patterns_that_are_none_are_named() {
        let of = |patterns: &[&str]| {
            let patterns: Vec<_> = patterns.iter().map(|text| (*text).to_owned()).collect();
            BotRule::new(false, &[], &[], &patterns, 8).unwrap_err()
        };
        assert_eq!(of(&["a", "b(", "c"]).index, Some(1));
        assert_eq!(of(&["a", "(?:x{1000}){1000}"]).index, Some(1));
    }
}

//! The route that a request takes, with the policy about paths that can be read in two ways.
//!
//! What is matched is what is forwarded: the path in its normal form. A path that a lenient back
//! end would read in another way reaches only a route that takes that other way as well.

use super::rule::{Facts, Match};
use super::table::Table;
use crate::message::path::oddities::Oddities;
use crate::message::path::{self, Normal, PathError, PathPolicy, Reader};

/// Buffers that are used again for each request.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    normal: Vec<u8>,
    lenient: Vec<u8>,
    decoded: Vec<u8>,
}

/// The route that a request takes, and the path that it takes there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Selected<'a> {
    /// The route; its spans lie in `path`.
    pub found: Match,
    /// The path to forward, in normal form.
    pub path: &'a [u8],
}

/// Why a request takes no route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No policy lets such a path through: 400.
    Path(PathError),
    /// The policy of the route does not let it through: 400.
    Odd(Oddities),
    /// No route matches: 404, or 405 if [`Table::allowed`] is not empty.
    NoRoute,
}

impl Table {
    /// The route of a request whose path is as it was sent, without its query.
    pub fn select<'a>(
        &self,
        facts: &Facts<'a>,
        scratch: &'a mut Scratch,
    ) -> Result<Selected<'a>, Refusal> {
        let Scratch { normal, lenient, decoded } = scratch;
        let Normal { text, oddities } =
            path::normalise(facts.path, normal).map_err(Refusal::Path)?;
        let found = self.find(&facts.with_path(text)).ok_or(Refusal::NoRoute)?;
        if oddities.is_empty() {
            return Ok(Selected { found, path: text });
        }
        let policy = self.policy(found);
        let refused = oddities.common(policy.refuses());
        if !refused.is_empty() {
            return Err(Refusal::Odd(refused));
        }
        match policy {
            PathPolicy::Strict => {
                self.agree(facts, text, found, oddities, &[Reader::Ending], lenient)?;
                Ok(Selected { found, path: text })
            }
            PathPolicy::Passthrough => {
                let readers =
                    [Reader::CuttingWithoutDots, Reader::KeepingWithoutDots, Reader::Ending];
                self.agree(facts, text, found, oddities, &readers, lenient)?;
                Ok(Selected { found, path: text })
            }
            PathPolicy::Decode => {
                path::lenient(text, Reader::Cutting, lenient).map_err(Refusal::Path)?;
                self.select_decoded(facts, lenient, decoded)
            }
        }
    }

    /// The route of a path as the most lenient back end would read it.
    fn select_decoded<'a>(
        &self,
        facts: &Facts<'a>,
        lenient: &'a [u8],
        decoded: &'a mut Vec<u8>,
    ) -> Result<Selected<'a>, Refusal> {
        // It is normal already; this finds what came to light when it was decoded.
        let Normal { text, oddities } = path::normalise(lenient, decoded).map_err(Refusal::Path)?;
        let found = self.find(&facts.with_path(text)).ok_or(Refusal::NoRoute)?;
        let delimiter = oddities.common(Oddities::DELIMITER);
        if oddities != delimiter {
            return Err(Refusal::Odd(oddities.without(delimiter)));
        }
        if !oddities.is_empty() {
            let mut ending = Vec::new();
            self.agree(facts, text, found, oddities, &[Reader::Ending], &mut ending)?;
        }
        Ok(Selected { found, path: text })
    }

    /// Refuses a path that one of these readers would take to another route.
    fn agree(
        &self,
        facts: &Facts<'_>,
        text: &[u8],
        found: Match,
        oddities: Oddities,
        readers: &[Reader],
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        for reader in readers {
            path::lenient(text, *reader, out).map_err(|_| Refusal::Odd(oddities))?;
            let other = self.find(&facts.with_path(out));
            if other.is_none_or(|other| other.route != found.route) {
                return Err(Refusal::Odd(oddities));
            }
        }
        Ok(())
    }

    fn policy(&self, found: Match) -> PathPolicy {
        self.rule(found.route).map_or(PathPolicy::Strict, |rule| rule.path_policy)
    }
}

#[cfg(test)]
mod tests;

//! Files of the day: what they are called, which are packed, and which are old enough to go. Pure.

use crate::base::time::civil;

/// Days for which closed files are kept.
const DAYS_KEPT: u64 = 30;
/// Files of one day that were closed because they were large; the newest are kept.
const FILES_KEPT: usize = 7;

/// A file as it is called: `gufo-2026-11-21.log`, `gufo-2026-11-21.3.log.gz`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Name {
    /// The day, as `20261121`: only compared.
    day: u64,
    /// Which of the day, if it was closed because it was large.
    number: Option<u32>,
    packed: bool,
    /// A file that was being packed when the process ended.
    partial: bool,
}

/// What is to be done with the files of a directory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Plan {
    pub(super) remove: Vec<String>,
    pub(super) pack: Vec<String>,
    /// What the next file is numbered with that is closed today.
    pub(super) next: u32,
}

/// The name of the open file of a day, which is counted from 1970-01-01.
pub(super) fn open_name(stem: &str, day: u64) -> String {
    format!("{stem}-{}.log", date(day))
}

/// The same once it was closed because it was large.
pub(super) fn closed_name(stem: &str, day: u64, number: u32) -> String {
    format!("{stem}-{}.{number}.log", date(day))
}

fn date(day: u64) -> String {
    let (year, month, day) = civil(day);
    format!("{year:04}-{month:02}-{day:02}")
}

fn compared(day: u64) -> u64 {
    let (year, month, day) = civil(day);
    (year * 100 + month) * 100 + day
}

impl Name {
    /// Reads a name; `None`: it is none of ours, and nothing is done with it.
    pub(super) fn parse(stem: &str, name: &str) -> Option<Name> {
        let rest = name.strip_prefix(stem)?.strip_prefix('-')?;
        let (date, rest) = rest.split_at_checked(10)?;
        let mut parts = date.split('-');
        let mut number = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            part.parse::<u64>().ok().filter(|_| part.bytes().all(|b| b.is_ascii_digit()))
        };
        let (year, month, day) = (number(4)?, number(2)?, number(2)?);
        let (rest, partial) = match rest.strip_suffix(".part") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (rest, packed) = match rest.strip_suffix(".gz") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let rest = rest.strip_suffix(".log")?;
        let number = match rest.strip_prefix('.') {
            Some(text) => Some(text.parse().ok().filter(|_| !text.starts_with('+'))?),
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Name { day: (year * 100 + month) * 100 + day, number, packed, partial })
    }
}

/// What is to be done with these files on this day. What is written to is left alone, and so is
/// what has another name.
pub(super) fn plan(stem: &str, names: &[String], today: u64) -> Plan {
    let mut known: Vec<_> =
        names.iter().filter_map(|name| Some((Name::parse(stem, name)?, name))).collect();
    // The newest of each day first.
    known.sort_by(|a, b| b.cmp(a));
    let (oldest, today) = (compared(today.saturating_sub(DAYS_KEPT)), compared(today));
    let mut plan = Plan { next: 1, ..Plan::default() };
    let mut of_day = (0, 0);
    for (name, text) in known {
        if of_day.0 != name.day {
            of_day = (name.day, 0);
        }
        let mut is_beyond = false;
        if let Some(number) = name.number {
            of_day.1 += 1;
            is_beyond = of_day.1 > FILES_KEPT;
            if name.day == today {
                plan.next = plan.next.max(number.saturating_add(1));
            }
        }
        let is_open = name.number.is_none() && name.day >= today && !name.packed;
        if name.partial || name.day < oldest || is_beyond {
            plan.remove.push(text.clone());
        } else if !name.packed && !is_open {
            plan.pack.push(text.clone());
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21
    const TODAY: u64 = 20_778;

    fn plan_of(names: &[&str]) -> Plan {
        plan("gufo", &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), TODAY)
    }

    #[test]
    fn files_are_called_by_their_day() {
        assert_eq!(open_name("gufo", TODAY), "gufo-2026-11-21.log");
        assert_eq!(closed_name("error", TODAY, 12), "error-2026-11-21.12.log");
        assert_eq!(open_name("gufo", 0), "gufo-1970-01-01.log");
        assert_eq!(open_name("gufo", 19_782), "gufo-2024-02-29.log");
    }

    #[test]
    fn only_names_of_ours_are_read() {
        for name in ["gufo-2026-11-21.log", "gufo-2026-11-21.3.log", "gufo-2026-11-21.3.log.gz"] {
            assert!(Name::parse("gufo", name).is_some(), "{name}");
        }
        for name in [
            "error-2026-11-21.log",
            "gufo-2026-11-21.txt",
            "gufo-2026-11-21.log.bak",
            "gufo-2026-11-2.log",
            "gufo-+026-11-21.log",
            "gufo-2026-11-21.x.log",
            "gufo-2026-11-21.+3.log",
            "gufo-2026-11-21x.log",
            "gufo.log",
            "gufo-2026-11-2ä.log",
            "../gufo-2026-11-21.log",
        ] {
            assert!(Name::parse("gufo", name).is_none(), "{name}");
        }
    }

    #[test]
    fn closed_files_are_packed_and_the_open_one_is_left_alone() {
        let plan = plan_of(&[
            "gufo-2026-11-21.log",
            "gufo-2026-11-21.1.log.gz",
            "gufo-2026-11-21.2.log",
            "gufo-2026-11-20.log",
            "gufo-2026-11-20.log.gz.part",
            "gufo-2026-11-19.log.gz",
            "error-2026-11-19.log",
            "other",
        ]);
        assert_eq!(plan.pack, ["gufo-2026-11-21.2.log", "gufo-2026-11-20.log"]);
        assert_eq!(plan.remove, ["gufo-2026-11-20.log.gz.part"]);
        assert_eq!(plan.next, 3);
    }

    #[test]
    fn files_go_after_thirty_days_and_beyond_seven_a_day() {
        let mut names = vec!["gufo-2026-10-21.log.gz", "gufo-2026-10-22.log.gz"];
        names.extend(["gufo-2026-10-21.4.log", "gufo-2027-01-01.log"]);
        let plan = plan_of(&names);
        let mut remove = plan.remove;
        remove.sort();
        assert_eq!(remove, ["gufo-2026-10-21.4.log", "gufo-2026-10-21.log.gz"]);
        assert!(plan.pack.is_empty());

        let many: Vec<_> = (1..=12).map(|n| format!("gufo-2026-11-20.{n}.log.gz")).collect();
        let mut names: Vec<_> = many.iter().map(String::as_str).collect();
        names.push("gufo-2026-11-20.log.gz");
        let plan = plan_of(&names);
        let mut removed: Vec<_> = plan.remove.iter().map(String::as_str).collect();
        removed.sort_by_key(|name| name.len());
        let want: Vec<_> = many.iter().take(5).map(String::as_str).collect();
        removed.sort_unstable();
        assert_eq!(removed, want);
        // Numbers begin anew each day.
        assert_eq!(plan.next, 1);
    }
}

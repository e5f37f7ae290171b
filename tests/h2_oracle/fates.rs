//! Messages that are not answered: one side resets them before their end.

use otus::base::prng::Prng;
use otus::protocol::h2::frame::ErrorCode;

use crate::Message;

/// Who gives a message up, after how many bytes of its body, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) by_client: bool,
    pub(crate) after: usize,
    pub(crate) code: ErrorCode,
}

/// The field that tells the other side.
const NAME: &str = "x-fate";

impl Fate {
    /// One for this message, as chance wants it.
    pub(crate) fn give(message: &mut Message, prng: &mut Prng) {
        if message.body.is_empty() || !prng.one_in(4) {
            return;
        }
        let by_client = prng.one_in(2);
        let len = u64::try_from(message.body.len()).unwrap();
        let fate = format!("{by_client} {} {}", prng.below(len), prng.below(14));
        message.fields.push((NAME.to_owned(), fate.into_bytes()));
        message.fields.sort();
    }

    /// That of a message.
    pub(crate) fn of(message: &Message) -> Option<Fate> {
        let (_, value) = message.fields.iter().find(|(name, _)| name == NAME)?;
        let words: Vec<&str> = str::from_utf8(value).unwrap().split(' ').collect();
        Some(Fate {
            by_client: words[0] == "true",
            after: words[1].parse().unwrap(),
            code: ErrorCode(words[2].parse().unwrap()),
        })
    }

    /// That of a message whose server gives it up.
    pub(crate) fn of_server(message: &Message) -> Option<Fate> {
        Fate::of(message).filter(|fate| !fate.by_client)
    }

    pub(crate) fn reason(self) -> h2::Reason {
        self.code.0.into()
    }
}

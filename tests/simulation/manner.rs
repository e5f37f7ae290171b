//! How HTTP endpoints are set up.

use std::time::Duration;

use crate::dice::Dice;
use crate::town::Weather;

const HOUR: Duration = Duration::from_hours(1);

/// How an endpoint is set up.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Before each read.
    pub read_pause: Duration,
    /// Before an answer, at most.
    pub think_max: Duration,
    /// Between two pieces of an answer.
    pub piece_pause: Duration,
    /// One request in so many meets a misdeed; 0: none.
    pub bad_one_in: u64,
    /// After one answer in so many it closes as soon as another request comes; 0: never.
    pub stale_one_in: u64,
    /// Connections without a request are closed after so long.
    pub idle: Duration,
    pub body_max: usize,
}

impl Manner {
    pub fn draw(dice: &mut Dice, weather: Weather) -> Manner {
        let is_honest = weather.is_honest;
        Manner {
            read_pause: dice.pick(&[Duration::ZERO, Duration::ZERO, Duration::from_millis(1)]),
            think_max: dice.millis(0, 300),
            piece_pause: dice.pick(&[Duration::ZERO, Duration::ZERO, Duration::from_millis(3)]),
            bad_one_in: if is_honest { 0 } else { dice.pick(&[1, 2, 4, 8]) },
            stale_one_in: if is_honest { 0 } else { dice.pick(&[0, 0, 2, 6]) },
            idle: if is_honest { HOUR } else { dice.millis(1, 20_000) },
            body_max: if weather.is_calm { 400_000 } else { 100_000 },
        }
    }
}

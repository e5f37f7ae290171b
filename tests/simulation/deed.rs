//! What endpoints do to calls.

use otus::protocol::h2::frame::ErrorCode;

use crate::dice::Dice;

/// What an endpoint does to a call. All but the first come after some bytes, or at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// Takes everything and answers.
    Honest,
    /// Takes no more of this call and never answers.
    Stall,
    /// Reads nothing more of the whole connection.
    Freeze,
    /// Resets the stream.
    Reset(ErrorCode),
    /// Says goodbye, serves what it has, and goes.
    GoAway,
    /// Says goodbye, does not look at this call, and goes.
    GoAwayWithout,
    /// Resets the connection.
    Die,
    /// Closes the connection.
    Leave,
    /// Ends the call with this status, without an answer.
    Fail(u8),
    /// The same, and asks for no more with a reset.
    FailAndReset(u8),
    /// Says no within a call that succeeds.
    Decline,
    /// Says yes before it has everything.
    Hurry,
    /// Answers with something that is no message.
    Garble,
    /// Answers as something that is no gRPC service, and does not end.
    NotGrpc,
    /// Ends its answer without a status.
    NoTrailers,
    /// Begins an answer and stops within.
    Dry,
    /// Answers with more than is allowed.
    Flood,
}

impl Deed {
    /// A bad one.
    pub fn draw(dice: &mut Dice) -> Deed {
        let status = dice.pick(&[1, 2, 3, 5, 8, 13, 14, 14, 99]);
        let codes = [
            ErrorCode::NO_ERROR,
            ErrorCode::REFUSED_STREAM,
            ErrorCode::REFUSED_STREAM,
            ErrorCode::CANCEL,
            ErrorCode::INTERNAL_ERROR,
            ErrorCode::ENHANCE_YOUR_CALM,
        ];
        let reset = Deed::Reset(dice.pick(&codes));
        dice.pick(&[
            Deed::Stall,
            Deed::Freeze,
            reset,
            reset,
            Deed::GoAway,
            Deed::GoAwayWithout,
            Deed::Die,
            Deed::Leave,
            Deed::Fail(status),
            Deed::Fail(status),
            Deed::FailAndReset(status),
            Deed::Decline,
            Deed::Hurry,
            Deed::Hurry,
            Deed::Garble,
            Deed::NotGrpc,
            Deed::NoTrailers,
            Deed::Dry,
            Deed::Flood,
        ])
    }

    pub fn name(self) -> &'static str {
        match self {
            Deed::Honest => "deed: honest",
            Deed::Stall => "deed: stall",
            Deed::Freeze => "deed: freeze",
            Deed::Reset(_) => "deed: reset",
            Deed::GoAway => "deed: go away",
            Deed::GoAwayWithout => "deed: go away without",
            Deed::Die => "deed: die",
            Deed::Leave => "deed: leave",
            Deed::Fail(_) => "deed: fail",
            Deed::FailAndReset(_) => "deed: fail and reset",
            Deed::Decline => "deed: decline",
            Deed::Hurry => "deed: hurry",
            Deed::Garble => "deed: garble",
            Deed::NotGrpc => "deed: not gRPC",
            Deed::NoTrailers => "deed: no trailers",
            Deed::Dry => "deed: dry",
            Deed::Flood => "deed: flood",
        }
    }
}

//! SETTINGS (RFC 9113 §6.5, RFC 8441 §3): what a side asks of the other.

use super::flow::{WINDOW_DEFAULT, WINDOW_MAX};
use super::frame::{self, FRAME_BYTES_DEFAULT, FRAME_BYTES_MAX, Kind};

const HEADER_TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
const MAX_HEADER_LIST_SIZE: u16 = 0x6;
const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;

/// Values in force. The default is what RFC 9113 §6.5.2 gives before a SETTINGS frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Bytes of the dynamic table that its sender keeps for the other's encoder.
    pub header_table: u32,
    /// Whether the server may push.
    pub push: bool,
    /// Streams that the other side may have open at once.
    pub streams_max: u32,
    /// Window of a new stream.
    pub initial_window: u32,
    /// Largest payload of a frame.
    pub frame_max: u32,
    /// Advice on the size of a header list.
    pub header_list_max: u32,
    /// Whether extended CONNECT is understood (RFC 8441).
    pub connect_protocol: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            header_table: 4096,
            push: true,
            streams_max: u32::MAX,
            initial_window: WINDOW_DEFAULT,
            frame_max: FRAME_BYTES_DEFAULT,
            header_list_max: u32::MAX,
            connect_protocol: false,
        }
    }
}

/// Why a SETTINGS payload is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SettingsError {
    /// Not a multiple of six bytes: `FRAME_SIZE_ERROR`.
    Length,
    /// A window beyond 2³¹ - 1: `FLOW_CONTROL_ERROR`.
    Window,
    /// A value that its setting cannot have: `PROTOCOL_ERROR`.
    Value,
}

impl Settings {
    /// Takes over what a payload says; unknown settings are ignored (§6.5.2).
    pub fn apply(&mut self, payload: &[u8]) -> Result<(), SettingsError> {
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(SettingsError::Length);
        }
        for [a, b, c, d, e, f] in settings {
            self.set(u16::from_be_bytes([*a, *b]), u32::from_be_bytes([*c, *d, *e, *f]))?;
        }
        Ok(())
    }

    fn set(&mut self, setting: u16, value: u32) -> Result<(), SettingsError> {
        match setting {
            HEADER_TABLE_SIZE => self.header_table = value,
            ENABLE_PUSH => self.push = flag(value)?,
            MAX_CONCURRENT_STREAMS => self.streams_max = value,
            INITIAL_WINDOW_SIZE if value > WINDOW_MAX => return Err(SettingsError::Window),
            INITIAL_WINDOW_SIZE => self.initial_window = value,
            MAX_FRAME_SIZE if !(FRAME_BYTES_DEFAULT..=FRAME_BYTES_MAX).contains(&value) => {
                return Err(SettingsError::Value);
            }
            MAX_FRAME_SIZE => self.frame_max = value,
            MAX_HEADER_LIST_SIZE => self.header_list_max = value,
            ENABLE_CONNECT_PROTOCOL => {
                let on = flag(value)?;
                // It cannot be taken back (RFC 8441 §3).
                if self.connect_protocol && !on {
                    return Err(SettingsError::Value);
                }
                self.connect_protocol = on;
            }
            _ => {}
        }
        Ok(())
    }

    /// Appends a SETTINGS frame with what differs from `known`, which the peer has been told
    /// before.
    pub fn write(&self, known: &Settings, out: &mut Vec<u8>) {
        let values = [
            (HEADER_TABLE_SIZE, self.header_table, known.header_table),
            (ENABLE_PUSH, u32::from(self.push), u32::from(known.push)),
            (MAX_CONCURRENT_STREAMS, self.streams_max, known.streams_max),
            (INITIAL_WINDOW_SIZE, self.initial_window, known.initial_window),
            (MAX_FRAME_SIZE, self.frame_max, known.frame_max),
            (MAX_HEADER_LIST_SIZE, self.header_list_max, known.header_list_max),
            (
                ENABLE_CONNECT_PROTOCOL,
                u32::from(self.connect_protocol),
                u32::from(known.connect_protocol),
            ),
        ];
        let mut payload = Vec::with_capacity(values.len() * 6);
        for (setting, value, known) in values {
            if value != known {
                payload.extend_from_slice(&setting.to_be_bytes());
                payload.extend_from_slice(&value.to_be_bytes());
            }
        }
        frame::write(out, Kind::Settings, 0, 0, &payload);
    }
}

fn flag(value: u32) -> Result<bool, SettingsError> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(SettingsError::Value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_as_they_are_read() {
        let settings = Settings {
            header_table: 0,
            push: false,
            streams_max: 100,
            initial_window: WINDOW_MAX,
            frame_max: FRAME_BYTES_MAX,
            header_list_max: 65_536,
            connect_protocol: true,
        };
        let mut out = Vec::new();
        settings.write(&Settings::default(), &mut out);
        assert_eq!(out.len(), 9 + 7 * 6);
        let mut read = Settings::default();
        assert_eq!(read.apply(&out[9..]), Ok(()));
        assert_eq!(read, settings);
        out.clear();
        settings.write(&settings, &mut out);
        assert_eq!(out.len(), 9);
    }

    #[test]
    fn values_out_of_range_are_refused() {
        check(&[0, 4, 0x80, 0, 0, 0], Err(SettingsError::Window));
        check(&[0, 5, 0, 0, 0x3f, 0xff], Err(SettingsError::Value));
        check(&[0, 5, 1, 0, 0, 0], Err(SettingsError::Value));
        check(&[0, 2, 0, 0, 0, 2], Err(SettingsError::Value));
        check(&[0, 8, 0, 0, 0, 2], Err(SettingsError::Value));
        check(&[0, 8, 0, 0, 0, 1, 0, 8, 0, 0, 0, 0], Err(SettingsError::Value));
        check(&[0, 4, 0, 0, 0], Err(SettingsError::Length));
        check(&[0, 99, 0xff, 0xff, 0xff, 0xff], Ok(()));
        check(&[], Ok(()));
    }

    #[track_caller]
    fn check(payload: &[u8], want: Result<(), SettingsError>) {
        assert_eq!(Settings::default().apply(payload), want);
    }
}

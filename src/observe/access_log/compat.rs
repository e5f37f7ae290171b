//! The same facts under the names of other gateways (SPEC 15.3).

use super::{AccessRecord, Line, severity};
use crate::base::decimal;
use crate::observe::json::Calendar;

/// `time`, `level`, `caller` and `msg`, and what there is to tell of a request.
pub(super) fn write_gufo(out: &mut Vec<u8>, calendar: &mut Calendar, record: &AccessRecord) {
    let mut line = Line { out, calendar };
    line.begin_compat(record);
    line.text("caller", "gateway");
    line.text("msg", "request");
    line.text("method", record.method.as_str());
    line.text("path", record.path.as_str());
    line.text_if_any("module", record.route.as_str());
    line.number("status", u64::from(record.status));
    line.client("ip", record.client);
    line.text_if_any("request_id", record.request_id.as_str());
    line.text_if_any("user_agent", record.user_agent.as_str());
    line.text_if_any("reason", record.reason);
    line.micros("duration_us", Some(record.times.total));
    line.out.extend_from_slice(b"}\n");
}

/// The keys of one `http_request`; the duration is in nanoseconds, as `slog` writes one.
pub(super) fn write_threex(out: &mut Vec<u8>, calendar: &mut Calendar, record: &AccessRecord) {
    let mut line = Line { out, calendar };
    line.begin_compat(record);
    line.text("msg", "http_request");
    line.text("rid", record.request_id.as_str());
    line.text("route", record.route.as_str());
    line.text("method", record.method.as_str());
    line.text("path", record.path.as_str());
    line.client("remote", record.client);
    line.number("status", u64::from(record.status));
    line.number("bytes", record.response_bytes);
    line.name("duration");
    decimal::push(line.out, u64::try_from(record.times.total.as_nanos()).unwrap_or(u64::MAX));
    line.out.extend_from_slice(b"}\n");
}

impl Line<'_> {
    fn begin_compat(&mut self, record: &AccessRecord) {
        self.out.extend_from_slice(b"{\"time\":");
        self.calendar.push(self.out, record.time);
        self.text("level", severity(record).name());
    }
}

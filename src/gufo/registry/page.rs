//! What is known of modules, as it is kept on disk: used at the start, while no master answers.

use std::time::Duration;

use serde_json::{Value, json};

use super::{INSTANCES_MAX, Place, SESSION_HOST, Wanted, instance};
use crate::base::time::UnixTime;

/// Of a file: more is none of ours.
pub const BYTES_MAX: usize = 16 * 1024 * 1024;
/// The form of the file.
const VERSION: u64 = 1;

/// The text of a file.
#[must_use]
pub fn write<'a>(
    known: impl Iterator<Item = (&'a Wanted, &'a Place, Duration)>,
    now: UnixTime,
) -> String {
    let row = |(wanted, place, age): (&Wanted, &Place, Duration)| {
        let instances: Vec<_> = place
            .instances
            .iter()
            .map(|own| {
                json!({
                    "host": own.host, "port": own.port, "region": own.region,
                    "group": own.group, "weight": own.weight
                })
            })
            .collect();
        json!({
            "name": wanted.name(), "told": now.0.saturating_sub(age).as_secs(),
            "internal": place.internal, "instances": instances
        })
    };
    let rows: Vec<_> = known.map(row).collect();
    format!("{:#}\n", json!({ "version": VERSION, "modules": rows }))
}

/// What a file says, and how long ago a master said that. Rows that cannot be read are left out.
///
/// # Errors
/// Says why it is no such file.
pub fn read(text: &str, now: UnixTime) -> Result<Vec<(Wanted, Place, Duration)>, String> {
    let page: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if page.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err("it is of another version".to_owned());
    }
    let rows = page.get("modules").and_then(Value::as_array).ok_or("it has no modules")?;
    let row = |row: &Value| {
        let name = row.get("name")?.as_str()?;
        let wanted = match name {
            SESSION_HOST => Wanted::Session,
            _ => Wanted::module(name)?,
        };
        let list = row.get("instances")?.as_array()?;
        let instances: Vec<_> = list.iter().filter_map(instance).take(INSTANCES_MAX).collect();
        if instances.is_empty() {
            return None;
        }
        let internal = row.get("internal").and_then(Value::as_bool).unwrap_or(false);
        // A clock that was set back makes nothing older than it is.
        let told = Duration::from_secs(row.get("told")?.as_u64()?);
        Some((wanted, Place { instances, internal }, now.0.saturating_sub(told)))
    };
    Ok(rows.iter().filter_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gufo::registry::Instance;

    const NOW: UnixTime = UnixTime(Duration::from_hours(500_000));

    fn place(host: &str) -> Place {
        let instance = Instance {
            host: host.to_owned(),
            port: 4802,
            region: "eu".to_owned(),
            group: "\"".to_owned(),
            weight: 3,
        };
        Place { instances: vec![instance], internal: true }
    }

    #[test]
    fn what_was_written_is_read_and_is_older_by_then() {
        let users = Wanted::module("users").unwrap();
        let rows = [(users, place("a")), (Wanted::Session, place("::1"))];
        let age = Duration::from_secs(70);
        let text = write(rows.iter().map(|(wanted, place)| (wanted, place, age)), NOW);
        let later = UnixTime(NOW.0 + Duration::from_secs(30));
        let read = read(&text, later).unwrap();
        let age = Duration::from_secs(100);
        let want: Vec<_> = rows.into_iter().map(|(wanted, place)| (wanted, place, age)).collect();
        assert_eq!(read, want);
    }

    #[test]
    fn what_is_no_such_file_is_refused_and_odd_rows_are_left_out() {
        for text in ["", "{}", "[]", "{\"version\":2,\"modules\":[]}", "{\"version\":1}"] {
            assert!(read(text, NOW).is_err(), "{text}");
        }
        let text = r#"{"version":1,"modules":[{"name":"a b","told":1,"instances":[]},7,
            {"name":"users","told":1,"instances":[{"host":"a\r\nb","port":1}]}]}"#;
        assert_eq!(read(text, NOW), Ok(Vec::new()));
    }
}

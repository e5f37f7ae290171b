//! The keys of what is asked of an identity and told of it.

use crate::config::fault::Code;
use crate::config::routes::Reader;
use crate::policy::people::PeopleRule;

/// What a route asks for; `None`: nothing.
pub(super) fn read(reader: &mut Reader<'_>, number: &str) -> Option<PeopleRule> {
    let rule = PeopleRule {
        bots: place(reader, number, "bots", "bots"),
        widget: place(reader, number, "widget", "widgets"),
        billing: bills(reader, number),
    };
    (rule != PeopleRule::default()).then_some(rule)
}

/// The place of the named table among all of its kind.
fn place(reader: &mut Reader<'_>, number: &str, key: &str, table: &str) -> Option<usize> {
    let name = reader.text(number, key)?;
    let place = reader.config.names(table).iter().position(|own| *own == name);
    if place.is_none() && reader.whole {
        let message = format!("there is no [{table}.{name}]");
        let path = format!("route.{number}.{key}");
        reader.find(Code::Dangling, &path, &message, &format!("write [{table}.{name}]"));
    }
    place
}

fn bills(reader: &mut Reader<'_>, number: &str) -> bool {
    let path = format!("route.{number}.billing");
    if reader.config.boolean(&path) != Some(true) {
        return false;
    }
    if reader.whole && !reader.config.is_given("billing.upstream") {
        let way_out = "write upstream = \"...\" in [billing]";
        reader.find(Code::Dangling, &path, "nobody is asked who can pay", way_out);
    }
    true
}

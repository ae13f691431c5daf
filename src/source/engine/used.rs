//! When images were used: what the engine's events and its containers tell of it. A container names its image by ID; an event names it as
//! whoever made the container did.
//!
//! Facts: Docker Engine API 1.50, `/events` and `/containers/json`; `HumanDuration` of docker/go-units, in whose words a container's end is
//! told, for an engine lists no time of it.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::list::is_running;
use super::wire::{self, ContainerRow, Event};
use crate::model::{Digest, Foreign};
use crate::source::{LastUses, Noticed};

/// What of a container is a use of its image.
const CONTAINER: [&str; 7] = ["create", "start", "die", "stop", "pause", "unpause", "restart"];
/// What of an image is a use of it: somebody wanted it here.
const IMAGE: [&str; 3] = ["pull", "load", "import"];
/// Longest name of an image that is believed, in bytes.
const LONGEST: usize = 1024;

/// When the containers of each image ran last, as far as that can be told; one that runs, does now.
pub(super) fn last(rows: &[ContainerRow<'_>], now: Timestamp) -> LastUses {
    let mut last: HashMap<Digest, Timestamp> = HashMap::new();
    for row in rows {
        let Some(image) = wire::id(&row.image_id.0) else { continue };
        let ended = || ended(&row.status.0, now);
        let Some(at) = is_running(row).then_some(now).or_else(ended).max(row.created.0) else { continue };
        last.entry(image).and_modify(|known| *known = at.max(*known)).or_insert(at);
    }
    last.into_iter().collect()
}

/// The latest moment that `Exited (0) 3 weeks ago` may mean.
fn ended(status: &str, now: Timestamp) -> Option<Timestamp> {
    let span = status.strip_suffix(" ago")?.rsplit_once(") ")?.1;
    let (count, unit) = span.rsplit_once(' ')?;
    let count: i64 = match count {
        "About a" | "About an" => 1,
        "Less than a" => 0,
        count => count.parse().ok()?,
    };
    let seconds = match unit.trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        // The only one that is rounded, and not cut.
        "hour" => return now.checked_sub(SignedDuration::from_secs(count.checked_mul(3600)?.saturating_sub(1800))).ok(),
        "day" => 86_400,
        "week" => 7 * 86_400,
        "month" => 30 * 86_400,
        "year" => 365 * 86_400,
        _ => return None,
    };
    now.checked_sub(SignedDuration::from_secs(count.checked_mul(seconds)?)).ok()
}

/// What a line of the events says.
pub(super) fn noticed(line: &[u8], now: Timestamp) -> Noticed {
    let Ok(event) = serde_json::from_slice::<Event<'_>>(line) else { return Noticed::Change };
    let (kind, action) = (event.kind.0.as_ref(), event.action.0.as_ref());
    let image = match kind {
        "container" if CONTAINER.contains(&action) => &event.actor.attributes.image.0,
        "image" if IMAGE.contains(&action) => &event.actor.id.0,
        _ => return Noticed::Change,
    };
    if image.is_empty() || image.len() > LONGEST {
        return Noticed::Change;
    }
    Noticed::Use { image: Foreign::new(image), at: event.time.0.unwrap_or(now).min(now) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn now() -> Timestamp {
        Timestamp::from_second(1_760_000_000).unwrap()
    }

    fn ago(seconds: i64) -> Timestamp {
        now() - SignedDuration::from_secs(seconds)
    }

    #[test]
    fn an_end_in_words_is_never_taken_for_longer_ago_than_it_was() {
        for (status, seconds) in [
            ("Exited (0) Less than a second ago", 0),
            ("Exited (137) 41 seconds ago", 41),
            ("Exited (0) About a minute ago", 60),
            ("Exited (0) About an hour ago", 1800),
            ("Exited (0) 3 hours ago", 9000),
            ("Exited (0) 5 weeks ago", 35 * 86_400),
            ("Exited (1) 2 years ago", 730 * 86_400),
        ] {
            assert_eq!(ended(status, now()), Some(ago(seconds)), "{status}");
        }
        for status in ["", "Created", "Up 3 hours", "Exited (0) 9999999999999999999 years ago", "Exited (0) a while ago", ") x ago"] {
            assert_eq!(ended(status, now()), None, "{status}");
        }
    }

    #[test]
    fn the_last_container_of_an_image_says_when_it_was_used() {
        let text = |state: &str, status: &str, created: i64| {
            format!(r#"{{"Id":"c","ImageID":"{A}","State":"{state}","Status":"{status}","Created":{created}}}"#)
        };
        let last = |rows: &[String]| {
            let json = format!("[{}]", rows.join(","));
            let rows: Vec<ContainerRow<'_>> = serde_json::from_str(&json).unwrap();
            super::last(&rows, now()).into_iter().map(|(_, at)| at).collect::<Vec<_>>()
        };
        let old = text("exited", "Exited (0) 5 weeks ago", 1_700_000_000);
        assert_eq!(last(std::slice::from_ref(&old)), [ago(35 * 86_400)]);
        assert_eq!(last(&[text("created", "Created", 1_759_999_000)]), [ago(1000)], "one that never ran was made");
        assert_eq!(last(&[text("running", "Up 2 years", 1_700_000_000), old]), [now()], "one that runs is used now");
        assert_eq!(last(&[r#"{"ImageID":"x"}"#.to_owned(), text("exited", "?", 0).replace("\"Created\":0", "\"Created\":null")]), []);
    }

    #[test]
    fn events_of_containers_and_pulls_are_uses_and_all_others_changes() {
        let used = |line: &str| match noticed(line.as_bytes(), now()) {
            Noticed::Use { image, at } => Some((image.raw().to_owned(), at)),
            Noticed::Change => None,
        };
        let start =
            r#"{"Type":"container","Action":"start","Actor":{"ID":"c","Attributes":{"image":"app:1","name":"web"}},"time":1759999990}"#;
        assert_eq!(used(start), Some(("app:1".to_owned(), ago(10))));
        assert_eq!(used(&start.replace("1759999990", "1999999990")), Some(("app:1".to_owned(), now())), "an engine's clock may be wrong");
        assert_eq!(used(r#"{"Type":"image","Action":"pull","Actor":{"ID":"app:2"}}"#), Some(("app:2".to_owned(), now())));
        let long = start.replace("app:1", &"x".repeat(2000));
        for line in [
            &start.replace("start", "destroy"),
            &start.replace("app:1", ""),
            &long,
            "{",
            "7",
            r#"{"Type":"image","Action":"tag","Actor":{"ID":"x"}}"#,
        ] {
            assert_eq!(used(line), None, "{line}");
        }
    }
}

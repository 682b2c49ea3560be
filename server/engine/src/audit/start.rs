//! Opening a log that may have been written by another version, with another key, or to an earlier copy of the
//! database.

use super::anchor::{self, Anchor, Found};
use crate::db::audit::{Era, Head, Keys};
use crate::db::{self, Conn, Tx};
use crate::error::Result;
use std::path::Path;

/// Begins an era if the key has changed. Returns what is wrong with the log, as sentences.
pub(super) async fn take_up(tx: &mut Tx, keys: &Keys, state: &Path) -> Result<Vec<String>> {
    let before = db::audit::eras(tx).await?.pop();
    let mut warnings: Vec<String> = before.as_ref().and_then(|era| lost_key(keys, era)).into_iter().collect();
    match anchor::read(state, keys)? {
        Found::Anchor(anchor) => {
            if !contains(tx, &anchor.head()).await? {
                let (head, entries) = db::audit::head(tx).await?;
                warnings.push(older(&anchor, head.link, entries));
            }
        }
        // A log that has never had a key has no anchor, and the anchor of a lost key cannot be read.
        _ if before.as_ref().is_none_or(|era| keys.find(&era.key).is_none()) => {}
        Found::Nothing => warnings.push(no_anchor("missing")),
        Found::Unreadable => warnings.push(no_anchor("damaged, or was changed")),
    }
    if before.is_none_or(|era| era.key != keys.current.id()) {
        db::audit::begin_era(tx, &keys.current).await?;
    }
    Ok(warnings)
}

/// Whether the chain has this link.
pub(super) async fn contains(conn: &mut Conn, link: &Head) -> Result<bool> {
    Ok(link.link == 0 || db::audit::link_hash(conn, link.link).await?.as_deref() == Some(link.hash.as_str()))
}

fn lost_key(keys: &Keys, era: &Era) -> Option<String> {
    keys.find(&era.key).is_none().then(|| {
        format!(
            "The key that the audit log was written with so far (“{}”) is missing; what was written with it cannot be \
             verified. If there is a copy, put it back and start the portal again.",
            era.key
        )
    })
}

fn older(anchor: &Anchor, links: i64, entries: i64) -> String {
    let then = jiff::Timestamp::from_millisecond(anchor.at.0).unwrap_or_default();
    format!(
        "The audit log is not the one that the portal wrote: at {then:.0} it had {} entries and ended with link {}; now \
         it has {entries} entries and {links} links, and that link is not among them. The database was restored from an \
         older backup, or entries were removed or replaced.",
        anchor.entries, anchor.link
    )
}

fn no_anchor(how: &str) -> String {
    format!(
        "The file {} is {how}: there is no way to tell whether the end of the audit log was cut off.",
        anchor::FILE
    )
}

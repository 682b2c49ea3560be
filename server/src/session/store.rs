//! Where tower-sessions finds sessions: in the engine, which makes their ids, keeps only hashes of them, and knows when they end.
//!
//! So that a login and its entry in the audit log are one transaction, the engine begins the session; [`Store::create`]
//! takes over what it began. Nothing else is ever saved: a session is who someone is, from where and since when, not a
//! bag of values. A lookup costs one read; the engine records the use of a session once a minute.

use async_trait::async_trait;
use engine::Engine;
use model::Fault;
use model::account::{Actor, Secret};
use model::portal::Portal as _;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tower_sessions::SessionStore;
use tower_sessions::cookie::time::{Duration, OffsetDateTime};
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

/// Under this key a session has its [`model::account::SessionUser`].
pub(super) const USER: &str = "user";
/// Under this key a session to be created has the token that the engine gave it.
pub(super) const BEGUN: &str = "begun";
/// How long a browser keeps the cookie: as long as a session can last at all. The engine ends it earlier when it is not used.
pub(super) const LONGEST: Duration = Duration::days(30);

/// The engine's sessions.
#[derive(Clone)]
pub struct Store(Arc<Engine>);

impl Store {
    /// Over an engine.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self(engine)
    }

    /// Whether a session is still valid. Asking does not count as using it.
    ///
    /// # Errors
    /// [`Fault::Internal`] if the database does not answer.
    pub async fn stands(&self, token: &Secret) -> std::result::Result<bool, Fault> {
        self.0.session_stands(token).await
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

#[async_trait]
impl SessionStore for Store {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let begun = record.data.remove(BEGUN).and_then(|token| id(token.as_str()?));
        record.id = begun.ok_or_else(|| Error::Backend("only a login begins a session".to_owned()))?;
        Ok(())
    }

    async fn save(&self, _record: &Record) -> Result<()> {
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let Some(user) = self.0.session(&token(id)).await.map_err(backend)? else { return Ok(None) };
        let user = serde_json::to_value(user).map_err(|error| Error::Encode(error.to_string()))?;
        let data = HashMap::from([(USER.to_owned(), user)]);
        Ok(Some(Record { id: *id, data, expiry_date: OffsetDateTime::now_utc() + LONGEST }))
    }

    /// A session ended by its user, or by another login in the same browser, is already gone and in the audit log.
    async fn delete(&self, id: &Id) -> Result<()> {
        let token = token(id);
        if let Some(user) = self.0.session(&token).await.map_err(backend)? {
            let actor = Actor { user: Some(user), from: None };
            self.0.logout(&actor, &token).await.map_err(backend)?;
        }
        Ok(())
    }
}

/// The sentence is for people, and the engine has logged the rest.
fn backend(fault: Fault) -> Error {
    Error::Backend(fault.to_string())
}

/// The engine's name for a session: the id's 128 bits as hexadecimal digits.
pub(super) fn token(id: &Id) -> Secret {
    Secret::new(hex::encode(id.0.to_be_bytes()))
}

fn id(token: &str) -> Option<Id> {
    let bytes: [u8; 16] = hex::decode(token).ok()?.try_into().ok()?;
    Some(Id(i128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_and_a_token_are_the_same_128_bits() {
        for bits in [i128::MIN, -1, 0, 1, i128::MAX] {
            let token = token(&Id(bits));
            assert_eq!((token.reveal().len(), id(token.reveal())), (32, Some(Id(bits))));
        }
        for bad in ["", "00", "0g".repeat(16).as_str(), "00".repeat(32).as_str()] {
            assert_eq!(id(bad), None, "{bad}");
        }
    }
}

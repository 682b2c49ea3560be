//! Passwords: Argon2id with OWASP's parameters (Password Storage Cheat Sheet: m=19456, t=2, p=1), off the async threads,
//! and at most a few at once, because each takes 19 MiB.

use crate::settings::PasswordCost;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use model::account::Secret;
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// How many passwords are hashed at once.
const AT_ONCE: usize = 2;

/// Why a password could not be hashed; a wrong password is not an error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    /// Argon2 refused its parameters or the text.
    #[error("Argon2 failed: {0}")]
    Argon2(String),
    /// The runtime is ending.
    #[error("the hashing thread was stopped")]
    Stopped,
}

/// Hashes and verifies.
#[derive(Clone, Debug)]
pub(crate) struct Hasher {
    cost: PasswordCost,
    slots: Arc<Semaphore>,
    /// The hash of a password nobody knows, verified against when there is no user with the name: equal work.
    nobody: Arc<OnceLock<String>>,
}

impl Hasher {
    /// A hasher with all its slots free.
    pub fn new(cost: PasswordCost) -> Self {
        Self { cost, slots: Arc::new(Semaphore::new(AT_ONCE)), nobody: Arc::default() }
    }

    /// The PHC string of a password under a fresh salt.
    pub async fn hash(&self, password: &Secret) -> Result<String, HashError> {
        let (password, cost) = (password.clone(), self.cost);
        self.blocking(move || hash(&password, cost)).await
    }

    /// Whether a password fits a stored hash. Without a hash the same work is done, and the answer is no.
    pub async fn verify(&self, password: &Secret, stored: Option<String>) -> Result<bool, HashError> {
        let (password, cost) = (password.clone(), self.cost);
        let nobody = self.nobody.clone();
        self.blocking(move || {
            let known = stored.is_some();
            let against = match (stored, nobody.get()) {
                (Some(stored), _) => stored,
                (None, Some(nobody)) => nobody.clone(),
                (None, None) => {
                    let made = hash(&super::random_secret(), cost)?;
                    nobody.get_or_init(|| made).clone()
                }
            };
            let parsed = PasswordHash::new(&against).map_err(|e| HashError::Argon2(e.to_string()))?;
            let fits = argon2(cost)?.verify_password(password.reveal().as_bytes(), &parsed).is_ok();
            Ok(fits && known)
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| HashError::Stopped)?;
        tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        })
        .await
        .map_err(|_| HashError::Stopped)?
    }
}

fn argon2(cost: PasswordCost) -> Result<Argon2<'static>, HashError> {
    let params =
        Params::new(cost.memory, cost.passes, 1, None).map_err(|e| HashError::Argon2(e.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &Secret, cost: PasswordCost) -> Result<String, HashError> {
    let hash = argon2(cost)?
        .hash_password(password.reveal().as_bytes())
        .map_err(|e| HashError::Argon2(e.to_string()))?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits_and_nobody_has_one() {
        let hasher = Hasher::new(crate::Settings::new("").password_cost);
        let password = Secret::new("correct horse battery".to_owned());
        let stored = hasher.hash(&password).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_ne!(stored, hasher.hash(&password).await.unwrap(), "the salt is fresh");
        assert!(hasher.verify(&password, Some(stored.clone())).await.unwrap());
        let wrong = Secret::new("correct horse".to_owned());
        assert!(!hasher.verify(&wrong, Some(stored)).await.unwrap());
        assert!(!hasher.verify(&password, None).await.unwrap());
        assert!(!hasher.verify(&password, None).await.unwrap(), "the second time the hash is there already");
    }
}

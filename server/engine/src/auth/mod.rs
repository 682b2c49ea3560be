//! Who is who: passwords, login with throttling, known devices, sessions, socket tickets, the one-time setup link.

pub(crate) mod devices;
pub(crate) mod login;
pub(crate) mod password;
pub(crate) mod sessions;
pub(crate) mod setup;
pub(crate) mod throttle;
pub(crate) mod tickets;

use model::account::Secret;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use sha2::{Digest as _, Sha256};

/// A fresh secret of 256 bits from the system, as hexadecimal digits.
pub(crate) fn random_secret() -> Secret {
    Secret::new(hex::encode(random::<32>()))
}

/// A fresh session token of 128 bits, which is what an id of tower-sessions holds.
pub(crate) fn random_session_token() -> Secret {
    Secret::new(hex::encode(random::<16>()))
}

/// A fresh public handle of 64 bits.
pub(crate) fn random_handle() -> String {
    hex::encode(random::<8>())
}

/// Random bytes from the system.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // getrandom(2) fails on no system that runs this; if it ever did, two hashed UUIDs (`v4` draws from the same
    // source and aborts) are the fallback, never zeros.
    if OsRng.try_fill_bytes(&mut bytes).is_err() {
        let mut hasher = Sha256::new();
        hasher.update(uuid::Uuid::new_v4());
        hasher.update(uuid::Uuid::new_v4());
        for (to, from) in bytes.iter_mut().zip(hasher.finalize()) {
            *to = from;
        }
    }
    bytes
}

/// What is stored of a secret. Comparing hashes also keeps timing from revealing anything about the secret.
pub(crate) fn digest(secret: &Secret) -> String {
    hex::encode(Sha256::digest(secret.reveal().as_bytes()))
}

//! What makes the chain's links: HMAC-SHA256 (RFC 2104) with a key that is not in the database, so that write access to
//! the database is not enough to make valid links.
//!
//! Keys come and go: a log from before there were keys has links of plain SHA-256, and a key can be lost or replaced.
//! So the chain has eras. Each begins behind a link, names its key, and has a seal: an HMAC by that key over the link.
//! The seal keeps a forger from declaring a part of the chain to be of an era whose links anyone can make.

use crate::key::Key;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A link: its number, and its hash; before the first there is link 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub link: i64,
    pub hash: String,
}

/// The available keys: the one that writes, and those that only verify.
#[derive(Clone)]
pub(crate) struct Keys {
    pub current: Key,
    pub former: Vec<Key>,
}

impl Keys {
    /// The key of this name.
    pub fn find(&self, id: &str) -> Option<&Key> {
        std::iter::once(&self.current).chain(&self.former).find(|key| key.id() == id)
    }
}

/// A part of the chain that was written with one key. Links before the first era are of plain SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Era {
    /// The link behind which it begins.
    after: i64,
    /// The key's name.
    pub key: String,
    seal: String,
}

impl Era {
    /// The era of this key behind this link.
    pub fn new(key: &Key, head: &Head) -> Self {
        Self { after: head.link, key: key.id().to_owned(), seal: key.tag(&[SEAL, sealed(head).as_bytes()]) }
    }

    fn fits(&self, key: &Key, head: &Head) -> bool {
        key.fits(&[SEAL, sealed(head).as_bytes()], &self.seal)
    }
}

const SEAL: &[u8] = b"snowglobe audit era";

fn sealed(head: &Head) -> String {
    format!("{} {}", head.link, head.hash)
}

/// How the links of an era are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// From before there were keys: shows damage, and changes by someone who did not recompute what follows.
    Unkeyed,
    /// By an available key.
    Keyed,
    /// By a missing key.
    Lost,
}

/// Goes along the links and through the eras from the beginning.
pub(super) struct Walk<'a> {
    keys: &'a Keys,
    eras: &'a [Era],
    key: Option<&'a Key>,
    pub proof: Proof,
    pub at: Head,
}

impl<'a> Walk<'a> {
    /// Before the first link.
    pub fn new(keys: &'a Keys, eras: &'a [Era]) -> Self {
        let at = Head { link: 0, hash: String::new() };
        Self { keys, eras, key: None, proof: Proof::Unkeyed, at }
    }

    /// Enters the eras that begin here; false if one of them does not.
    pub fn enter(&mut self) -> bool {
        while let Some((era, rest)) = self.eras.split_first().filter(|(era, _)| era.after <= self.at.link) {
            self.eras = rest;
            self.key = self.keys.find(&era.key);
            self.proof = if self.key.is_some() { Proof::Keyed } else { Proof::Lost };
            if era.after != self.at.link || self.key.is_some_and(|key| !era.fits(key, &self.at)) {
                return false;
            }
        }
        true
    }

    /// Takes the next link; false if it does not fit.
    pub fn step(&mut self, content: &[u8], hash: String) -> bool {
        if !self.enter() {
            return false;
        }
        let fits = match (self.proof, self.key) {
            (Proof::Lost, _) => true,
            (_, Some(key)) => self.at.keyed(key, content) == hash,
            (_, None) => self.at.unkeyed(content) == hash,
        };
        self.at = Head { link: self.at.link + 1, hash };
        fits
    }

    /// Whether this is where the chain may end: all eras have been entered, and the last one is of the present key.
    pub fn may_end(&mut self) -> bool {
        self.enter() && self.eras.is_empty() && self.key.is_some_and(|key| key.id() == self.keys.current.id())
    }
}

impl Head {
    /// The hash of the link that follows, over this content, by this key.
    pub(super) fn keyed(&self, key: &Key, content: &[u8]) -> String {
        key.tag(&[self.hash.as_bytes(), &(self.link + 1).to_be_bytes(), content])
    }

    fn unkeyed(&self, content: &[u8]) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.hash.as_bytes());
        hasher.update((self.link + 1).to_be_bytes());
        hasher.update(content);
        hex::encode(hasher.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Links over these contents, each made by `make`.
    fn chain(make: &[Option<&Key>]) -> Vec<String> {
        let mut at = Head { link: 0, hash: String::new() };
        let mut hashes = Vec::new();
        for key in make {
            let hash = key.map_or_else(|| at.unkeyed(b"x"), |key| at.keyed(key, b"x"));
            at = Head { link: at.link + 1, hash: hash.clone() };
            hashes.push(hash);
        }
        hashes
    }

    fn holds(keys: &Keys, eras: &[Era], hashes: &[String]) -> Option<Vec<Proof>> {
        let mut walk = Walk::new(keys, eras);
        let mut proofs = Vec::new();
        for hash in hashes {
            if !walk.step(b"x", hash.clone()) {
                return None;
            }
            proofs.push(walk.proof);
        }
        walk.may_end().then_some(proofs)
    }

    #[test]
    fn eras_follow_each_other_and_none_can_be_forged() {
        let (first, second) = (Key::new(b"first"), Key::new(b"second"));
        let hashes = chain(&[None, None, Some(&first), Some(&second), Some(&second)]);
        let era = |key, link: i64| {
            let hash = hashes.get(usize::try_from(link - 1).unwrap()).cloned().unwrap();
            Era::new(key, &Head { link, hash })
        };
        let eras = [era(&first, 2), era(&second, 3)];
        let both = Keys { current: second.clone(), former: vec![first.clone()] };
        use Proof::{Keyed, Lost, Unkeyed};
        assert!(holds(&both, &eras, &hashes) == Some(vec![Unkeyed, Unkeyed, Keyed, Keyed, Keyed]));
        let lost = Keys { current: second.clone(), former: vec![] };
        assert!(holds(&lost, &eras, &hashes) == Some(vec![Unkeyed, Unkeyed, Lost, Keyed, Keyed]));

        // Without the key, a forger can only make plain links.
        let forged = chain(&[None; 5]);
        assert!(holds(&both, &[], &forged).is_none(), "a log without an era is not the present key's");
        assert!(holds(&both, &eras, &forged).is_none());
        let moved = Era { after: 5, ..eras[1].clone() };
        assert!(holds(&both, &[moved], &forged).is_none(), "a seal fits behind one link only");
        assert!(holds(&both, &eras[..1], &hashes).is_none(), "the present key's era is the last one");
    }
}

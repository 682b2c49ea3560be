//! Known devices: browsers in which the owner of an account has logged in before. They carry a cookie that only we
//! can make, which sets their attempts apart from a stranger's, who must not be able to lock the owner out by
//! guessing.
//!
//! The cookie is no session: it gives a separate bucket at login ([`super::throttle`]), and nothing else. It holds an
//! entry for each of the last few accounts, without their names: `id.issued.tag`, joined by `~`. An entry is replaced
//! at each login.

use super::random_handle;
use crate::key::Key;
use model::Time;
use model::account::{DEVICE_SECONDS, Secret};
use std::io;
use std::path::Path;

/// The key's file in the state directory.
const FILE: &str = "device.key";
/// How many accounts a browser is remembered for.
const ACCOUNTS: usize = 4;
/// The longest entry that is read, in bytes: 16 digits, 19 digits, 64 digits.
const ENTRY_MAX: usize = 128;

/// Makes and reads the cookies.
pub(crate) struct Devices {
    key: Key,
}

/// Names a device of one account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DeviceId(String);

impl Devices {
    /// With the key in this state directory. Without its file, every device is a stranger's again.
    pub fn open(state: &Path) -> io::Result<Self> {
        Ok(Self { key: Key::find_or_make(&state.join(FILE))? })
    }

    /// The device, if the cookie says that it is one of this account.
    pub fn recognise(&self, cookie: Option<&Secret>, account: &str, now: Time) -> Option<DeviceId> {
        entries(cookie).find_map(|entry| self.check(entry, account, now))
    }

    /// The cookie after a login to this account.
    pub fn remember(&self, cookie: Option<&Secret>, account: &str, now: Time) -> Secret {
        let (id, issued) = (random_handle(), now.0.to_string());
        let tag = self.key.tag(&parts(&id, &issued, account));
        let fresh = format!("{id}.{issued}.{tag}");
        let others = entries(cookie).filter(|entry| self.check(entry, account, now).is_none());
        let all: Vec<&str> = std::iter::once(fresh.as_str()).chain(others.take(ACCOUNTS - 1)).collect();
        Secret::new(all.join("~"))
    }

    fn check(&self, entry: &str, account: &str, now: Time) -> Option<DeviceId> {
        let mut fields = entry.split('.');
        let (id, issued, tag) = (fields.next()?, fields.next()?, fields.next()?);
        let age = Time(issued.parse().ok()?).millis_until(now) / 1000;
        let good = age < DEVICE_SECONDS && self.key.fits(&parts(id, issued, account), tag);
        good.then(|| DeviceId(id.to_owned()))
    }
}

fn parts<'a>(id: &'a str, issued: &'a str, account: &'a str) -> [&'a [u8]; 4] {
    [b"snowglobe device", id.as_bytes(), issued.as_bytes(), account.as_bytes()]
}

fn entries(cookie: Option<&Secret>) -> impl Iterator<Item = &str> {
    let text = cookie.map_or("", |cookie| cookie.reveal());
    text.split('~').filter(|entry| !entry.is_empty() && entry.len() <= ENTRY_MAX).take(ACCOUNTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn devices() -> (tempfile::TempDir, Devices) {
        let dir = tempfile::tempdir().unwrap();
        let devices = Devices::open(dir.path()).unwrap();
        (dir, devices)
    }

    #[test]
    fn a_device_is_known_to_the_accounts_that_logged_in_with_it_and_for_a_time() {
        let (dir, devices) = devices();
        let now = Time(1_000_000);
        let ada = devices.remember(None, "ada", now);
        let known = devices.recognise(Some(&ada), "ada", now);
        assert!(known.is_some());
        assert_eq!(devices.recognise(Some(&ada), "bob", now), None);
        let both = devices.remember(Some(&ada), "bob", now);
        assert_eq!(devices.recognise(Some(&both), "ada", now), known);
        let again = devices.remember(Some(&both), "ada", now);
        assert_ne!(devices.recognise(Some(&again), "ada", now), known, "each login makes a new entry");
        assert_eq!(again.reveal().split('~').count(), 2, "and replaces the one before");
        let late = now.plus_millis(i64::try_from(DEVICE_SECONDS).unwrap() * 1000);
        assert_eq!(devices.recognise(Some(&again), "ada", late), None);
        assert_eq!(Devices::open(dir.path()).unwrap().recognise(Some(&ada), "ada", now), known);
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        assert_eq!(Devices::open(dir.path()).unwrap().recognise(Some(&ada), "ada", now), None);
    }

    #[test]
    fn a_browser_is_remembered_for_a_few_accounts_only() {
        let (_dir, devices) = devices();
        let mut cookie = None;
        for account in ["a", "b", "c", "d", "e"] {
            cookie = Some(devices.remember(cookie.as_ref(), account, Time(0)));
        }
        let known = |account| devices.recognise(cookie.as_ref(), account, Time(0)).is_some();
        assert_eq!(["a", "b", "c", "d", "e"].map(known), [false, true, true, true, true]);
        assert!(cookie.is_some_and(|cookie| cookie.reveal().len() <= model::account::DEVICE_COOKIE_MAX));
    }

    proptest! {
        #[test]
        fn no_cookie_that_somebody_makes_up_is_known(text in "[0-9a-f.~]{0,300}") {
            let devices = Devices { key: Key::new(b"a test") };
            let cookie = Secret::new(text);
            prop_assert_eq!(devices.recognise(Some(&cookie), "ada", Time(0)), None);
            let next = devices.remember(Some(&cookie), "ada", Time(0));
            prop_assert!(devices.recognise(Some(&next), "ada", Time(0)).is_some());
        }
    }
}

//! The device cookie: shows the engine that this browser has logged in before (`engine/src/auth/devices.rs`). It
//! outlives the session, and logging out keeps it: that is its purpose.

use crate::origin::Origins;
use axum::response::Response;
use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use model::account::{DEVICE_COOKIE_MAX, DEVICE_SECONDS, Secret};

/// Over TLS with the prefix that keeps plain http and sub-domains from planting one (RFC 6265bis §4.1.3.2).
fn name(origins: &Origins) -> &'static str {
    if origins.public().is_secure() { "__Host-snowglobe-device" } else { "snowglobe-device" }
}

/// The cookie's value. Anything that no engine can have made is not passed on.
pub fn read(headers: &HeaderMap, origins: &Origins) -> Option<Secret> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name(origins))?;
    let is_ours = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'~');
    let plausible = value.len() <= DEVICE_COOKIE_MAX && value.bytes().all(is_ours);
    plausible.then(|| Secret::new(value.to_owned()))
}

/// Has the browser keep what the engine gave it at a login.
pub fn remember(response: &mut Response, origins: &Origins, device: &Secret) {
    let secure = if origins.public().is_secure() { "; Secure" } else { "" };
    let (name, value) = (name(origins), device.reveal());
    let text = format!("{name}={value}; Path=/; Max-Age={DEVICE_SECONDS}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(mut cookie) = HeaderValue::from_str(&text) {
        cookie.set_sensitive(true);
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(public: &str) -> Origins {
        Origins::new(public.parse().unwrap(), "127.0.0.1:3000".parse().unwrap())
    }

    #[test]
    fn the_cookie_has_every_flag_that_its_name_promises_and_is_read_back() {
        for (public, prefix, secure) in
            [("https://vms.example.org", "__Host-", true), ("http://127.0.0.1:3000", "", false)]
        {
            let (origins, mut response) = (origins(public), Response::default());
            remember(&mut response, &origins, &Secret::new("ab.12.cd~ef.34.56".to_owned()));
            let cookie = response.headers().get(SET_COOKIE).unwrap().to_str().unwrap().to_owned();
            assert!(cookie.starts_with(&format!("{prefix}snowglobe-device=ab.12")), "{cookie}");
            assert!(cookie.contains("; Path=/;") && cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
            assert_eq!(cookie.contains("; Secure"), secure, "{cookie}");
            let sent = cookie.split(';').next().unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_str(&format!("a=b; {sent}")).unwrap());
            assert_eq!(read(&headers, &origins).unwrap().reveal(), "ab.12.cd~ef.34.56");
        }
    }

    #[test]
    fn what_cannot_be_ours_is_not_passed_on() {
        let long = format!("snowglobe-device={}", "a".repeat(DEVICE_COOKIE_MAX + 1));
        for bad in ["", "snowglobe=ab", "snowglobe-device=a\"b", "snowglobe-device=ä", long.as_str()] {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_bytes(bad.as_bytes()).unwrap());
            assert_eq!(read(&headers, &origins("http://127.0.0.1:3000")), None, "{bad}");
        }
    }
}

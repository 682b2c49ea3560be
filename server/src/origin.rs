//! Where requests really come from: the origins that browsers may have, and the client behind trusted proxies.
//!
//! Pure functions over header texts; `guard.rs` and the sockets act on the answers.

use http::uri::Authority;
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use url::Url;

/// Scheme, host and port of a web page (RFC 6454), as browsers send it: lower case, without the scheme's usual port,
/// names in Punycode, addresses in shortest form. Parsed as browsers do (url.spec.whatwg.org).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    secure: bool,
    /// Host and, where it is not the scheme's usual one, port.
    authority: String,
}

impl Origin {
    /// True for `https`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// True if it names this computer.
    pub fn is_loopback(&self) -> bool {
        let host = host_of(&self.authority);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Its `Host` header.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority)
    }
}

impl FromStr for Origin {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|_| format!("“{text}” is not a URL."))?;
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(format!("“{text}” begins neither with http:// nor with https://.")),
        };
        let host = url.host_str().filter(|_| url.username().is_empty() && url.password().is_none());
        let host = host.ok_or_else(|| format!("“{text}” is more than a host."))?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(format!("“{text}” has a path; the portal lives at the root of its host."));
        }
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self { secure, authority })
    }
}

/// The host without its port and without the brackets of an IPv6 address.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(host, _)| host);
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// Whether a `Host` header is an address, or the one name that is always this computer's: no foreign name can resolve
/// here as that.
pub fn is_fixed(host: &str) -> bool {
    let host = host_of(host);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

/// This computer's names for itself.
const LOCAL_NAMES: [&str; 3] = ["127.0.0.1", "[::1]", "localhost"];

/// All origins of this server: the public one, and its names on this computer if it listens there.
#[derive(Clone, Debug)]
pub struct Origins {
    public: Origin,
    local: Vec<Origin>,
}

impl Origins {
    /// Behind a public URL; a server that listens on loopback keeps its local names too, unless browsers reach it over
    /// TLS. Then nobody needs them, while a page at `http://localhost` on a visitor's computer would be one of ours.
    pub fn new(public: Origin, listen: SocketAddr) -> Self {
        let port = listen.port();
        let is_local = listen.ip().is_loopback() && !public.is_secure();
        let local = if is_local { &LOCAL_NAMES[..] } else { &[] };
        let local = local.iter().map(|host| plain(&format!("{host}:{port}"))).collect();
        Self { public, local }
    }

    /// Without a public URL: the address listened on is what people type.
    pub fn of_listener(listen: SocketAddr) -> Self {
        Self::new(plain(&listen.to_string()), listen)
    }

    /// What people type.
    pub fn public(&self) -> &Origin {
        &self.public
    }

    /// Whether an `Origin` header names this server. Exactly: a prefix or a subdomain is someone else.
    pub fn allow(&self, header: &str) -> bool {
        header
            .parse::<Origin>()
            .is_ok_and(|origin| origin.to_string() == header && self.all().any(|o| *o == origin))
    }

    /// Whether a `Host` header names this server. Another name that resolves here means DNS rebinding.
    pub fn serve(&self, host: &str) -> bool {
        // Browsers percent-decode hosts before the request.
        if host.parse::<Authority>().is_err() || host.contains('%') {
            return false;
        }
        self.all()
            .any(|own| format!("{}://{host}", own.scheme()).parse().is_ok_and(|named: Origin| named == *own))
    }

    fn all(&self) -> impl Iterator<Item = &Origin> {
        std::iter::once(&self.public).chain(&self.local)
    }
}

fn plain(authority: &str) -> Origin {
    let authority = authority.strip_suffix(":80").unwrap_or(authority).to_owned();
    Origin { secure: false, authority }
}

/// The client's address: the connection's peer, or, if that is a trusted proxy, the last address in `X-Forwarded-For`
/// that is not one. Anything further left may be invented by the client, in any bytes; at a hop that is not an address,
/// the result is the proxy that sent it. The scheme needs no header: the public URL is a setting.
pub fn client(peer: IpAddr, forwarded_for: &[&[u8]], trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    let mut client = peer.to_canonical();
    let hops: Vec<&[u8]> = forwarded_for.iter().flat_map(|line| line.split(|byte| *byte == b',')).collect();
    for hop in hops.iter().rev() {
        if !is_trusted(&client) {
            break;
        }
        let Some(ip) = hop_address(hop) else { break };
        client = ip.to_canonical();
    }
    client
}

fn hop_address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    // Some proxies add the port.
    hop.parse::<IpAddr>().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|s| s.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(public: &str, listen: &str) -> Origins {
        Origins::new(public.parse().unwrap(), listen.parse().unwrap())
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        assert_eq!(
            "https://VMs.Example.org:443/".parse::<Origin>().unwrap().to_string(),
            "https://vms.example.org"
        );
        for (typed, sent) in [
            ("https://vms.example.org:", "https://vms.example.org"),
            ("https://vms.example.org:0443", "https://vms.example.org"),
            ("http://vms.example.org:80", "http://vms.example.org"),
            ("http://vms.example.org:443", "http://vms.example.org:443"),
            ("https://Bücher.example", "https://xn--bcher-kva.example"),
            ("http://[2001:DB8:0:0::1]:8080", "http://[2001:db8::1]:8080"),
        ] {
            let origins = origins(typed, "10.0.0.5:3000");
            assert_eq!(origins.public().to_string(), sent);
            assert!(origins.allow(sent), "{sent}");
            assert!(origins.serve(sent.split_once("://").unwrap().1), "{sent}");
        }
        for bad in [
            "vms.example.org",
            "ftp://x",
            "https://",
            "https://x/y",
            "https://x?y",
            "https://x#y",
            "https://a@b",
            "null",
            "",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_exact_origin_is_allowed() {
        let own = origins("https://vms.example.org", "10.0.0.5:3000");
        assert!(own.allow("https://vms.example.org"));
        for foreign in [
            "null",
            "http://vms.example.org",
            "https://vms.example.org.evil.test",
            "https://evil.vms.example.org",
            "https://vms.example.org:444",
            "https://vms.example.org/",
            "http://localhost:3000",
            "",
        ] {
            assert!(!own.allow(foreign), "{foreign}");
        }
    }

    #[test]
    fn behind_tls_no_plain_name_of_this_computer_is_ours() {
        let behind = origins("https://vms.example.org", "127.0.0.1:3000");
        for local in ["127.0.0.1:3000", "localhost:3000", "[::1]:3000"] {
            assert!(!behind.allow(&format!("http://{local}")) && !behind.serve(local), "{local}");
        }
        assert!(behind.allow("https://vms.example.org") && behind.serve("vms.example.org"));
        let plain = origins("http://vms.example.org", "127.0.0.1:3000");
        assert!(plain.allow("http://localhost:3000") && plain.serve("vms.example.org"));
    }

    #[test]
    fn a_server_on_loopback_answers_to_its_three_names_and_no_other() {
        let own = Origins::of_listener("127.0.0.1:3000".parse().unwrap());
        for host in ["127.0.0.1:3000", "localhost:3000", "[::1]:3000", "LOCALHOST:3000"] {
            assert!(own.serve(host), "{host}");
        }
        for host in [
            "evil.test",
            "evil.test:3000",
            "localhost",
            "localhost:3001",
            "127.0.0.1",
            "127.0.0.1:3000:80",
            "127.0.0.1:3000:3000",
            "[::1]:3000:80",
            "user@localhost:3000",
            "%6cocalhost:3000",
            "localhost:3000/",
            "localhost:3000#x",
            "",
        ] {
            assert!(!own.serve(host), "{host}");
        }
        let public = origins("https://vms.example.org", "10.0.0.5:3000");
        assert!(public.serve("vms.example.org") && public.serve("VMs.example.org:443"));
        assert!(!public.serve("vms.example.org:80") && !public.serve("vms.example.org:443:443"));
        assert!(own.allow("http://localhost:3000") && !own.allow("http://localhost"));
    }

    #[test]
    fn forwarded_addresses_count_only_from_trusted_proxies() {
        let ip = |t: &str| t.parse::<IpAddr>().unwrap();
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        assert_eq!(client(ip("192.0.2.7"), &[b"1.2.3.4"], &trusted), ip("192.0.2.7"));
        assert_eq!(client(ip("10.0.0.1"), &[b"1.2.3.4"], &trusted), ip("1.2.3.4"));
        assert_eq!(client(ip("10.0.0.1"), &[b"6.6.6.6, 1.2.3.4", b"10.0.0.9"], &trusted), ip("1.2.3.4"));
        assert_eq!(client(ip("::ffff:10.0.0.1"), &[b"[2001:db8::1]:4711"], &trusted), ip("2001:db8::1"));
        assert_eq!(client(ip("10.0.0.1"), &[b"1.2.3.4"], &[]), ip("10.0.0.1"));
    }

    #[test]
    fn a_hop_that_is_no_address_hides_no_other_and_stands_for_the_proxy_that_sent_it() {
        let ip = |t: &str| t.parse::<IpAddr>().unwrap();
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        for bad in [&b"\xff"[..], b"what?", b"", b"unknown", b"1.2.3.4 6.6.6.6"] {
            let behind = [bad, b", 1.2.3.4"].concat();
            assert_eq!(client(ip("10.0.0.1"), &[&behind, b"10.0.0.9"], &trusted), ip("1.2.3.4"), "{bad:?}");
            let last = [b"6.6.6.6, ", bad].concat();
            assert_eq!(client(ip("10.0.0.1"), &[&last], &trusted), ip("10.0.0.1"), "{bad:?}");
            assert_eq!(client(ip("10.0.0.1"), &[&last, b"10.0.0.9"], &trusted), ip("10.0.0.9"), "{bad:?}");
        }
    }
}

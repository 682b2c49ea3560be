//! Extra certificate authorities that a guest trusts, as PEM (RFC 7468).

use crate::newtype::Refused;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// The largest bundle, in bytes; the guest reads identity files of at most 256 KiB.
const MAX: usize = 64 * 1024;
/// Characters on a line of PEM.
const WIDTH: usize = 64;

/// One or more certificates in their one canonical form: PEM blocks back to back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Certificates(String);

impl Certificates {
    /// The blocks of PEM, each ended by a line feed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.matches(BEGIN).count()
    }
}

impl FromStr for Certificates {
    type Err = Refused;

    /// Reads a bundle; text outside the blocks, as `openssl` writes it, is left out.
    fn from_str(text: &str) -> Result<Self, Refused> {
        if text.len() > MAX {
            return Err(Refused(format!("At most {} KiB of certificates are allowed.", MAX / 1024)));
        }
        if text.contains("PRIVATE KEY") {
            return Err(Refused::new(
                "This contains a private key. Paste only certificates, and keep the key secret.",
            ));
        }
        let mut bundle = String::new();
        let mut rest = text;
        while let Some((_, after)) = rest.split_once(BEGIN) {
            let (body, after) = after
                .split_once(END)
                .ok_or_else(|| Refused(format!("A certificate does not end with “{END}”.")))?;
            bundle.push_str(&block(body)?);
            rest = after;
        }
        if bundle.is_empty() {
            return Err(Refused(format!("This is not a certificate: a certificate begins with “{BEGIN}”.")));
        }
        Ok(Self(bundle))
    }
}

/// Normalises one block. The content is DER, and a certificate is a SEQUENCE (X.690 §8.9); more is for the guest's own
/// tools to judge.
fn block(body: &str) -> Result<String, Refused> {
    let damaged =
        || Refused::new("A certificate is damaged: between its first and last line must be base64.");
    let packed: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(packed).map_err(|_| damaged())?;
    if der.first() != Some(&0x30) {
        return Err(damaged());
    }
    let packed = STANDARD.encode(der);
    let mut block = format!("{BEGIN}\n");
    let mut rest = packed.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(WIDTH));
        block.push_str(line);
        block.push('\n');
        rest = after;
    }
    Ok(block + END + "\n")
}

impl fmt::Display for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Certificates {
    type Error = Refused;
    fn try_from(text: String) -> Result<Self, Refused> {
        text.parse()
    }
}

impl From<Certificates> for String {
    fn from(certificates: Certificates) -> String {
        certificates.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pem(der: &[u8]) -> String {
        format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(der))
    }

    #[test]
    fn a_bundle_has_one_form_however_it_was_pasted() {
        let one = [&[0x30_u8][..], &[7; 99]].concat();
        let pasted = format!("subject=Our CA\r\n{}junk\n{}", pem(&one).replace('\n', "\r\n  "), pem(&[0x30]));
        let read: Certificates = pasted.parse().unwrap();
        assert_eq!(read.count(), 2);
        assert_eq!(read.to_string().parse(), Ok(read.clone()));
        assert!(read.as_str().lines().all(|line| line.len() <= WIDTH));
        assert!(!read.as_str().contains("junk"));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for bad in [
            String::new(),
            "ssh-ed25519 AAAA".to_owned(),
            BEGIN.to_owned(),
            format!("{BEGIN}\n???\n{END}"),
            format!("{BEGIN}\n{END}"),
            pem(&[0x31, 0]),
            format!("{}-----BEGIN PRIVATE KEY-----", pem(&[0x30])),
            "x".repeat(MAX + 1),
        ] {
            assert!(bad.parse::<Certificates>().is_err(), "{bad:.60}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC{0,80}", der in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = text.parse::<Certificates>();
            let _ = format!("{BEGIN}{text}{END}").parse::<Certificates>();
            prop_assert_eq!(pem(&der).parse::<Certificates>().is_ok(), der.first() == Some(&0x30));
        }
    }
}

//! The two ways in which browsers post a form's fields.

use bytes::Bytes;
use futures::stream;
use http::header::{self, HeaderMap};
use model::form::{FIELDS_MAX, FormData};
use multer::Multipart;
use std::convert::Infallible;

/// Reads a form's body by its content type; `None` if it is of another one.
///
/// A file is a field like any other, with the text of the file as its value; one that was not chosen is left out. Of a text area and
/// a file of one name, the first that has something is the one that [`FormData::raw`] finds.
pub(super) async fn read(headers: &HeaderMap, body: Bytes) -> Option<FormData> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())?;
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Some(FormData::from_urlencoded(&body));
    }
    let boundary = multer::parse_boundary(kind).ok()?;
    let whole = stream::iter([Ok::<_, Infallible>(body)]);
    Some(parts(Multipart::new(whole, boundary)).await)
}

/// The fields of `multipart/form-data` (RFC 7578) up to what is broken: as with the other encoding, any bytes are read as something.
async fn parts(mut multipart: Multipart<'_>) -> FormData {
    let mut data = FormData::default();
    while let Ok(Some(part)) = multipart.next_field().await {
        let name = part.name().unwrap_or_default().to_owned();
        let is_file = part.file_name().is_some();
        let Ok(bytes) = part.bytes().await else { break };
        if is_file && bytes.is_empty() {
            continue;
        }
        data.0.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        if data.0.len() == FIELDS_MAX {
            break;
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_as(kind: &str, body: &[u8]) -> Option<FormData> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())]);
        read(&headers, Bytes::copy_from_slice(body)).await
    }

    fn part(name: &str, file: Option<&str>, value: &str) -> String {
        let file =
            file.map(|file| format!("; filename=\"{file}\"\r\nContent-Type: text/csv")).unwrap_or_default();
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n")
    }

    #[tokio::test]
    async fn both_encodings_say_the_same() {
        let parts = format!("{}{}--b--\r\n", part("intent", None, "x"), part("text", None, "a=b & ü\r\nc"));
        let multipart = read_as("multipart/form-data; boundary=b", parts.as_bytes()).await.unwrap();
        let plain = b"intent=x&text=a%3Db+%26+%C3%BC%0D%0Ac";
        assert_eq!(
            multipart,
            read_as("Application/X-WWW-Form-Urlencoded; charset=utf-8", plain).await.unwrap()
        );
        for other in
            ["application/json", "text/plain", "multipart/form-data", "multipart/mixed; boundary=b", "x"]
        {
            assert!(read_as(other, parts.as_bytes()).await.is_none(), "{other}");
        }
    }

    #[tokio::test]
    async fn a_file_counts_where_one_was_chosen() {
        let text = part("text", None, "typed");
        for (file, expected) in [
            (part("text", Some("a.csv"), "of the file"), "of the file"),
            (part("text", Some(""), ""), "typed"),
        ] {
            let body = format!("{file}{text}--b--\r\n");
            let data = read_as("multipart/form-data; boundary=b", body.as_bytes()).await.unwrap();
            assert_eq!(data.raw("text"), expected);
        }
    }

    #[tokio::test]
    async fn what_is_broken_or_too_much_ends_the_reading() {
        let broken = format!("{}--b\r\nnonsense", part("text", None, "kept"));
        let data = read_as("multipart/form-data; boundary=b", broken.as_bytes()).await.unwrap();
        assert_eq!(data.raw("text"), "kept");
        let many = part("a", None, "").repeat(FIELDS_MAX + 9);
        let data = read_as("multipart/form-data; boundary=b", many.as_bytes()).await.unwrap();
        assert_eq!(data.0.len(), FIELDS_MAX);
        let bytes = [part("text", None, "").trim_end().as_bytes(), b"\r\n\r\n\xff\x00\r\n--b--"].concat();
        let data = read_as("multipart/form-data; boundary=b", &bytes).await.unwrap();
        assert!(data.raw("text").starts_with('\u{fffd}'), "{data:?}");
    }
}

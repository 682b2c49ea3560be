//! A browser's part of HTTP/1.1, small enough to send what no browser would: any header, any method, any bytes.

use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Where a redirect leads.
    pub fn location(&self) -> &str {
        self.header("location").unwrap_or("")
    }

    /// The header that sets this cookie.
    pub fn set_cookie(&self, name: &str) -> Option<&str> {
        let headers = self.headers.iter().filter(|(header, _)| header == "set-cookie");
        headers.map(|(_, value)| value.as_str()).find(|value| value.split('=').next() == Some(name))
    }

    /// Names and values of the cookies that the answer sets, the session's first.
    pub fn cookie(&self) -> Option<String> {
        let set = self.headers.iter().filter(|(name, _)| name == "set-cookie");
        let mut pairs: Vec<&str> = set.filter_map(|(_, value)| value.split(';').next()).collect();
        pairs.sort_unstable_by(|a, b| b.cmp(a));
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// Sends one request on a connection of its own and reads the answer to its end; of a socket, only the handshake. A character of a
/// header up to ÿ is sent as the one byte of that number.
pub async fn send(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    try_send(address, method, path, headers, body).await.unwrap()
}

/// The same with a server that may end at any moment.
///
/// # Errors
/// When the connection breaks before the head of an answer is complete.
pub async fn try_send(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(address).await?;
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
        head.push_str("connection: close\r\n");
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let head: Vec<u8> = head.chars().map(|c| u8::try_from(c).unwrap()).collect();
    stream.write_all(&head).await?;
    // A server may answer and close before it has read a body that it does not want.
    let _ = stream.write_all(body).await;
    read(stream).await
}

async fn read(mut stream: TcpStream) -> io::Result<Reply> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        // No array: each of a test's awaits would have room for it on the stack.
        if stream.read_buf(&mut bytes).await? == 0 {
            let head = String::from_utf8_lossy(&bytes);
            let what = format!("the connection ended in the head: {head:?}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut body = bytes.split_off(head_end + 4);
    if status != 101 {
        // A reset after the answer, because its request was not read to the end, loses nothing we need.
        let _ = stream.read_to_end(&mut body).await;
    }
    let chunked = headers.iter().any(|(n, v)| n == "transfer-encoding" && v == "chunked");
    let body = if chunked { unchunk(&body) } else { body };
    Ok(Reply { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(line) = bytes.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).unwrap(), 16).unwrap();
        // What a server that ended did not send is missing.
        let chunk = bytes.get(line + 2..).unwrap_or_default();
        whole.extend_from_slice(chunk.get(..size).unwrap_or(chunk));
        bytes = chunk.get(size + 2..).unwrap_or_default();
    }
    whole
}

/// `application/x-www-form-urlencoded`.
pub fn form(fields: &[(&str, &str)]) -> String {
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect::<Vec<_>>()
        .join("&")
}

fn escape(text: &str) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._".contains(b);
    text.bytes().map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

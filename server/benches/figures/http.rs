//! A browser's part of HTTP/1.1 on one kept-alive connection, small enough to cost next to nothing compared with the
//! server that it measures. Used by every figure that asks the portal something.

use anyhow::{Context as _, Result, bail, ensure};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The longest head of an answer that is read, in bytes.
const HEAD_MAX: usize = 64 * 1024;

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// Status.
    pub status: u16,
    head: String,
    /// Body as it was sent, after chunks are put together; compressed if it was sent so.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// The cookie of this name that the answer sets, as a request sends it back.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let set = lines.filter(|(n, _)| n.eq_ignore_ascii_case("set-cookie"));
        let mut pairs = set.filter_map(|(_, value)| value.trim().split(';').next());
        pairs.find(|pair| pair.split('=').next() == Some(name))
    }

    /// Where a redirect leads.
    pub fn location(&self) -> &str {
        self.header("location").unwrap_or("")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Itself, if it has this status.
    ///
    /// # Errors
    /// If it has another one; the message quotes the server's answer.
    pub fn expect(self, status: u16, what: &str) -> Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        let said: String = self.text().chars().take(2000).collect();
        bail!("{what}: status {} instead of {status}: {said}", self.status)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    pairs.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// A connection that is kept open.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    /// Connects to `address:port`.
    ///
    /// # Errors
    /// If nothing listens there.
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await;
        let stream = stream.with_context(|| format!("nobody answers at {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(256 * 1024) })
    }

    /// Sends one request, as [`request`] makes it, and reads the answer to its end.
    ///
    /// # Errors
    /// If the connection breaks or the answer is not HTTP/1.1.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Reply> {
        self.stream.write_all(request).await?;
        let head = self.read_head().await?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status: u16 = status.with_context(|| format!("no status in {head:?}"))?;
        let body = if header(&head, "transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            self.read_chunks().await?
        } else {
            let length = header(&head, "content-length").map_or(Ok(0), str::parse);
            self.take(length.context("content-length is no number")?).await?
        };
        Ok(Reply { status, head, body })
    }

    async fn read_head(&mut self) -> Result<String> {
        let mut searched = 0;
        loop {
            let rest = self.buffer.get(searched..).unwrap_or_default();
            if let Some(at) = rest.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = self.buffer.split_to(searched + at + 4);
                return String::from_utf8(head.to_vec()).context("the head is not UTF-8");
            }
            searched = self.buffer.len().saturating_sub(3);
            ensure!(self.buffer.len() < HEAD_MAX, "the head of an answer does not end");
            self.fill().await?;
        }
    }

    async fn read_chunks(&mut self) -> Result<Vec<u8>> {
        let mut whole = Vec::new();
        loop {
            let line = self.read_line().await?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size =
                usize::from_str_radix(digits, 16).with_context(|| format!("no chunk size: {line:?}"))?;
            whole.extend(self.take(size).await?);
            self.read_line().await?;
            if size == 0 {
                return Ok(whole);
            }
        }
    }

    async fn read_line(&mut self) -> Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = self.buffer.split_to(at + 2);
                return Ok(String::from_utf8_lossy(line.get(..at).unwrap_or_default()).into_owned());
            }
            self.fill().await?;
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(self.buffer.split_to(length).to_vec())
    }

    async fn fill(&mut self) -> Result<()> {
        let n = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(n > 0, "the server closed the connection in the middle of an answer");
        Ok(())
    }
}

/// A whole request as bytes.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    if method != "GET" {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// `application/x-www-form-urlencoded` (WHATWG URL §5.2).
pub fn form(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn escape(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

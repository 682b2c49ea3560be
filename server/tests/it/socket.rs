//! A browser's part of a WebSocket.

use crate::world::{Person, within};
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// An open socket.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// With which code the server closed (RFC 6455 §7.4).
    pub code: Option<u16>,
}

impl Socket {
    /// Opens a socket with this `Origin`, or without one.
    ///
    /// # Errors
    /// The HTTP status that it was refused with.
    pub async fn open(person: &Person, path: &str, origin: Option<&str>) -> Result<Self, u16> {
        let mut request = http::Request::builder()
            .uri(format!("ws://{}{path}", person.host))
            .header("host", &person.host)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", generate_key());
        for (name, value) in [("origin", origin), ("cookie", person.cookie.as_deref())] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let stream = TcpStream::connect(&person.address).await.unwrap();
        match client_async(request.body(()).unwrap(), stream).await {
            Ok((socket, _)) => Ok(Self { stream: socket, code: None }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("the handshake failed: {error}"),
        }
    }

    /// The next frame with something in it; `None` when the server has closed.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            match within(self.stream.next()).await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(close))) => {
                    self.code = close.map(|close| close.code.into());
                    return None;
                }
                None | Some(Err(_)) => return None,
                Some(Ok(message)) => return Some(message),
            }
        }
    }

    /// The next text frame, as JSON.
    pub async fn json(&mut self) -> serde_json::Value {
        loop {
            let message = self.next().await.expect("the socket is open");
            if let Message::Text(text) = message {
                return serde_json::from_str(text.as_str()).unwrap();
            }
        }
    }

    /// Reads on until a text frame of this type comes.
    pub async fn until(&mut self, kind: &str) -> serde_json::Value {
        loop {
            let frame = self.json().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Reads binary frames until their content ends as given.
    pub async fn bytes_until(&mut self, end: &str) -> String {
        let mut whole = Vec::new();
        while !whole.ends_with(end.as_bytes()) {
            if let Message::Binary(bytes) = self.next().await.expect("the socket is open") {
                whole.extend_from_slice(&bytes);
            }
        }
        String::from_utf8_lossy(&whole).into_owned()
    }

    /// Why the server closes, once it has.
    pub async fn why_closed(&mut self) -> String {
        let mut why = None;
        while let Some(message) = self.next().await {
            if let Message::Text(text) = message {
                let frame: serde_json::Value = serde_json::from_str(text.as_str()).unwrap();
                if frame["type"] == "closing" {
                    why = frame["why"].as_str().map(str::to_owned);
                }
            }
        }
        why.expect("a closing frame tells why")
    }

    /// Sends bytes, as a terminal does.
    pub async fn type_in(&mut self, text: &str) {
        self.stream.send(Message::binary(text.as_bytes().to_vec())).await.unwrap();
    }

    /// Sends a text frame.
    pub async fn say(&mut self, text: &str) {
        self.stream.send(Message::text(text.to_owned())).await.unwrap();
    }
}

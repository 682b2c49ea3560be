//! Someone with a browser: a session, forms, tickets and sockets. The only way the figures talk to the portal.

use crate::http::{Connection, Reply, form, request};
use anyhow::{Context as _, Result, bail, ensure};
use futures::{SinkExt as _, StreamExt as _};
use model::account::TicketPurpose;
use model::job::{JobId, JobState, StepState};
use model::view::job::{JobFrame, JobView};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// A password that is long enough.
const PASSWORD: &str = "four random words do";

/// Someone with one connection and one session.
#[derive(Debug)]
pub struct Person {
    address: String,
    cookie: String,
    connection: Connection,
}

impl Person {
    /// Makes the first administrator by the token of the setup link, and becomes that person.
    ///
    /// # Errors
    /// If the portal refuses.
    pub async fn set_up(address: &str, token: &str) -> Result<Self> {
        let mut person = Self::nobody(address).await?;
        let path = format!("{}?token={token}", app::routes::SETUP);
        let fields =
            [("intent", "setup"), ("name", "ada"), ("password", PASSWORD), ("password_again", PASSWORD)];
        person.begin_session(&path, &fields).await?;
        Ok(person)
    }

    /// Logs in again the person that [`Person::set_up`] made.
    ///
    /// # Errors
    /// If the portal refuses.
    pub async fn log_in(address: &str) -> Result<Self> {
        let mut person = Self::nobody(address).await?;
        let fields = [("intent", "login"), ("name", "ada"), ("password", PASSWORD)];
        person.begin_session(app::routes::LOGIN, &fields).await?;
        Ok(person)
    }

    async fn nobody(address: &str) -> Result<Self> {
        let connection = Connection::open(address).await?;
        Ok(Self { address: address.to_owned(), cookie: String::new(), connection })
    }

    /// The same person in another window: the same session, a connection of its own.
    ///
    /// # Errors
    /// If nothing listens there any more.
    pub async fn another_window(&self) -> Result<Self> {
        let connection = Connection::open(&self.address).await?;
        Ok(Self { address: self.address.clone(), cookie: self.cookie.clone(), connection })
    }

    /// Someone else at the same portal, who is not logged in.
    ///
    /// # Errors
    /// If nothing listens there any more.
    pub async fn stranger(&self) -> Result<Self> {
        Self::nobody(&self.address).await
    }

    async fn begin_session(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<()> {
        let reply = self.post(path, fields).await?.expect(303, "logging in")?;
        reply.cookie("snowglobe").context("the portal gave no session cookie")?.clone_into(&mut self.cookie);
        Ok(())
    }

    /// The request that opens a page, to be sent as often as wanted.
    pub fn page(&self, path: &str) -> Vec<u8> {
        self.asking("GET", path, &[("accept", "text/html")], b"")
    }

    /// Sends a request that was made before.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn send(&mut self, request: &[u8]) -> Result<Reply> {
        self.connection.ask(request).await
    }

    /// Opens a page or loads a file, with these headers besides the usual ones.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<Reply> {
        let request = self.asking("GET", path, headers, b"");
        self.send(&request).await
    }

    /// Posts a form from a page of the portal.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<Reply> {
        let origin = self.origin();
        let headers = [("origin", origin.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        let request = self.asking("POST", path, &headers, form(fields).as_bytes());
        self.send(&request).await
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    fn asking(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut all = vec![("host", self.address.as_str())];
        if !self.cookie.is_empty() {
            all.push(("cookie", &self.cookie));
        }
        all.extend(headers);
        request(method, path, &all, body)
    }

    /// Posts a form that begins a job, and returns its id.
    ///
    /// # Errors
    /// If the portal does not accept the form.
    pub async fn begin_job(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<JobId> {
        let reply = self.post(path, fields).await?.expect(303, "submitting a form")?;
        let id = reply.location().strip_prefix("/jobs/").context("the form led to no job")?;
        id.parse().ok().with_context(|| format!("{id} is no job's id"))
    }

    /// Gets a ticket and opens its socket.
    ///
    /// # Errors
    /// If the portal refuses either.
    pub async fn open(&mut self, path: &str, purpose: &TicketPurpose) -> Result<Socket> {
        let origin = self.origin();
        let headers = [
            ("origin", origin.as_str()),
            ("content-type", "application/json"),
            ("accept", "application/json"),
        ];
        let body = serde_json::json!({ "purpose": purpose }).to_string();
        let asking = self.asking("POST", "/api/ticket", &headers, body.as_bytes());
        let reply = self.send(&asking).await?.expect(200, "asking for a ticket")?;
        let ticket: String = serde_json::from_slice(&reply.body).context("the ticket is no text")?;
        let path = app::routes::sockets::with_ticket(path, &ticket);
        let request = http::Request::builder()
            .uri(format!("ws://{}{path}", self.address))
            .header("host", &self.address)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", generate_key())
            .header("origin", &origin)
            .header("cookie", &self.cookie)
            .body(())?;
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = client_async(request, stream).await.context("the socket did not open")?;
        Ok(Socket(socket))
    }

    /// Opens the socket of a job.
    ///
    /// # Errors
    /// If the portal refuses.
    pub async fn follow(&mut self, job: JobId) -> Result<Socket> {
        self.open(&app::routes::sockets::job(job, None), &TicketPurpose::Job { id: job }).await
    }

    /// Follows a job to its end and returns its final state.
    ///
    /// # Errors
    /// If the socket ends before the job.
    pub async fn end_of(&mut self, job: JobId) -> Result<JobView> {
        self.follow(job).await?.job_until(|_| false).await
    }

    /// Follows a job to its end, which must be success.
    ///
    /// # Errors
    /// If the job fails, with its own message.
    pub async fn done(&mut self, job: JobId) -> Result<JobView> {
        let view = self.end_of(job).await?;
        match view.summary.badge.state {
            JobState::Succeeded => Ok(view),
            state => bail!("“{}” ended as {}: {:?}", view.summary.badge.title, state.as_str(), view.failure),
        }
    }
}

/// A browser's end of a socket of the portal.
#[derive(Debug)]
pub struct Socket(WebSocketStream<TcpStream>);

/// What comes over a socket.
#[derive(Debug)]
pub enum Frame {
    /// A text frame.
    Text(tokio_tungstenite::tungstenite::Utf8Bytes),
    /// A binary frame.
    Bytes(Bytes),
}

impl Socket {
    /// A socket of something other than the portal, for references.
    pub fn bare(socket: WebSocketStream<TcpStream>) -> Self {
        Self(socket)
    }

    /// The next frame with something in it; none when the server has closed.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            match self.0.next().await.transpose()? {
                Some(Message::Text(text)) => return Ok(Some(Frame::Text(text))),
                Some(Message::Binary(bytes)) => return Ok(Some(Frame::Bytes(bytes))),
                Some(Message::Close(_)) | None => return Ok(None),
                Some(_) => {}
            }
        }
    }

    /// Sends bytes, as a terminal does.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn type_in(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.0.send(Message::binary(bytes.to_vec())).await?)
    }

    /// Reads the frames of a job until it is over or is as wanted, and returns its state.
    ///
    /// # Errors
    /// If the socket ends before that.
    pub async fn job_until(&mut self, wanted: impl Fn(&JobView) -> bool) -> Result<JobView> {
        let mut latest = None;
        while let Some(frame) = self.next().await? {
            let Frame::Text(text) = frame else { bail!("a job's socket carries text only") };
            match serde_json::from_str(text.as_str())? {
                JobFrame::Job { view } if wanted(&view) => return Ok(*view),
                JobFrame::Job { view } => latest = Some(*view),
                JobFrame::End => return latest.context("the job ended without ever having been shown"),
                JobFrame::Closing { why } => bail!("the portal closed the job's socket: {why}"),
                JobFrame::Lines { .. } | JobFrame::Progress { .. } => {}
            }
        }
        bail!("the job's socket ended before the job")
    }
}

/// The milliseconds from the beginning of one step to the end of another, by the job's own clock.
///
/// # Errors
/// If one of the two is not done.
pub fn step_millis(view: &JobView, first: &str, last: &str) -> Result<u64> {
    let step = |name: &str| view.steps.iter().find(|s| s.name == name && s.state == StepState::Done);
    let (first, last) = (step(first), step(last));
    let began = first.and_then(|s| s.began).with_context(|| missing(view))?;
    let ended = last.and_then(|s| s.ended).with_context(|| missing(view))?;
    ensure!(ended >= began, "a step ended before one that came earlier");
    Ok(began.millis_until(ended))
}

fn missing(view: &JobView) -> String {
    let steps: Vec<String> = view.steps.iter().map(|s| format!("{} {}", s.name, s.state.as_str())).collect();
    format!("a step is not done ({}): {:?}", steps.join(", "), view.failure)
}

//! Clients that are slow or many: they cost the server little, and the others nothing.

use crate::http::form;
use crate::world::{PASSWORD, Person, Wishes, World, within};
use model::account::TicketPurpose;
use server::assets::Assets;
use server::connections;
use server::limits::Limits;
use server::origin::Origins;
use server::routes;
use server::wire::{self, Surroundings};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// So little patience that a test need not wait long for its end. Nothing in these tests has to happen within it.
const SHORT: Duration = Duration::from_millis(200);

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(&world.address).await.unwrap()
}

/// Asks over a connection that stays open, and reads the first bytes of the answer.
async fn ask(stream: &mut TcpStream, person: &Person) -> String {
    let request = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", person.host);
    stream.write_all(request.as_bytes()).await.unwrap();
    answer(stream).await
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    while !said.ends_with(b"ok\n") {
        assert_ne!(within(stream.read_buf(&mut said)).await.unwrap(), 0, "an answer comes");
    }
    String::from_utf8(said).unwrap()
}

/// Opens a second door to the same portal, with other limits, and sends the beginning of a request through it; returns
/// everything that is answered until the server closes.
async fn begin_only(world: &World, limits: Limits, request: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = wire::assemble(
        world.server.engine.clone(),
        Surroundings {
            origins: Origins::of_listener(address),
            trusted_proxies: Vec::new(),
            assets: Assets::load(world.site.path()).unwrap(),
            metrics_token: None,
            limits,
        },
    );
    let serving = tokio::spawn(connections::serve(listener, routes::router(server.clone()), server.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = request.replace("ADDRESS", &address.to_string());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    within(stream.read_to_string(&mut said)).await.unwrap();
    server.stopping.cancel();
    within(serving).await.unwrap();
    said
}

#[tokio::test]
async fn a_request_whose_head_or_body_does_not_end_is_not_waited_for() {
    let world = World::empty(Wishes::default()).await;
    let impatient = Limits { head: SHORT, ..Limits::default() };
    for head in ["", "GET / HTTP/1.1\r\nhost: ADDRESS\r\n"] {
        let said = begin_only(&world, impatient, head).await;
        assert!(!said.starts_with("HTTP/1.1 2"), "{said}");
    }
    let long = format!("GET / HTTP/1.1\r\nhost: ADDRESS\r\nx: {}\r\n\r\n", "a".repeat(40_000));
    let said = begin_only(&world, Limits::default(), &long).await;
    assert!(said.starts_with("HTTP/1.1 431"), "a head that is too long is not read to its end: {said}");
    let impatient = Limits { body: SHORT, ..Limits::default() };
    let body = "POST /login HTTP/1.1\r\nhost: ADDRESS\r\norigin: http://ADDRESS\r\ncontent-length: 1000\r\n\r\nintent=lo";
    let said = begin_only(&world, impatient, body).await;
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    assert!(said.contains("x-content-type-options: nosniff"), "it has the headers of every answer: {said}");
    world.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_by_its_own_word_is_not_read() {
    let (world, admin) = World::new().await;
    let mut stream = connect(&world).await;
    let begun = format!(
        "POST /login HTTP/1.1\r\nhost: {}\r\norigin: {}\r\ncontent-length: 1000000000\r\n\r\n",
        admin.host, admin.origin
    );
    stream.write_all(begun.as_bytes()).await.unwrap();
    let mut said = String::new();
    within(stream.read_to_string(&mut said)).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 413"), "{said}");
    world.end().await;
}

#[tokio::test]
async fn one_connection_too_many_takes_the_place_of_the_one_that_is_idle_longest() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let (world, admin) = World::with(Wishes { limits, ..Wishes::default() }).await;
    let (mut first, mut second) = (connect(&world).await, connect(&world).await);
    for stream in [&mut first, &mut second] {
        assert!(ask(stream, &admin).await.starts_with("HTTP/1.1 200"));
    }
    let mut third = connect(&world).await;
    assert!(ask(&mut third, &admin).await.starts_with("HTTP/1.1 200"));
    assert_eq!(within(first.read(&mut [0; 1])).await.unwrap(), 0, "it is closed");
    assert!(ask(&mut second, &admin).await.starts_with("HTTP/1.1 200"), "the other one is not");
    drop((second, third));
    world.end().await;
}

/// From another address of this computer: all of 127.0.0.0/8 are its own.
async fn connect_from(world: &World, source: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    socket.connect(world.address.parse().unwrap()).await.unwrap()
}

#[tokio::test]
async fn one_address_cannot_keep_the_others_out() {
    // Nobody is dropped for being slow while this runs.
    let never = Duration::from_secs(24 * 3600);
    let limits = Limits { head: never, body: never, ..Limits::default() };
    let (world, admin) = World::with(Wishes { limits, ..Wishes::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..600 {
        idle.push(connect_from(&world, [127, 0, 0, 2]).await);
    }
    let mut other = connect(&world).await;
    assert!(ask(&mut other, &admin).await.starts_with("HTTP/1.1 200"));
    // Nor does sending half a request keep a place that someone else needs.
    for stream in &mut idle {
        let _ = stream.write_all(b"GET / HTTP/1.1\r\n").await;
    }
    let mut same = connect_from(&world, [127, 0, 0, 2]).await;
    assert!(ask(&mut same, &admin).await.starts_with("HTTP/1.1 200"), "even the same address gets an answer");
    drop((idle, same, other));
    world.end().await;
}

#[tokio::test]
async fn an_address_with_too_many_busy_connections_is_refused_and_a_proxy_is_not() {
    for (trusted_proxies, is_served) in [(&[][..], false), (&["127.0.0.2/32"][..], true)] {
        let limits = Limits { per_address: 2, ..Limits::default() };
        let (world, admin) = World::with(Wishes { limits, trusted_proxies, ..Wishes::default() }).await;
        let mut busy = Vec::new();
        for _ in 0..2 {
            let mut stream = connect_from(&world, [127, 0, 0, 2]).await;
            let begun = format!(
                "POST /login HTTP/1.1\r\nhost: {}\r\nexpect: 100-continue\r\norigin: {}\r\ncontent-length: 10\r\n\r\n",
                admin.host, admin.origin
            );
            stream.write_all(begun.as_bytes()).await.unwrap();
            // The server asks for the body: it is at work on the request.
            let mut said = [0; 12];
            within(stream.read_exact(&mut said)).await.unwrap();
            assert_eq!(&said, b"HTTP/1.1 100");
            busy.push(stream);
        }
        let mut third = connect_from(&world, [127, 0, 0, 2]).await;
        let request = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", admin.host);
        let mut said = String::new();
        if third.write_all(request.as_bytes()).await.is_ok() {
            let _ = within(third.read_to_string(&mut said)).await;
        }
        assert_eq!(said.starts_with("HTTP/1.1 200"), is_served, "{said}");
        drop(busy);
        world.end().await;
    }
}

#[tokio::test]
async fn a_socket_keeps_the_place_of_its_connection() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let (world, admin) = World::with(Wishes { limits, ..Wishes::default() }).await;
    let mut events = admin.open("/ws/events", &TicketPurpose::Events).await;
    events.until("full").await;
    let mut other = connect(&world).await;
    let request = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", admin.host);
    other.write_all(request.as_bytes()).await.unwrap();
    // The engine's own way in shows that the server is at work meanwhile.
    let ada = world.id_of("ada").await;
    assert!(!ada.is_empty());
    let early = other.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(early.kind(), ErrorKind::WouldBlock, "the socket has the only place");
    drop(events);
    assert!(answer(&mut other).await.starts_with("HTTP/1.1 200"));
    drop(other);
    world.end().await;
}

#[tokio::test]
async fn what_was_asked_for_is_done_though_nobody_waits_for_the_answer() {
    let (world, admin) = World::new().await;
    let body = form(&[("intent", "login"), ("name", "ada"), ("password", PASSWORD)]);
    let request = format!(
        "POST /login HTTP/1.1\r\nhost: {}\r\norigin: {}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        admin.host,
        admin.origin,
        body.len()
    );
    let mut stream = connect(&world).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    drop(stream);
    within(async {
        while !admin.get("/audit.csv?action=login").await.body.contains(",login,ada,succeeded,") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.end().await;
}

//! Clients that are slow or many: they cost the server little, and the others nothing.

use crate::world::{Person, Wishes, World, within};
use model::account::TicketPurpose;
use server::assets::Assets;
use server::connections::{self, Limits};
use server::origin::Origins;
use server::routes;
use server::wire::{self, Surroundings};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

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

/// Opens a second door to the same portal, with other limits, and sends the beginning of a request through it; what is
/// answered until the server closes.
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
async fn one_connection_too_many_waits_until_another_ends() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let (world, admin) = World::with(Wishes { limits, ..Wishes::default() }).await;
    let (mut first, mut second) = (connect(&world).await, connect(&world).await);
    for stream in [&mut first, &mut second] {
        assert!(ask(stream, &admin).await.starts_with("HTTP/1.1 200"));
    }
    let mut third = connect(&world).await;
    let request = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", admin.host);
    third.write_all(request.as_bytes()).await.unwrap();
    for _ in 0..50 {
        assert!(ask(&mut first, &admin).await.starts_with("HTTP/1.1 200"), "those that are in are served");
    }
    let early = third.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(early.kind(), ErrorKind::WouldBlock, "there is no place for it");
    drop(second);
    assert!(answer(&mut third).await.starts_with("HTTP/1.1 200"));
    drop((first, third));
    world.end().await;
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

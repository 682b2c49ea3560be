//! A whole portal for one test: the real router on a port of its own, a real database, the memory hypervisor.
//!
//! [`World::end`] fails a test that leaves an unfinished job behind. Waiting has a limit ([`within`]) that only a broken
//! server reaches; nothing sleeps.

use crate::http::{Reply, form, send};
use crate::socket::Socket;
use engine::testing::builder::MemoryBuilder;
use engine::testing::clock::ManualClock;
use engine::testing::hypervisor::{MemoryHypervisor, THIN};
use engine::{Engine, Host, Settings};
use model::account::TicketPurpose;
use model::view::job::JobFilter;
use server::assets::Assets;
use server::limits::Limits;
use server::origin::Origins;
use server::state::Shared;
use server::wire::{self, Surroundings};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A password that is long enough.
pub const PASSWORD: &str = "quartz-lemon-harbour-7";

/// Fails the test if something takes longer than only a broken server would.
pub async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("this should have happened long ago")
}

/// A running portal.
pub struct World {
    pub address: String,
    pub server: Shared,
    pub clock: Arc<ManualClock>,
    /// The secret of the setup link, as it was printed.
    pub setup_token: String,
    /// The state directory.
    pub state: TempDir,
    /// The files for browsers.
    pub site: TempDir,
    running: JoinHandle<anyhow::Result<()>>,
}

/// A test's deviations from the default.
#[derive(Default)]
pub struct Wishes {
    pub public: Option<&'static str>,
    pub trusted_proxies: &'static [&'static str],
    pub metrics_token: Option<&'static str>,
    pub limits: Limits,
}

impl World {
    /// A portal with nobody in it.
    pub async fn empty(wishes: Wishes) -> Self {
        let (state, site) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(site.path().join("pkg")).unwrap();
        std::fs::write(site.path().join("favicon.svg"), "<svg/>").unwrap();
        std::fs::write(site.path().join("pkg/page.js"), "export {};").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clock = Arc::new(ManualClock::new());
        let hypervisor = Arc::new(MemoryHypervisor::new(THIN));
        let host = Host {
            name: "local".parse().unwrap(),
            kind: "libvirt",
            target: "memory:".to_owned(),
            bridges: Vec::new(),
            hypervisor,
        };
        let settings = Settings::new(state.path());
        let builder = Arc::new(MemoryBuilder::new());
        let engine = Engine::open(settings, vec![host], builder, clock.clone()).await.unwrap();
        let setup_token = engine.setup_token().await.unwrap().unwrap().reveal().to_owned();
        let origins = match wishes.public {
            Some(public) => Origins::new(public.parse().unwrap(), address),
            None => Origins::of_listener(address),
        };
        let around = Surroundings {
            origins,
            trusted_proxies: wishes.trusted_proxies.iter().map(|net| net.parse().unwrap()).collect(),
            assets: Assets::load(site.path()).unwrap(),
            metrics_token: wishes.metrics_token.map(|t| model::account::Secret::new(t.to_owned())),
            limits: wishes.limits,
        };
        let server = wire::assemble(engine, around);
        let running = tokio::spawn(wire::run(listener, server.clone()));
        let address = address.to_string();
        Self { address, server, clock, setup_token, state, site, running }
    }

    /// A portal with its first administrator, made through the setup link.
    pub async fn new() -> (Self, Person) {
        Self::with(Wishes::default()).await
    }

    /// The same with a test's deviations.
    pub async fn with(wishes: Wishes) -> (Self, Person) {
        let world = Self::empty(wishes).await;
        let mut admin = world.nobody();
        let path = format!("/setup?token={}", world.setup_token);
        let fields =
            [("intent", "setup"), ("name", "ada"), ("password", PASSWORD), ("password_again", PASSWORD)];
        let reply = admin.post(&path, &fields).await;
        assert_eq!((reply.status, reply.location()), (303, "/"), "{}", reply.body);
        admin.cookie = reply.cookie();
        (world, admin)
    }

    /// Someone who is not logged in.
    pub fn nobody(&self) -> Person {
        let origin = self.server.origins.public().to_string();
        let host = self.server.origins.public().authority().to_owned();
        Person { address: self.address.clone(), host, origin, cookie: None }
    }

    /// A new user, added by an administrator and logged in.
    pub async fn user(&self, admin: &Person, name: &str, role: &str) -> Person {
        let fields = [("intent", "add_user"), ("name", name), ("role", role), ("password", PASSWORD)];
        let reply = admin.post("/users", &fields).await;
        assert_eq!((reply.status, reply.location()), (303, "/users?done=add_user"), "{}", reply.body);
        self.login(name).await
    }

    /// Logs a user in.
    pub async fn login(&self, name: &str) -> Person {
        let mut person = self.nobody();
        let reply =
            person.post("/login", &[("intent", "login"), ("name", name), ("password", PASSWORD)]).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        person.cookie = reply.cookie();
        person
    }

    /// The id of a user, as in the forms of the users page.
    pub async fn id_of(&self, name: &str) -> String {
        self.server.engine.user_by_name(&name.parse().unwrap()).await.unwrap().unwrap().id.to_string()
    }

    /// Ends the portal, and the test if a job was left open.
    pub async fn end(self) {
        let admin = model::account::Actor {
            user: Some(model::account::SessionUser {
                id: self.id_of("ada").await.parse().unwrap(),
                name: "ada".parse().unwrap(),
                role: model::account::Role::Administrator,
            }),
            from: None,
        };
        let open =
            self.server.portal.jobs(&admin, &JobFilter { open: true, ..JobFilter::default() }).await.unwrap();
        assert!(open.is_empty(), "unfinished jobs: {open:?}");
        self.stop().await;
    }

    /// Ends a portal in which nothing was done.
    pub async fn stop(self) {
        self.server.stopping.cancel();
        within(self.running).await.unwrap().unwrap();
    }
}

/// Someone with a browser.
#[derive(Clone)]
pub struct Person {
    pub address: String,
    pub host: String,
    pub origin: String,
    pub cookie: Option<String>,
}

impl Person {
    /// Opens a page.
    pub async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[], b"").await
    }

    /// Posts a form from a page of the portal.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.post_bytes(path, form(fields).as_bytes()).await
    }

    /// Posts any bytes as a form.
    pub async fn post_bytes(&self, path: &str, body: &[u8]) -> Reply {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        self.ask("POST", path, &[("origin", &self.origin), kind], body).await
    }

    /// Calls a server function as an island does.
    pub async fn call(&self, path: &str, json: &serde_json::Value) -> Reply {
        let headers = [
            ("origin", self.origin.as_str()),
            ("content-type", "application/json"),
            ("accept", "application/json"),
        ];
        self.ask("POST", path, &headers, json.to_string().as_bytes()).await
    }

    /// Sends any request with this person's cookie.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut all = vec![("host", self.host.as_str())];
        all.extend(self.cookie.as_deref().map(|cookie| ("cookie", cookie)));
        all.extend(headers);
        within(send(&self.address, method, path, &all, body)).await
    }

    /// Gets a ticket for a socket.
    pub async fn ticket(&self, purpose: &TicketPurpose) -> String {
        let reply = self.call("/api/ticket", &serde_json::json!({ "purpose": purpose })).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        serde_json::from_str(&reply.body).unwrap()
    }

    /// Opens a socket from a page of the portal.
    ///
    /// # Errors
    /// The HTTP status that it was refused with.
    pub async fn socket(&self, path: &str) -> Result<Socket, u16> {
        within(Socket::open(self, path, Some(&self.origin))).await
    }

    /// Gets a ticket and opens its socket; `path` has a query already or none.
    pub async fn open(&self, path: &str, purpose: &TicketPurpose) -> Socket {
        let ticket = self.ticket(purpose).await;
        self.socket(&app::routes::sockets::with_ticket(path, &ticket))
            .await
            .expect("a good ticket opens a socket")
    }

    /// Posts a form that begins a job, and waits until the job has succeeded.
    pub async fn job(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let reply = self.post(path, fields).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        let id = reply.location().strip_prefix("/jobs/").expect("leads to its job").to_owned();
        self.wait_for(&id).await;
        id
    }

    /// The digest of the plan that a page shows.
    pub async fn digest(&self, page: &str) -> String {
        digest_of(&self.get(page).await.body)
    }

    /// Does something to a machine on its operation's page, agreeing to everything shown, and waits for the end.
    pub async fn operate(&self, machine: &str, operation: &str) {
        let page = format!("/machines/{machine}/do/{operation}");
        let digest = self.digest(&page).await;
        let fields =
            [("intent", operation), ("machine", machine), ("digest", digest.as_str()), ("confirm", machine)];
        let reply = self.post(&page, &fields).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        match reply.location().strip_prefix("/jobs/") {
            Some(job) => self.wait_for(job).await,
            None => drop(self.latest_job(machine).await),
        }
    }

    /// Follows a job to its end.
    pub async fn wait_for(&self, id: &str) {
        let purpose = TicketPurpose::Job { id: id.parse().unwrap() };
        let mut socket = self.open(&format!("/ws/jobs/{id}"), &purpose).await;
        let mut state = String::new();
        loop {
            let frame = socket.json().await;
            match frame["type"].as_str().unwrap() {
                "job" => state = frame["view"]["summary"]["badge"]["state"].as_str().unwrap().to_owned(),
                "end" => break,
                _ => {}
            }
        }
        assert_eq!(state, "succeeded");
    }

    /// Saves the configuration of a machine and waits until it exists.
    pub async fn configure(&self, name: &str) {
        let fields = machine_form("configure", name);
        let reply = self.post("/machines/new", &fields).await;
        assert_eq!(
            (reply.status, reply.location()),
            (303, format!("/machines/{name}").as_str()),
            "{}",
            reply.body
        );
        self.latest_job(name).await;
    }

    /// Builds an image that no machine uses, and gives its id.
    pub async fn image(&self) -> String {
        self.job("/images", &[("intent", "build"), ("mode", "immutable"), ("set", "python")]).await;
        let page = self.get("/images").await.body;
        let after = page.split("/images/").nth(1).expect("an image that can be removed is listed");
        after.split('/').next().unwrap().to_owned()
    }

    /// Waits for the latest job of a machine and gives its id.
    pub async fn latest_job(&self, name: &str) -> String {
        let page = self.get(&format!("/jobs?machine={name}")).await;
        let after = page.body.split("href=\"/jobs/").nth(1).expect("the machine has a job");
        let id = after.split('"').next().unwrap().to_owned();
        self.wait_for(&id).await;
        id
    }
}

/// The digest of the plan in a page.
pub fn digest_of(body: &str) -> String {
    let field = body.split("name=\"digest\"").nth(1).expect("the page shows a plan");
    field.split("value=\"").nth(1).and_then(|v| v.split('"').next()).expect("with its digest").to_owned()
}

/// A whole, valid machine form.
pub fn machine_form<'a>(intent: &'a str, name: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("intent", intent),
        ("name", name),
        ("host", "local"),
        ("mode", "immutable"),
        ("memory", "512"),
        ("vcpus", "1"),
        ("disk", "1"),
        ("network", "nat"),
        ("tcp_ports", "22"),
    ]
}

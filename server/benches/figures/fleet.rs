//! A portal with thousands of machines: libvirt's test driver has the domains, and the server's database the rows.
//!
//! Creating them one by one would measure something else, so rows are written straight into the database while the server
//! is stopped, and the driver reads its domains from a file. Nine of ten run.

use crate::person::Person;
use crate::process::{Server, state_dir};
use anyhow::{Context as _, Result, ensure};
use model::identity::Identity;
use model::machine::{Mode, Network};
use model::notes::Notes;
use model::spec::Spec;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

/// How long the server may take to know all machines after its start.
const PATIENCE: Duration = Duration::from_secs(120);

/// A state directory with machines in it, and its server.
pub struct Fleet {
    state: TempDir,
    /// The server over it.
    pub server: Server,
    /// Its administrator.
    pub person: Person,
}

impl Fleet {
    /// An empty portal whose host has so many machines that are not yet the portal's.
    ///
    /// # Errors
    /// If the server does not come up.
    pub async fn strangers(machines: usize) -> Result<Self> {
        let state = state_dir()?;
        std::fs::write(state.path().join("driver.xml"), driver(machines))?;
        let server = Server::start(state.path(), &settings(&state)).await?;
        let person = server.administrator().await?;
        Ok(Self { state, server, person })
    }

    /// The same portal, which now owns the machines.
    ///
    /// # Errors
    /// If the rows cannot be written or the server does not come up again.
    pub async fn adopt(self, machines: usize) -> Result<Self> {
        self.server.stop().await?;
        write_rows(self.state.path().join("snowglobe.db"), machines).await?;
        let server = Server::start(self.state.path(), &settings(&self.state)).await?;
        let mut person = server.administrator().await?;
        let page = person.page(app::routes::MACHINES);
        let begun = Instant::now();
        // Until the host has been asked, no machine's state is known.
        while !person.send(&page).await?.expect(200, "the list")?.text().contains(">Running<") {
            ensure!(begun.elapsed() < PATIENCE, "the machines' states stay unknown: {}", server.last_words());
        }
        Ok(Self { state: self.state, server, person })
    }

    /// The address by which libvirt's own tools list the same machines.
    pub fn uri(&self) -> String {
        uri(&self.state)
    }
}

fn uri(state: &TempDir) -> String {
    format!("test://{}", state.path().join("driver.xml").display())
}

fn settings(state: &TempDir) -> [(&'static str, OsString); 1] {
    [("SNOWGLOBE_HOSTS", format!("local={}", uri(state)).into())]
}

/// The identifier of a machine's domain; the same number gives the same one.
fn domain(number: usize) -> Uuid {
    Uuid::from_u128(0x5160_0000_0000_4000_8000_0000_0000_0000 + number as u128)
}

fn name(number: usize) -> String {
    format!("machine-{number:05}")
}

fn mac(number: usize) -> String {
    format!("52:54:00:{:02x}:{:02x}:{:02x}", number >> 16 & 0xff, number >> 8 & 0xff, number & 0xff)
}

/// The world of the test driver, as in drvtest.html of libvirt's documentation.
fn driver(machines: usize) -> String {
    let mut xml = "<node>\n<network><name>default</name><bridge name='virbr0'/><ip address='192.168.0.1' \
                   netmask='255.255.0.0'/></network>\n"
        .to_owned();
    for number in 0..machines {
        // 5 is VIR_DOMAIN_SHUTOFF, 1 is VIR_DOMAIN_RUNNING (libvirt-domain.h).
        let state = if number % 10 == 9 { 5 } else { 1 };
        // Writing to a string cannot fail.
        let _ = writeln!(
            xml,
            "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'><name>{}</name>\
             <uuid>{}</uuid><memory unit='MiB'>512</memory><vcpu>1</vcpu><os><type>hvm</type></os><devices>\
             <interface type='network'><mac address='{}'/><source network='default'/></interface></devices>\
             <test:runstate>{state}</test:runstate></domain>",
            name(number),
            domain(number),
            mac(number)
        );
    }
    xml.push_str("</node>\n");
    xml
}

async fn write_rows(file: PathBuf, machines: usize) -> Result<()> {
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(file)).await?;
    let mut tx = pool.begin().await?;
    let (owner,): (String,) = sqlx::query_as("select id from users").fetch_one(&mut *tx).await?;
    let (host,): (String,) =
        sqlx::query_as("select id from hosts where name = 'local'").fetch_one(&mut *tx).await?;
    let image = Uuid::now_v7().to_string();
    sqlx::query(
        "insert into images (id, profiles, mode, source, store_path, size, built, rooted) \
         values (?, 'core', 'immutable', 'bench', '/nix/store/bench', 20000000, 0, 1)",
    )
    .bind(&image)
    .execute(&mut *tx)
    .await?;
    for number in 0..machines {
        let spec = spec(number).context("the figures' own machine is not valid")?;
        sqlx::query(
            "insert into machines (id, name, owner_id, host_id, spec, uuid, mac, machine_id, \
             image_id, generation, boot, data, created) values (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, 0)",
        )
        .bind(Uuid::now_v7().to_string())
        .bind(name(number))
        .bind(&owner)
        .bind(&host)
        .bind(serde_json::to_string(&spec)?)
        .bind(domain(number).to_string())
        .bind(mac(number))
        .bind(domain(number).simple().to_string())
        .bind(&image)
        .bind(format!("/machines/{}/boot.qcow2", name(number)))
        .bind(format!("/machines/{}/data.qcow2", name(number)))
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    pool.close().await;
    Ok(())
}

fn spec(number: usize) -> Option<Spec> {
    Some(Spec {
        name: name(number).parse().ok()?,
        host: "local".parse().ok()?,
        profiles: "core,docker,python".parse().ok()?,
        mode: Mode::Immutable,
        memory: "512".parse().ok()?,
        vcpus: "1".parse().ok()?,
        disk: "30".parse().ok()?,
        network: Network::Nat,
        identity: Identity::default(),
        notes: Notes::default(),
        autostart: false,
        delete_protection: false,
    })
}

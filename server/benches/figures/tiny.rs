//! The release server over the system's libvirt, with the offline image built: the starting point of `start` and
//! `echo`.

use crate::person::Person;
use crate::process::{Server, needed, state_dir};
use anyhow::{Context as _, Result};
use model::job::{JobId, StepState};
use model::operation::OperationKind;
use model::view::job::JobView;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The size of the data disks, in GiB; the form's own default.
pub const DISK_GIB: &str = "30";
/// Memory of the machines, in MiB.
const MEMORY: &str = "256";

/// A portal that can create machines at once.
pub struct Tiny {
    state: TempDir,
    server: Server,
    /// Someone who may do everything.
    pub person: Person,
}

impl Tiny {
    /// Starts the server and builds the image.
    ///
    /// # Errors
    /// If one of the two fails.
    pub async fn begin() -> Result<Self> {
        let state = state_dir()?;
        let settings = [
            ("SNOWGLOBE_IMAGE_FLAKE", needed("SNOWGLOBE_TEST_IMAGE_FLAKE")?),
            ("SNOWGLOBE_NIX_CONFIG", needed("NIX_CONFIG")?),
            ("SNOWGLOBE_HOSTS", format!("local={}", uri()?).into()),
        ];
        let server = Server::start(state.path(), &settings).await?;
        let mut person = server.administrator().await?;
        let fields = [("intent", "build"), ("mode", "immutable"), ("profiles", "core")];
        let job = person.begin_job(app::routes::IMAGES, &fields).await?;
        person.done(job).await.map_err(|error| error.context(server.last_words()))?;
        Ok(Self { state, server, person })
    }

    /// Where the portal keeps a machine's disks; the tools of the reference use a folder beside it.
    pub fn folder(&self, machine: &str) -> PathBuf {
        self.state.path().join("machines").join(machine)
    }

    /// The whole state directory.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// Submits the form for a new machine.
    ///
    /// # Errors
    /// If the portal does not accept it.
    pub async fn create(&mut self, name: &str) -> Result<JobId> {
        let fields = [
            ("intent", "create"),
            ("name", name),
            ("host", "local"),
            ("mode", "immutable"),
            ("profiles", "core"),
            ("memory", MEMORY),
            ("vcpus", "1"),
            ("disk", DISK_GIB),
            ("network", "nat"),
            ("tcp_ports", "22"),
        ];
        self.person.begin_job(app::routes::NEW_MACHINE, &fields).await
    }

    /// Waits until the machine of a create job has been started: its guest may still be far from up.
    ///
    /// # Errors
    /// If the job ends before.
    pub async fn started(&mut self, job: JobId) -> Result<JobView> {
        self.person.follow(job).await?.job_until(is_started).await
    }

    /// Cancels a create job and waits until everything that it made is gone.
    ///
    /// # Errors
    /// If the portal refuses.
    pub async fn undo(&mut self, job: JobId) -> Result<()> {
        let (page, id) = (app::routes::job(job), job.to_string());
        self.person
            .post(&page, &[("intent", "cancel"), ("job", &id)])
            .await?
            .expect(303, "cancelling a job")?;
        self.person.end_of(job).await.map(drop)
    }

    /// Removes a machine with everything that belongs to it.
    ///
    /// # Errors
    /// If the portal refuses, or the job fails.
    pub async fn purge(&mut self, name: &str) -> Result<()> {
        let page =
            app::routes::operate(&name.parse().context("no machine has such a name")?, OperationKind::Purge);
        // Whoever purges has seen the plan.
        let shown = self.person.get(&page, &[("accept", "text/html")]).await?.expect(200, &page)?;
        let shown = String::from_utf8_lossy(&shown.body);
        let digest = digest(&shown).context("the page shows no plan to agree to")?;
        let fields = [("intent", "purge"), ("machine", name), ("confirm", name), ("digest", digest)];
        let job = self.person.begin_job(&page, &fields).await?;
        self.person.done(job).await.map(drop)
    }

    /// Stops the server.
    ///
    /// # Errors
    /// If it does not exit cleanly.
    pub async fn end(self) -> Result<()> {
        self.server.stop().await
    }
}

/// The digest of the plan that a page shows.
fn digest(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("name=\"digest\"")?;
    let (_, rest) = rest.split_once("value=\"")?;
    rest.split_once('"').map(|(digest, _)| digest)
}

/// Whether the step that starts the machine is done.
pub fn is_started(view: &JobView) -> bool {
    view.steps.iter().any(|step| step.name == "power.start" && step.state == StepState::Done)
}

/// libvirt, as the sandbox has it.
///
/// # Errors
/// Outside of a sandbox: starting machines there could touch someone's own.
pub fn uri() -> Result<String> {
    Ok(needed("SNOWGLOBE_TEST_LIBVIRT")?.to_string_lossy().into_owned())
}

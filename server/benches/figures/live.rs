//! How long a change made elsewhere takes to the browser: `virsh` suspends and resumes a machine, and a list of machines
//! that is open in a browser is notified.
//!
//! Measured from before `virsh` begins, so that libvirt's own work is in it; the reference is `virsh` alone.

use crate::bare::virsh;
use crate::person::{Frame, Socket};
use crate::report::{Figure, Target, Unit, millis};
use crate::tiny::Tiny;
use anyhow::{Context as _, Result, bail};
use model::account::TicketPurpose;
use model::event::{Change, EventFrame};
use model::machine::MachineState;
use std::time::{Duration, Instant};

/// How often the machine is suspended and resumed.
const ROUNDS: usize = 20;
/// Milliseconds from libvirt's event to the browser.
const TARGET: Target = Target::AtMost(200.0);
/// After this, a change not yet reported never will be.
const PATIENCE: Duration = Duration::from_secs(10);
const MACHINE: &str = "bench-live";

/// Runs the figure.
///
/// # Errors
/// If a change never reaches the browser.
pub async fn run() -> Result<Vec<Figure>> {
    let mut tiny = Tiny::begin().await?;
    let job = tiny.create(MACHINE).await?;
    tiny.person.done(job).await?;
    let mut socket = tiny.person.open(app::routes::sockets::EVENTS, &TicketPurpose::Events).await?;
    let (mut browser, mut tool) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (verb, state) in [("suspend", MachineState::Paused), ("resume", MachineState::Running)] {
            let begun = Instant::now();
            let told = async { tell(&mut socket, state).await.map(|()| begun.elapsed()) };
            let done = async { virsh(&[verb, MACHINE]).await.map(|_| begun.elapsed()) };
            let (told, done) = tokio::try_join!(told, done)?;
            browser.push(told);
            tool.push(done);
        }
    }
    tiny.purge(MACHINE).await?;
    tiny.end().await?;
    let none = "nothing was measured";
    let figure =
        Figure::new("live: virsh → the state in the browser", Unit::Millis, millis(&browser).context(none)?);
    Ok(vec![figure.target(TARGET).beside("virsh alone", millis(&tool).context(none)?)])
}

/// Reads until the machine is reported in this state.
async fn tell(socket: &mut Socket, state: MachineState) -> Result<()> {
    let told = async {
        loop {
            let Some(Frame::Text(text)) = socket.next().await? else { bail!("the socket of events ended") };
            if let EventFrame::Delta { change: Change::Machine { row }, .. } =
                serde_json::from_str(text.as_str())?
                && row.name.as_str() == MACHINE
                && row.observed.state == state
            {
                return Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.context("the browser never heard of a change")?
}

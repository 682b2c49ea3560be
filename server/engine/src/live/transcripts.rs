//! Machines' console output from earlier boots, as files to download.
//!
//! Anyone who may watch a console may have its transcripts; downloading one is audited like watching. A machine's page
//! lists them ([`boots`], by way of the portal), `server/src/download.rs` sends one.

use crate::authorize::allow_machine;
use crate::core::Core;
use crate::cx::Cx;
use crate::engine::Engine;
use crate::error::{Error, Result as Inner};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use model::Fault;
use model::account::Actor;
use model::console::Boot;
use model::machine::MachineName;
use model::permission::Action;
use model::time::Time;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

/// How much of a transcript is read at once, in bytes.
const PIECE: usize = 64 * 1024;

impl Engine {
    /// A machine's output in the boot that began at this time, as far as it is kept; for a boot under way, up to a
    /// moment ago.
    ///
    /// # Errors
    /// [`Fault::NotFound`] for a machine that is not there or not the actor's, and for a boot that has nothing kept.
    pub async fn transcript(
        &self,
        actor: &Actor,
        machine: &MachineName,
        boot: Time,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, Fault> {
        let cx = self.core.cx(actor);
        let open = async {
            let action = Action::WatchConsole;
            let known = allow_machine(&self.core, &cx, action, machine).await?;
            let parts = self.core.consoles.transcripts(known.row.id).parts(boot).await.map_err(unreadable)?;
            if parts.is_empty() {
                return Err(Fault::not_found("transcript").into());
            }
            let detail = Some("took a transcript");
            self.core.audit.done_now(&cx, action.name(), Some(machine.as_str()), detail).await?;
            Ok::<_, Error>(read(parts))
        };
        open.await.map_err(|e| cx.fault(e))
    }
}

/// The boots that have something kept, the latest first.
pub(crate) async fn boots(core: &Core, cx: &Cx, machine: &MachineName) -> Inner<Vec<Boot>> {
    let known = allow_machine(core, cx, Action::WatchConsole, machine).await?;
    core.consoles.transcripts(known.row.id).boots().await.map_err(unreadable)
}

fn unreadable(source: io::Error) -> Error {
    Error::Io { what: "a console's transcripts cannot be read", source }
}

/// The parts, one after the other, piece by piece. One that is pruned meanwhile is left out: it was the oldest.
fn read(parts: Vec<PathBuf>) -> BoxStream<'static, io::Result<Bytes>> {
    let state = (VecDeque::from(parts), None::<File>);
    stream::try_unfold(state, async |(mut parts, mut open)| {
        loop {
            let Some(mut file) = open.take() else {
                let Some(path) = parts.pop_front() else { return Ok(None) };
                match File::open(path).await {
                    Ok(file) => open = Some(file),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
                continue;
            };
            let mut piece = Vec::with_capacity(PIECE);
            if (&mut file).take(PIECE as u64).read_to_end(&mut piece).await? > 0 {
                return Ok(Some((Bytes::from(piece), (parts, Some(file)))));
            }
        }
    })
    .boxed()
}

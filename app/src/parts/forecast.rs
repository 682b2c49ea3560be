//! What building an image would take, in a sentence or two.

use crate::parts::time::span;
use leptos::prelude::*;
use model::forecast::{BuildWork, Forecast, Outlook};
use model::size::Bytes;

/// For the page of whatever builds the image.
pub fn forecast(forecast: &Forecast) -> impl IntoView + use<> {
    let usual = forecast.usual.filter(|_| forecast.outlook != Outlook::Built);
    let usual =
        usual.map(|millis| format!(" Building an image like it usually takes {} here.", span(millis)));
    view! { <p class="note">{words(&forecast.outlook)}{usual}</p> }
}

fn words(outlook: &Outlook) -> String {
    match outlook {
        Outlook::Built => "The image has been built already.".to_owned(),
        Outlook::Known(work) => work_words(work),
        Outlook::Asked => {
            "Nix is working out what has to be built and fetched. Load the page again in a moment to see it."
                .to_owned()
        }
        Outlook::Unknown(why) => format!("What has to be built and fetched is not known: {why}"),
    }
}

fn work_words(work: &BuildWork) -> String {
    let fetch = match (work.to_fetch, work.download) {
        (0, _) => None,
        (n, 0) => Some(format!("{} to fetch", counted(n, "store path"))),
        (n, download) => Some(format!(
            "{} to fetch ({} to download, {} unpacked)",
            counted(n, "store path"),
            Bytes(download),
            Bytes(work.unpacked)
        )),
    };
    let build = (work.to_build > 0).then(|| format!("{} to build", counted(work.to_build, "derivation")));
    let parts: Vec<String> = build.into_iter().chain(fetch).collect();
    match parts.is_empty() {
        true => "Everything that it needs is in the Nix store.".to_owned(),
        false => format!("{}.", parts.join(", ")),
    }
}

fn counted(n: u32, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

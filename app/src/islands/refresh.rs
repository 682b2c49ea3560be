//! Asks the server for the page again and takes single regions from it: for what only the server knows, such as which
//! operations are possible now.

use super::dom;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DomParser, Response, SupportedType};

/// Replaces these elements by what they are in the page as it is now. What does not succeed leaves them as they are.
pub fn refresh(selectors: &'static [&'static str]) {
    spawn_local(async move {
        let _ = load(selectors).await;
    });
}

async fn load(selectors: &[&str]) -> Result<(), JsValue> {
    let window = window();
    let answer = JsFuture::from(window.fetch_with_str(&window.location().href()?)).await?;
    let answer: Response = answer.dyn_into()?;
    if !answer.ok() {
        return Ok(());
    }
    let text = JsFuture::from(answer.text()?).await?.as_string().unwrap_or_default();
    let page = DomParser::new()?.parse_from_string(&text, SupportedType::TextHtml)?;
    for selector in selectors {
        if let (Some(old), Some(new)) = (dom::find(selector), page.query_selector(selector)?) {
            dom::patch_from(&old, &new);
        }
    }
    Ok(())
}

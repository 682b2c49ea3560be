//! Fetches the page again and takes single regions and the title from it: for what only the server knows, such as which
//! operations are possible now.

use super::dom;
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::cell::Cell;
use std::rc::Rc;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DomParser, Response, SupportedType};

/// Regions that can be fetched again. Requests made while one is under way become one further request.
#[derive(Clone)]
pub struct Refresh(Rc<Inner>);

struct Inner {
    selectors: &'static [&'static str],
    under_way: Cell<bool>,
    again: Cell<bool>,
}

impl Refresh {
    /// For the elements that these selectors find.
    pub fn new(selectors: &'static [&'static str]) -> Self {
        Self(Rc::new(Inner { selectors, under_way: Cell::new(false), again: Cell::new(false) }))
    }

    /// Updates the elements to what they are in the page now. A failure leaves them as they are.
    pub fn ask(&self) {
        if self.0.under_way.replace(true) {
            self.0.again.set(true);
            return;
        }
        let inner = Rc::clone(&self.0);
        spawn_local(async move {
            loop {
                let _ = load(inner.selectors).await;
                if !inner.again.replace(false) {
                    break;
                }
            }
            inner.under_way.set(false);
        });
    }
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
    dom::set_title(&page.title());
    for selector in selectors {
        if let (Some(old), Some(new)) = (dom::find(selector), page.query_selector(selector)?) {
            dom::patch_from(&old, &new);
        }
    }
    Ok(())
}

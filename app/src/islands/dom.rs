//! Putting views in the place of what the server rendered, touching only what differs.

use leptos::mount::mount_to;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Document, Element, HtmlElement, Node};

/// The page's document.
pub fn document() -> Document {
    leptos::prelude::document()
}

/// The first element that a selector of ours finds.
pub fn find(selector: &str) -> Option<Element> {
    document().query_selector(selector).ok().flatten()
}

/// A live region of the page, by the value of its `data-live`.
pub fn region(name: &str) -> Option<Element> {
    find(&format!("[data-live={name}]"))
}

/// Builds a view outside the page, below an element of this tag. Nothing of it stays reactive.
pub fn build<V: IntoView + 'static>(tag: &str, view: V) -> Option<Element> {
    let workshop: HtmlElement = document().create_element(tag).ok()?.dyn_into().ok()?;
    let mounted = mount_to(workshop.clone(), move || view);
    let copy = workshop.clone_node_with_deep(true).ok()?.dyn_into().ok();
    drop(mounted);
    copy
}

/// Makes an element's content what the view says.
pub fn patch<V: IntoView + 'static>(target: &Element, view: V) {
    if let Some(wanted) = build(&target.tag_name(), view) {
        patch_from(target, &wanted);
    }
}

/// Makes an element's content that of another element, which is used up. Children that are already as they should be are
/// left alone, with their focus, selection and open menus.
pub fn patch_from(target: &Element, wanted: &Element) {
    let (old, new) = (children(target), children(wanted));
    let focused = document().active_element().filter(|active| target.contains(Some(active)));
    if old.len() == new.len() {
        for (old, new) in old.iter().zip(&new) {
            if !old.is_equal_node(Some(new)) {
                // A failure means that the node has gone meanwhile, and then there is nothing to replace.
                let _ = target.replace_child(new, old);
            }
        }
    } else {
        target.set_text_content(None);
        for node in new {
            let _ = target.append_child(&node);
        }
    }
    keep_focus(target, focused.as_ref());
}

/// When the focused element was replaced, the focus goes to what stands there now, not back to the top of the page.
fn keep_focus(target: &Element, focused: Option<&Element>) {
    let lost = focused.is_some_and(|element| !element.is_connected());
    let next = target.query_selector("button:not(:disabled), a[href], summary, input").ok().flatten();
    if lost && let Some(next) = next.and_then(|n| n.dyn_into::<HtmlElement>().ok()) {
        let _ = next.focus();
    }
}

fn children(element: &Element) -> Vec<Node> {
    let list = element.child_nodes();
    (0..list.length()).filter_map(|i| list.item(i)).collect()
}

//! Updates what the server rendered to match a new view, and touches only what differs.
//!
//! What a person has opened, focused, selected, typed or scrolled is state of the page's elements. So an element is kept for as
//! long as what it represents exists, and only its attributes and texts change. A new element corresponds to the old one with
//! the same tag and the same `data-key` among its siblings; every button has a key, so that none turns into another one
//! just as it is pressed. All of this costs less than a kilobyte of wasm; a library for it costs several of script.

use leptos::mount::mount_to;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Document, Element, HtmlElement, Node};

/// Attributes set by the person or `js/page.js`, never by a view.
const USER_STATE: [&str; 3] = ["open", "data-copied", "data-exact"];

/// The page's document.
pub fn document() -> Document {
    leptos::prelude::document()
}

/// Sets the page's title, if it is another one.
pub fn set_title(title: &str) {
    let document = document();
    if document.title() != title {
        document.set_title(title);
    }
}

/// The first element that matches a selector.
pub fn find(selector: &str) -> Option<Element> {
    document().query_selector(selector).ok().flatten()
}

/// A live region of the page, by the value of its `data-live`.
pub fn region(name: &str) -> Option<Element> {
    find(&format!("[data-live={name}]"))
}

/// Builds a view outside the page, in an element of this tag. The result is not reactive.
pub fn build<V: IntoView + 'static>(tag: &str, view: V) -> Option<Element> {
    let scratch: HtmlElement = document().create_element(tag).ok()?.dyn_into().ok()?;
    let mounted = mount_to(scratch.clone(), move || view);
    let copy = scratch.clone_node_with_deep(true).ok()?.dyn_into().ok();
    drop(mounted);
    copy
}

/// Updates the live region of this name to a view. A page has only some of the regions.
pub fn patch_region<V: IntoView + 'static>(name: &str, view: V) {
    if let Some(place) = region(name) {
        patch(&place, view);
    }
}

/// Updates an element's content to a view.
pub fn patch<V: IntoView + 'static>(target: &Element, view: V) {
    if let Some(wanted) = build(&target.tag_name(), view) {
        patch_from(target, &wanted);
    }
}

/// Updates an element's content to another element's, which is consumed.
pub fn patch_from(target: &Element, wanted: &Element) {
    let focused = document().active_element().filter(|active| target.contains(Some(active)));
    patch_children(target, wanted);
    if focused.is_some_and(|element| !element.is_connected()) {
        move_focus(target);
    }
}

/// Updates an element to another one, its attributes included.
pub fn morph(old: &Element, new: &Element) {
    patch_attributes(old, new);
    patch_from(old, new);
}

fn patch_children(old: &Node, new: &Node) {
    // The first of the old children that has not been handled.
    let mut place = old.first_child();
    // The three calls below fail only if the node has been removed meanwhile; then there is nothing left to do.
    for child in children(new) {
        match counterpart(place.clone(), &child) {
            Some(found) => {
                while let Some(gone) = place.take().filter(|node| !node.is_same_node(Some(&found))) {
                    place = gone.next_sibling();
                    let _ = old.remove_child(&gone);
                }
                place = found.next_sibling();
                patch_node(&found, &child);
            }
            None => {
                let _ = old.insert_before(&child, place.as_ref());
            }
        }
    }
    while let Some(gone) = place {
        place = gone.next_sibling();
        let _ = old.remove_child(&gone);
    }
}

fn patch_node(old: &Node, new: &Node) {
    if old.is_equal_node(Some(new)) {
        return;
    }
    match (old.dyn_ref::<Element>(), new.dyn_ref::<Element>()) {
        (Some(old), Some(new)) => {
            patch_attributes(old, new);
            patch_children(old, new);
        }
        _ => old.set_node_value(new.node_value().as_deref()),
    }
}

fn patch_attributes(old: &Element, new: &Element) {
    // Setting and removing fail only for invalid attribute names.
    for name in attribute_names(old).filter(|name| !USER_STATE.contains(&name.as_str())) {
        if !new.has_attribute(&name) {
            let _ = old.remove_attribute(&name);
        }
    }
    for name in attribute_names(new) {
        let value = new.get_attribute(&name);
        if old.get_attribute(&name) != value {
            let _ = old.set_attribute(&name, &value.unwrap_or_default());
        }
    }
}

fn attribute_names(element: &Element) -> impl Iterator<Item = String> + use<> {
    element.get_attribute_names().into_iter().filter_map(|name| name.as_string())
}

/// The old sibling, from this one on, that corresponds to the new node. Texts have no identity, so a text corresponds to the
/// node in its place or to none.
fn counterpart(from: Option<Node>, new: &Node) -> Option<Node> {
    let is_same = |old: &Node| old.node_name() == new.node_name() && key(old) == key(new);
    if new.node_type() != Node::ELEMENT_NODE {
        return from.filter(is_same);
    }
    std::iter::successors(from, Node::next_sibling).find(is_same)
}

fn key(node: &Node) -> Option<String> {
    node.dyn_ref::<Element>().and_then(|element| element.get_attribute("data-key"))
}

/// When the focused element is gone, the focus moves to the menu that it was in, or to the region: not to another button, which
/// the next key might press by mistake, and not to the top of the page.
fn move_focus(target: &Element) {
    let next = target.query_selector("summary").ok().flatten().unwrap_or_else(|| {
        let _ = target.set_attribute("tabindex", "-1");
        target.clone()
    });
    if let Ok(next) = next.dyn_into::<HtmlElement>() {
        // Fails only for what is no longer in the page.
        let _ = next.focus();
    }
}

/// The children without Leptos' marker comments.
fn children(node: &Node) -> Vec<Node> {
    let list = node.child_nodes();
    (0..list.length())
        .filter_map(|i| list.item(i))
        .filter(|child| child.node_type() != Node::COMMENT_NODE)
        .collect()
}

//! Putting views in the place of what the server rendered, touching only what differs.
//!
//! What a person has opened, focused, selected, typed or scrolled belongs to the elements of the page. So an element stays
//! for as long as what it stands for is there, and only its attributes and texts change. A new element is the old one of
//! the same tag and the same `data-key` among its siblings; whatever may be pressed has a key, so that a button never
//! becomes another one under somebody's finger.

use leptos::mount::mount_to;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Document, Element, HtmlElement, Node};

/// Attributes that the person or `js/page.js` sets and no view knows of.
const PERSONAL: [&str; 3] = ["open", "data-copied", "data-exact"];

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

/// Makes the content of the live region of this name what the view says. A page shows only some of the regions.
pub fn patch_region<V: IntoView + 'static>(name: &str, view: V) {
    if let Some(place) = region(name) {
        patch(&place, view);
    }
}

/// Makes an element's content what the view says.
pub fn patch<V: IntoView + 'static>(target: &Element, view: V) {
    if let Some(wanted) = build(&target.tag_name(), view) {
        patch_from(target, &wanted);
    }
}

/// Makes an element's content that of another element, which is used up.
pub fn patch_from(target: &Element, wanted: &Element) {
    let focused = document().active_element().filter(|active| target.contains(Some(active)));
    patch_children(target, wanted);
    if focused.is_some_and(|element| !element.is_connected()) {
        take_focus(target);
    }
}

/// Makes an element as another one is, its attributes included.
pub fn become_like(old: &Element, new: &Element) {
    patch_attributes(old, new);
    patch_from(old, new);
}

fn patch_children(old: &Node, new: &Node) {
    // The first of the old children that has not been dealt with.
    let mut place = old.first_child();
    // A failure of the three calls below means that the node has gone meanwhile, and then nothing is left to be done.
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
    // Setting and removing fail only for names that are no attribute names.
    for name in attribute_names(old).filter(|name| !PERSONAL.contains(&name.as_str())) {
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

/// Among the old siblings from this one on, the one that the new node is. Texts have nothing to be told by, so a text is
/// the one that stands in its place or none.
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

/// When the focused element has gone, the focus goes to the menu that it stood in, or to the region; not to another button,
/// where a key that was already on its way would press it, and not back to the top of the page.
fn take_focus(target: &Element) {
    let next = target.query_selector("summary").ok().flatten().unwrap_or_else(|| {
        let _ = target.set_attribute("tabindex", "-1");
        target.clone()
    });
    if let Ok(next) = next.dyn_into::<HtmlElement>() {
        // Fails only for what is no longer in the page.
        let _ = next.focus();
    }
}

/// The children that are something: Leptos' marks between them are not.
fn children(node: &Node) -> Vec<Node> {
    let list = node.child_nodes();
    (0..list.length())
        .filter_map(|i| list.item(i))
        .filter(|child| child.node_type() != Node::COMMENT_NODE)
        .collect()
}

//! A log of any length that stays smooth: lines are grouped in blocks, and only blocks near the window have their lines in
//! the page. An empty block keeps its height, so that the scroll bar is right.
//!
//! Text goes into text nodes and nowhere else: markup in a log is text. Browsers slow down beyond some 20,000 lines in
//! the page; here there are never more than a few hundred.

use js_sys::Array;
use model::job::{LogLevel, LogLine};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::{
    Element, Event, HtmlElement, HtmlInputElement, IntersectionObserver, IntersectionObserverEntry,
    IntersectionObserverInit, KeyboardEvent, ScrollIntoViewOptions, ScrollLogicalPosition,
};

use super::dom;

/// Lines in one block.
const BLOCK: usize = 100;
/// How far beyond the window blocks are filled.
const MARGIN: &str = "1200px 0px";
/// How near the end, in pixels, counts as the end.
const NEAR_END: i32 = 24;

/// The log of one page.
pub struct LogView {
    lines: RefCell<Vec<LogLine>>,
    blocks: RefCell<Vec<HtmlElement>>,
    scroller: HtmlElement,
    observer: RefCell<Option<IntersectionObserver>>,
    search: HtmlInputElement,
    found: Element,
    follow: HtmlInputElement,
    /// Matching lines, and which of them is shown.
    matches: RefCell<Vec<usize>>,
    current: Cell<usize>,
}

impl LogView {
    /// Attaches to a log section; `None` if it is not one.
    pub fn attach(section: &HtmlElement) -> Option<Rc<Self>> {
        let part = |name: &str| section.query_selector(&format!("[data-log={name}]")).ok().flatten();
        let view = Rc::new(Self {
            lines: RefCell::default(),
            blocks: RefCell::default(),
            scroller: part("lines")?.dyn_into().ok()?,
            observer: RefCell::default(),
            search: part("search")?.dyn_into().ok()?,
            found: part("found")?,
            follow: part("follow")?.dyn_into().ok()?,
            matches: RefCell::default(),
            current: Cell::new(0),
        });
        view.observe();
        view.listen(view.search.as_ref(), "input", |view, _| view.find());
        view.listen(view.search.as_ref(), "keydown", |view, event| view.key(event));
        view.listen(view.scroller.as_ref(), "scroll", |view, _| view.scrolled());
        view.listen(view.follow.as_ref(), "change", |view, _| view.to_end());
        view.listen(&part("previous")?, "click", |view, _| view.step(-1));
        view.listen(&part("next")?, "click", |view, _| view.step(1));
        view.listen(&part("copy")?, "click", |view, event| view.copy(event));
        view.listen(&part("wrap")?, "change", |view, event| view.wrap(event));
        Some(view)
    }

    /// The last line received; a new connection continues after it.
    pub fn last_seq(&self) -> Option<u64> {
        self.lines.borrow().last().map(|line| line.seq)
    }

    /// Adds lines at the end. Lines received before, as after a reconnect, are left out.
    pub fn append(&self, new: Vec<LogLine>) {
        let last = self.last_seq();
        let first_new = self.lines.borrow().len();
        self.lines
            .borrow_mut()
            .extend(new.into_iter().filter(|line| last.is_none_or(|last| line.seq > last)));
        let all = self.lines.borrow().len();
        let mut at = first_new;
        while at < all {
            let block = at / BLOCK;
            let end = ((block + 1) * BLOCK).min(all);
            self.grow(block, at, end);
            at = end;
        }
        if !self.search.value().is_empty() {
            self.find_in(first_new);
        }
        if self.follow.checked() {
            self.fill_end();
        }
        self.to_end();
    }

    /// Fills the last blocks at once: while many lines arrive, the observer reports blocks only after they have scrolled by.
    fn fill_end(&self) {
        let last: Vec<HtmlElement> = self.blocks.borrow().iter().rev().take(2).cloned().collect();
        for block in last.iter().filter(|block| !block.has_attribute("data-filled")) {
            self.fill(block);
        }
    }

    /// Makes room for lines `from..to` in their block, and puts them in if the block is filled.
    fn grow(&self, block: usize, from: usize, to: usize) {
        if self.blocks.borrow().len() <= block {
            self.new_block(block);
        }
        let Some(element) = self.blocks.borrow().get(block).cloned() else { return };
        if element.has_attribute("data-filled") {
            self.put_lines(&element, from, to);
        } else {
            self.estimate(&element, to - block * BLOCK);
        }
    }

    fn new_block(&self, index: usize) {
        let Ok(Ok(element)) = dom::document().create_element("div").map(JsCast::dyn_into::<HtmlElement>)
        else {
            return;
        };
        element.set_class_name("block");
        // Fails only for invalid attribute names.
        let _ = element.set_attribute("data-block", &index.to_string());
        let _ = self.scroller.append_child(&element);
        if let Some(observer) = self.observer.borrow().as_ref() {
            observer.observe(&element);
        }
        self.blocks.borrow_mut().push(element);
    }

    /// The height of an empty block: its lines times the height of a line, which the style sheet knows as `lh`.
    fn estimate(&self, element: &HtmlElement, lines: usize) {
        let _ = element.style().set_property("height", &format!("{lines}lh"));
    }

    fn observe(self: &Rc<Self>) {
        let view = Rc::downgrade(self);
        let callback = Closure::<dyn FnMut(Array)>::new(move |entries: Array| {
            let Some(view) = view.upgrade() else { return };
            for entry in entries.iter().filter_map(|e| e.dyn_into::<IntersectionObserverEntry>().ok()) {
                if let Ok(block) = entry.target().dyn_into::<HtmlElement>() {
                    view.on_intersection(&block, entry.is_intersecting());
                }
            }
        });
        let options = IntersectionObserverInit::new();
        options.set_root(Some(self.scroller.as_ref()));
        options.set_root_margin(MARGIN);
        let made = IntersectionObserver::new_with_options(callback.as_ref().unchecked_ref(), &options);
        self.observer.replace(made.ok());
        // Needed for as long as the page exists.
        callback.forget();
    }

    fn on_intersection(&self, block: &HtmlElement, near: bool) {
        let filled = block.has_attribute("data-filled");
        if near && !filled {
            self.fill(block);
        } else if !near && filled {
            let height = block.offset_height();
            block.set_text_content(None);
            let _ = block.remove_attribute("data-filled");
            let _ = block.style().set_property("height", &format!("{height}px"));
        }
    }

    fn fill(&self, block: &HtmlElement) {
        let Some(index) = block.get_attribute("data-block").and_then(|i| i.parse::<usize>().ok()) else {
            return;
        };
        let _ = block.set_attribute("data-filled", "");
        let _ = block.style().remove_property("height");
        let end = ((index + 1) * BLOCK).min(self.lines.borrow().len());
        self.put_lines(block, index * BLOCK, end);
        if self.follow.checked() {
            self.to_end();
        }
    }

    fn put_lines(&self, block: &HtmlElement, from: usize, to: usize) {
        let lines = self.lines.borrow();
        let current = self.matches.borrow().get(self.current.get()).copied();
        for (i, line) in lines.iter().enumerate().take(to).skip(from) {
            if let Some(element) = line_element(line, current == Some(i)) {
                let _ = block.append_child(&element);
            }
        }
    }

    fn to_end(&self) {
        if self.follow.checked() {
            self.scroller.set_scroll_top(self.scroller.scroll_height());
        }
    }

    /// Scrolling up stops following; scrolling to the end starts it again.
    fn scrolled(&self) {
        let below =
            self.scroller.scroll_height() - self.scroller.scroll_top() - self.scroller.client_height();
        if below > NEAR_END * 10 {
            self.follow.set_checked(false);
        } else if below < NEAR_END {
            self.follow.set_checked(true);
        }
    }

    fn wrap(&self, event: &Event) {
        let on =
            event.target().and_then(|t| t.dyn_into::<HtmlInputElement>().ok()).is_some_and(|i| i.checked());
        let _ = self.scroller.class_list().toggle_with_force("wrap", on);
        // The heights of empty blocks were for the other wrapping mode.
        for (i, block) in
            self.blocks.borrow().iter().enumerate().filter(|(_, b)| !b.has_attribute("data-filled"))
        {
            self.estimate(block, BLOCK.min(self.lines.borrow().len() - i * BLOCK));
        }
    }

    /// Gives the whole log to the pressed button, for `js/page.js` to copy: its listener is the document's and runs after this one.
    fn copy(&self, event: &Event) {
        let texts: Vec<String> = self.lines.borrow().iter().map(|line| line.text.clone()).collect();
        if let Some(button) = event.current_target().and_then(|t| t.dyn_into::<Element>().ok()) {
            let _ = button.set_attribute("data-copy", &texts.join("\n"));
        }
    }

    fn key(&self, event: &Event) {
        if let Some(key) = event.dyn_ref::<KeyboardEvent>().filter(|key| key.key() == "Enter") {
            key.prevent_default();
            self.step(if key.shift_key() { -1 } else { 1 });
        }
    }

    fn find(&self) {
        self.matches.borrow_mut().clear();
        self.current.set(0);
        self.find_in(0);
        self.show_current();
    }

    /// Searches the lines from this one on.
    fn find_in(&self, from: usize) {
        let wanted = self.search.value().to_ascii_lowercase();
        if !wanted.is_empty() {
            let lines = self.lines.borrow();
            let fits =
                |(i, line): (usize, &LogLine)| line.text.to_ascii_lowercase().contains(&wanted).then_some(i);
            self.matches.borrow_mut().extend(lines.iter().enumerate().skip(from).filter_map(fits));
        }
        let words = match (wanted.is_empty(), self.matches.borrow().len()) {
            (true, _) => String::new(),
            (false, 0) => "no matches".to_owned(),
            (false, n) => format!("{} of {n}", self.current.get() + 1),
        };
        self.found.set_text_content(Some(&words));
    }

    fn step(&self, by: isize) {
        let n = self.matches.borrow().len();
        if n > 0 {
            self.current.set((self.current.get() + n).saturating_add_signed(by) % n);
            self.found.set_text_content(Some(&format!("{} of {n}", self.current.get() + 1)));
            self.show_current();
        }
    }

    /// Scrolls to the current match and marks it.
    fn show_current(&self) {
        if let Ok(Some(old)) = self.scroller.query_selector(".line.current") {
            old.set_class_name("line");
        }
        let Some(at) = self.matches.borrow().get(self.current.get()).copied() else { return };
        self.follow.set_checked(false);
        let Some(block) = self.blocks.borrow().get(at / BLOCK).cloned() else { return };
        if !block.has_attribute("data-filled") {
            self.fill(&block);
        }
        let options = ScrollIntoViewOptions::new();
        options.set_block(ScrollLogicalPosition::Center);
        if let Some(line) = block.children().item(u32::try_from(at % BLOCK).unwrap_or(0)) {
            line.set_class_name("line current");
            line.scroll_into_view_with_scroll_into_view_options(&options);
        }
    }

    fn listen(self: &Rc<Self>, target: &Element, event: &str, act: fn(&Self, &Event)) {
        let view = Rc::clone(self);
        let closure = Closure::<dyn FnMut(Event)>::new(move |event: Event| act(&view, &event));
        if target.add_event_listener_with_callback(event, closure.as_ref().unchecked_ref()).is_ok() {
            closure.forget();
        }
    }
}

/// One line: number, who printed it, text.
fn line_element(line: &LogLine, current: bool) -> Option<Element> {
    let document = dom::document();
    let element = document.create_element("div").ok()?;
    let put = |class: &str, text: &str| {
        let piece = document.create_element("span")?;
        piece.set_class_name(class);
        piece.set_text_content(Some(text));
        element.append_child(&piece)
    };
    element.set_class_name(if current { "line current" } else { "line" });
    let level = match line.level {
        LogLevel::Output => None,
        LogLevel::Info => Some("info"),
        LogLevel::Warning => Some("warning"),
        LogLevel::Error => Some("error"),
    };
    if let Some(level) = level {
        element.set_attribute("data-level", level).ok()?;
    }
    put("number", &(line.seq + 1).to_string()).ok()?;
    if let Some(from) = &line.from {
        put("from", from).ok()?;
    }
    put("text", &line.text).ok()?;
    Some(element)
}

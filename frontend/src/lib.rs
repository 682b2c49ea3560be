//! The wasm entry point: reports panics on the browser's console and makes Leptos ready. `page.js` calls [`hydrate`]
//! once, then the function of each island on the page; those functions are exported by package `app`.

// Links the islands, which nothing here names.
use app as _;
use wasm_bindgen::prelude::wasm_bindgen;

/// Called by `page.js` before the first island.
#[wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_islands();
}

//! Turns the wasm file that rustc wrote into one for browsers, with the JavaScript that loads it.
//!
//! The same as the program `wasm-bindgen --target web`, but built from the library under this workspace's lock
//! file: its version cannot differ from the frontend's, and half as much is compiled. Called by
//! `xtask/src/wasm.rs` as `wasm-glue INPUT.wasm OUT_DIR`.

use anyhow::{Context as _, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let [input, out_dir] = args.as_slice() else {
        bail!("two arguments are needed: the wasm file and the directory to write to");
    };
    Bindgen::new()
        .input_path(input)
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(out_dir)
        .with_context(|| format!("{} cannot be prepared for browsers", input.display()))
}

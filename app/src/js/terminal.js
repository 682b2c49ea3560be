// The element <serial-terminal>: xterm.js with the few methods that the island `SerialConsole` calls. Loaded on console
// pages only. What the guest sends is drawn by the terminal; nothing of it becomes markup.

const version = new URL(import.meta.url).search;
const [{ Terminal }, { FitAddon }] = await Promise.all([
  import(`./xterm.js${version}`),
  import(`./addon-fit.js${version}`),
]);

// xterm.js makes <style> elements and writes style attributes, and the page's policy blocks both. So on this page, and on
// no other, new <style> elements get the page's nonce, and style attributes of new <span> elements are written through the
// style object, which the policy allows. The option `documentOverride` would be the tidy way; not all of xterm.js heeds it.
const nonce = document.getElementById("terminal-script")?.nonce ?? "";
const createElement = document.createElement;
document.createElement = function (tag, options) {
  const element = createElement.call(this, tag, options);
  if (element instanceof HTMLStyleElement) {
    element.nonce = nonce;
  } else if (element instanceof HTMLSpanElement) {
    element.setAttribute = setAttribute;
  }
  return element;
};

function setAttribute(name, value) {
  if (name === "style") {
    this.style.cssText = value;
  } else {
    Element.prototype.setAttribute.call(this, name, value);
  }
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  return { background: colour("--screen"), foreground: colour("--screen-text"), cursor: colour("--screen-cursor") };
}

class SerialTerminal extends HTMLElement {
  #terminal = new Terminal({
    allowProposedApi: false,
    convertEol: false,
    cursorBlink: true,
    fontFamily: "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace",
    fontSize: 14,
    // Guests choose colours without knowing the background; WCAG 2.2 §1.4.3 asks for this much.
    minimumContrastRatio: 4.5,
    screenReaderMode: false,
    scrollback: 10_000,
    theme: colours(),
  });
  #fit = new FitAddon();
  #typing = true;
  // Pieces of history that the terminal has not worked through.
  #replaying = 0;

  connectedCallback() {
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.open(this);
    this.#terminal.onData((text) => this.dispatchEvent(new CustomEvent("typed", { detail: text })));
    new ResizeObserver(() => this.#fit.fit()).observe(this);
    this.#fit.fit();
    this.#terminal.focus();
  }

  // The first `old` bytes are history. Programs ask terminals things (ECMA-48 DSR, DA), and the answers are typed: what was
  // asked before somebody came must not be answered now, into whatever reads the line by then.
  show(bytes, old) {
    if (old > 0) {
      this.#replaying += 1;
      this.#heed();
      this.#terminal.write(bytes.subarray(0, old), () => {
        this.#replaying -= 1;
        this.#heed();
      });
    }
    if (old < bytes.length) this.#terminal.write(bytes.subarray(old));
  }

  remark(text) {
    this.#terminal.write(`\r\n\x1b[2m[${text}]\x1b[0m\r\n`);
  }

  set typing(typing) {
    this.#typing = typing;
    this.#terminal.options.cursorBlink = typing;
    this.#heed();
  }

  #heed() {
    this.#terminal.options.disableStdin = !this.#typing || this.#replaying > 0;
  }
}

customElements.define("serial-terminal", SerialTerminal);

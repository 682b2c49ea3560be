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

// Control sequences whose cost grows with a number that the guest chooses: repeat the preceding character (REP), insert and
// delete lines (IL, DL), scroll (SU, SD), go to tab stops (CHT, CBT). xterm.js loops as often as asked, up to 2^31
// times, and ten bytes would freeze the page of every viewer. All others stop at the edge of the screen.
const COUNTED = ["b", "L", "M", "S", "T", "I", "Z"];
// The largest count that is carried out. Nothing larger has a meaning on a screen, so such a sequence is ignored.
const COUNT_MAX = 500;
// How many bytes xterm.js works through before it lets the browser breathe: it checks the time between pieces only.
const PIECE = 64;

// The way out of the terminal for the keyboard. A serial line cannot carry this combination (it would be a plain Enter), so
// no guest misses it, and no browser uses it.
const isWayOut = (event) => event.key === "Enter" && event.ctrlKey && event.shiftKey;
// A viewer who only watches can still scroll.
const isScrolling = (event) => event.shiftKey && /^(Page(Up|Down)|Home|End)$/.test(event.key);

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
  #hasControl = true;
  // Pieces of history that the terminal has not worked through.
  #replaying = 0;

  connectedCallback() {
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.open(this);
    this.#terminal.onData((text) => this.dispatchEvent(new CustomEvent("typed", { detail: text })));
    this.#limitCounts();
    this.#keepKeyboardFree();
    new ResizeObserver(() => this.#fit.fit()).observe(this);
    this.#fit.fit();
    this.#terminal.focus();
  }

  // The first `old` bytes are history. Programs ask terminals things (ECMA-48 DSR, DA), and the answers are typed: what was
  // asked before this viewer came must not be answered now, into whatever is reading the line.
  show(bytes, old) {
    if (old > 0) {
      this.#replaying += 1;
      this.#updateInput();
      this.#write(bytes.subarray(0, old), () => {
        this.#replaying -= 1;
        this.#updateInput();
      });
    }
    this.#write(bytes.subarray(old));
  }

  remark(text) {
    this.#terminal.write(`\r\n\x1b[2m[${text}]\x1b[0m\r\n`);
  }

  focus() {
    this.#terminal.focus();
  }

  set hasControl(hasControl) {
    this.#hasControl = hasControl;
    this.#terminal.options.cursorBlink = hasControl;
    this.#updateInput();
  }

  #updateInput() {
    this.#terminal.options.disableStdin = !this.#hasControl || this.#replaying > 0;
  }

  #write(bytes, done) {
    for (let at = 0; at < bytes.length; at += PIECE) {
      const isLast = at + PIECE >= bytes.length;
      this.#terminal.write(bytes.subarray(at, at + PIECE), isLast ? done : undefined);
    }
  }

  #limitCounts() {
    for (const final of COUNTED) {
      // A handler that answers true has dealt with the sequence.
      this.#terminal.parser.registerCsiHandler({ final }, ([count]) => count > COUNT_MAX);
    }
  }

  // WCAG 2.1.2: the keyboard is never trapped. Tab passes the terminal by, which is entered with a click or with the button
  // beside it, and left with a key that is named there; without control of the machine, nothing is caught at all.
  #keepKeyboardFree() {
    this.#terminal.textarea.tabIndex = -1;
    this.#terminal.attachCustomKeyEventHandler((event) => {
      if (!this.#hasControl) return isScrolling(event);
      if (!isWayOut(event)) return true;
      event.preventDefault();
      if (event.type === "keydown") document.querySelector("[data-focus=serial-terminal]")?.focus();
      return false;
    });
  }
}

customElements.define("serial-terminal", SerialTerminal);

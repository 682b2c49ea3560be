// The element <serial-terminal>: xterm.js with the few methods that the island `SerialConsole` calls. Loaded on console
// pages only. What the guest sends is drawn by the terminal; nothing of it becomes markup.

const version = new URL(import.meta.url).search;
const [{ Terminal }, { FitAddon }] = await Promise.all([
  import(`./xterm.js${version}`),
  import(`./addon-fit.js${version}`),
]);

// xterm.js makes <style> elements and writes style attributes. The page's policy allows neither without a nonce; so the
// elements get the nonce, and the attributes are written through the style object, which the policy allows.
const nonce = document.getElementById("terminal-script")?.nonce ?? "";
const styled = new Proxy(document, {
  get(target, name) {
    if (name === "createElement") {
      return (tag, options) => {
        const element = target.createElement(tag, options);
        if (element instanceof HTMLStyleElement) {
          element.nonce = nonce;
        } else {
          element.setAttribute = setAttribute;
        }
        return element;
      };
    }
    const value = Reflect.get(target, name, target);
    return typeof value === "function" ? value.bind(target) : value;
  },
});

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
    documentOverride: styled,
    fontFamily: "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace",
    fontSize: 14,
    screenReaderMode: false,
    scrollback: 10_000,
    theme: colours(),
  });
  #fit = new FitAddon();

  connectedCallback() {
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.open(this);
    this.#terminal.onData((text) => this.dispatchEvent(new CustomEvent("typed", { detail: text })));
    new ResizeObserver(() => this.#fit.fit()).observe(this);
    this.#fit.fit();
    this.#terminal.focus();
  }

  show(bytes) {
    this.#terminal.write(bytes);
  }

  remark(text) {
    this.#terminal.write(`\r\n\x1b[2m[${text}]\x1b[0m\r\n`);
  }

  set typing(typing) {
    this.#terminal.options.disableStdin = !typing;
    this.#terminal.options.cursorBlink = typing;
  }
}

customElements.define("serial-terminal", SerialTerminal);

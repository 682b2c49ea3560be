// What runs on every page without wasm: the small things (theme, copying, suggested values, exact times, menus, selections, full
// screen), and the loading of the islands where there are any. A page works without all of it.

const root = document.documentElement;
const version = new URL(import.meta.url).search;

// Theme: automatic, light, dark, in turn. The line in the document's head applies it before the page is painted.
const themes = ["automatic", "light", "dark"];
function showTheme() {
  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    const words = `Theme: ${root.dataset.theme ?? themes[0]}`;
    button.setAttribute("aria-label", words);
    button.title = words;
  }
}
function nextTheme() {
  const next = themes[(themes.indexOf(root.dataset.theme ?? themes[0]) + 1) % themes.length];
  if (next === themes[0]) {
    delete root.dataset.theme;
  } else {
    root.dataset.theme = next;
  }
  try {
    localStorage.setItem("theme", next);
  } catch {
    // Storage can be switched off; then the theme lasts as long as the page.
  }
  showTheme();
}

function announce(words) {
  const place = document.getElementById("announcement");
  if (place) place.textContent = words;
}

async function copy(button) {
  const text = button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyByHand(text);
    button.focus();
  }
  // A log is too long to keep a second copy.
  if (button.dataset.log) delete button.dataset.copy;
  button.dataset.copied = "";
  announce("Copied");
  setTimeout(() => {
    delete button.dataset.copied;
    announce("");
  }, 1500);
}

// Over plain HTTP, browsers offer no other clipboard.
function copyByHand(text) {
  const field = document.createElement("textarea");
  field.className = "hidden";
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

function fill(button) {
  const field = button.form?.elements.namedItem(button.dataset.set);
  if (field) {
    field.value = button.dataset.value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new Event("change", { bubbles: true }));
  }
}

// Rows of a list: how many are selected, and all of them at once.
const checkboxes = () => [...document.querySelectorAll(".pick input")];
function countSelected() {
  const place = document.querySelector("[data-selected]");
  if (place) place.textContent = `${checkboxes().filter((box) => box.checked).length} selected`;
}
function selectAll() {
  for (const box of checkboxes()) box.checked = true;
  countSelected();
}

function fullScreen(button) {
  if (document.fullscreenElement) {
    document.exitFullscreen();
  } else {
    document.querySelector(button.dataset.fullscreen)?.requestFullscreen();
  }
}

function focusOn(button) {
  document.querySelector(button.dataset.focus)?.focus();
}

const actions = {
  "[data-theme-switch]": nextTheme,
  "[data-copy]": copy,
  "[data-set]": fill,
  "[data-select-all]": selectAll,
  "[data-fullscreen]": fullScreen,
  "[data-focus]": focusOn,
};

document.addEventListener("click", (event) => {
  for (const [selector, act] of Object.entries(actions)) {
    const button = event.target.closest?.(selector);
    if (button) act(button);
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
  // A tap shows a time exactly, as hovering does; the next one anywhere hides it.
  const tapped = event.target.closest?.("time[datetime]");
  for (const time of document.querySelectorAll("time[data-exact]")) {
    if (time !== tapped) delete time.dataset.exact;
  }
  tapped?.toggleAttribute("data-exact");
});

document.addEventListener("change", countSelected);

// A second press while the first request is under way would submit twice; after a while without an answer it may be repeated.
const submitting = new WeakSet();
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (submitting.has(form)) event.preventDefault();
  submitting.add(form);
  setTimeout(() => submitting.delete(form), 3_000);
});

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// With the same wording as `parts/time.rs`.
function ago(then) {
  const seconds = Math.max(0, (Date.now() - then) / 1000);
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  if (seconds < 172800) return "1 day ago";
  if (seconds < 2678400) return `${Math.floor(seconds / 86400)} days ago`;
  return new Date(then).toISOString().slice(0, 10);
}
setInterval(() => {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const words = ago(Date.parse(time.dateTime));
    if (time.textContent !== words) time.textContent = words;
  }
}, 20_000);

showTheme();
countSelected();

// Islands: only pages that have some fetch the wasm. Last, so that nothing above waits for it.
async function hydrate(islands) {
  const frontend = await import(`./frontend.js${version}`);
  await frontend.default({ module_or_path: new URL(`./frontend_bg.wasm${version}`, import.meta.url) });
  frontend.hydrate();
  for (const island of islands) {
    frontend[island.dataset.component]?.(island);
  }
  root.classList.add("live");
}
const islands = document.querySelectorAll("leptos-island");
if (islands.length > 0) {
  hydrate(islands).catch((error) => {
    console.warn(error);
    for (const note of document.querySelectorAll("[data-live=status]")) {
      note.textContent = "Not live: a part of this page could not be loaded. Reload the page.";
    }
  });
}

// What runs on every page without wasm: loads the islands where there are any, and does the small things: theme, copying,
// suggested values, fresh times, menus, full screen. A page works without all of it.

const root = document.documentElement;
const version = new URL(import.meta.url).search;

// Islands: the wasm is fetched only by pages that have some.
const islands = document.querySelectorAll("leptos-island");
if (islands.length > 0) {
  const frontend = await import(`./frontend.js${version}`);
  await frontend.default({ module_or_path: new URL(`./frontend_bg.wasm${version}`, import.meta.url) });
  frontend.hydrate();
  for (const island of islands) {
    frontend[island.dataset.component]?.(island);
  }
  root.classList.add("live");
}

// Theme: automatic, light, dark, in turn. The line in the document's head applies it before the page is painted.
const themes = ["automatic", "light", "dark"];
function showTheme() {
  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    button.setAttribute("aria-label", `Theme: ${root.dataset.theme ?? themes[0]}`);
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

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
  } catch {
    getSelection()?.selectAllChildren(button.parentElement);
  }
}

function fill(button) {
  const field = button.form?.elements.namedItem(button.dataset.set);
  if (field) {
    field.value = button.dataset.value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new Event("change", { bubbles: true }));
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-theme-switch], [data-copy], [data-set], [data-fullscreen]");
  if (button?.matches("[data-theme-switch]")) nextTheme();
  if (button?.matches("[data-copy]")) copy(button);
  if (button?.matches("[data-set]")) fill(button);
  if (button?.matches("[data-fullscreen]")) document.querySelector(button.dataset.fullscreen)?.requestFullscreen();
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// The words of `parts/time.rs`; the exact time stands behind them.
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

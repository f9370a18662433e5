// The queue of the review page: clicks and keys choose an exchange; the buttons beside it do the rest.
const items = () => [...element.querySelectorAll("[data-exchange]")];
const selected = () => element.querySelector('[aria-selected="true"]');
// The one chosen and not shown yet. While an earlier choice is under way the page asks for it next: review.py reads
// it from the element.
let wanted = null;
const choose = (item) => {
  if (!item) return;
  element.dataset.wanted = item.dataset.exchange;
  wanted = item === selected() ? null : item.dataset.exchange;
  trigger("select", {});
};
const move = (step) => {
  const all = items();
  const from = wanted || selected()?.dataset.exchange;
  const now = all.findIndex((item) => item.dataset.exchange === from);
  choose(all[Math.max(0, Math.min(all.length - 1, now + step))]);
};
// Ticks outlive the list they were made in; those of exchanges that left it, or have other words now, go.
const ticks = () => [...element.querySelectorAll("[data-tick]")];
const meant = (box) => `${box.value} ${box.dataset.words}`;
let ticked = new Set();
const remember = () => (ticked = new Set(ticks().filter((box) => box.checked).map(meant)));
let last = 0;
const tick = (box, through) => {
  const all = ticks();
  const at = all.indexOf(box);
  if (through) all.slice(Math.min(at, last), Math.max(at, last) + 1).forEach((one) => (one.checked = box.checked));
  last = at;
  remember();
};
element.addEventListener("click", (event) => {
  const box = event.target.closest("[data-tick]");
  if (box) tick(box, event.shiftKey);
  else choose(event.target.closest("[data-exchange]"));
});
watch("value", () => {
  ticks().forEach((box) => (box.checked = ticked.has(meant(box))));
  remember();
  const chosen = selected();
  if (chosen?.dataset.exchange === wanted || !items().some((item) => item.dataset.exchange === wanted)) wanted = null;
  const list = element.querySelector("ul");
  if (chosen && list) {
    const above = chosen.offsetTop - list.offsetTop;
    if (above < list.scrollTop || above + chosen.offsetHeight > list.scrollTop + list.clientHeight) {
      list.scrollTop = above - list.clientHeight / 3;
    }
  }
});
// Nothing is judged by a key while another exchange is still shown than the one chosen.
const press = (id) => wanted || document.getElementById(id)?.click();
const keys = {
  KeyJ: () => move(1),
  KeyK: () => move(-1),
  KeyA: () => press("approve"),
  KeyR: () => press("reject"),
  KeyS: () => press("skip"),
  KeyX: () => selected()?.querySelector("[data-tick]")?.click(),
  KeyE: () => document.querySelector("#editor textarea")?.focus(),
};
const onKey = (event) => {
  if (!element.isConnected) return document.removeEventListener("keydown", onKey);
  if (!element.checkVisibility()) return; // another tab is open
  const typing = event.target.closest?.("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable=true]");
  if (typing && event.key === "Escape") return typing.blur();
  if (typing || event.isComposing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  // By place, not by letter: under a Hangul layout the same keys write other letters.
  const act = keys[event.code];
  if (act) {
    event.preventDefault();
    act();
  }
};
document.addEventListener("keydown", onKey);

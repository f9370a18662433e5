// The queue of the review page: clicks and keys choose an exchange; the buttons beside it do the rest.
const items = () => [...element.querySelectorAll("[data-exchange]")];
const selected = () => element.querySelector('[aria-selected="true"]');
// The one chosen and not shown yet. While an earlier choice is under way the page asks for it next: review.py reads
// it from the element.
let wanted = null;
// The reason in the box is about one exchange. Choosing another keeps it for when that one is chosen again; what is
// typed from then on is about the new one, whenever the server's answer may come.
const box = () => document.querySelector("#review-reason :is(textarea, input)");
const typed = () => box()?.value ?? "";
const write = (text) => {
  if (text === typed()) return;
  box().value = text;
  box().dispatchEvent(new Event("input", { bubbles: true }));
};
const reasons = new Map();
let about = null;
let given = null; // what a verdict was sent with, until its answer comes
const turn = (identity) => {
  if (identity === about) return;
  if (about) reasons.set(about, typed());
  about = identity;
  given = null;
  write(reasons.get(identity) ?? "");
};
// A verdict takes its reason with it; what was typed since is about what comes next.
const arrive = (identity) => {
  if (given?.about !== about || identity === about) return turn(identity);
  const kept = typed() === given.reason ? (reasons.get(identity) ?? "") : typed();
  reasons.delete(about);
  about = identity;
  given = null;
  write(kept);
};
const editor = () => document.querySelector("#editor textarea");
let focused = false; // whether the keyboard was in the queue, which each answer makes anew
document.addEventListener("focusin", (event) => (focused = element.contains(event.target)));
document.addEventListener("click", (event) => {
  if (event.target.closest?.("#approve, #reject, #skip, #reopen")) {
    given = { about, reason: typed() };
    focused = true;
  } else if (event.target.closest?.("#review-filters")) given = null; // another list is no verdict's answer
}, true);
const choose = (item) => {
  if (!item) return;
  turn(item.dataset.exchange);
  element.dataset.wanted = item.dataset.exchange;
  wanted = item === selected() ? null : item.dataset.exchange;
  if (editor()) editor().readOnly = wanted !== null; // its words are still those of the one before
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
  if (!wanted) {
    arrive(chosen?.dataset.exchange ?? null);
    if (editor()) editor().readOnly = false;
    const lost = document.activeElement === document.body || element.contains(document.activeElement);
    if (focused && lost) chosen?.focus({ preventScroll: true });
  }
  const list = element.querySelector('[role="grid"]');
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
  KeyE: () => wanted || editor()?.focus(),
};
const leave = (typing) => {
  typing.blur();
  if (typing.closest("#review-desk")) selected()?.focus({ preventScroll: true });
};
const onKey = (event) => {
  if (!element.isConnected) return document.removeEventListener("keydown", onKey);
  if (!element.checkVisibility()) return; // another tab is open
  const typing = event.target.closest?.("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable=true]");
  if (typing && event.key === "Escape") return leave(typing);
  if (typing || event.isComposing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  // By place, not by letter: under a Hangul layout the same keys write other letters.
  const inQueue = element.contains(event.target) && { ArrowDown: keys.KeyJ, ArrowUp: keys.KeyK };
  const act = keys[event.code] || inQueue[event.code];
  if (act) {
    event.preventDefault();
    focused = true;
    act();
  }
};
document.addEventListener("keydown", onKey);

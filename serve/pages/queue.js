// The queue of the review page: clicks and keys choose an exchange; the buttons beside it do the rest.
const items = () => [...element.querySelectorAll("[data-exchange]")];
const choose = (item) => item && trigger("select", { exchange: item.dataset.exchange });
const move = (step) => {
  const all = items();
  const now = all.findIndex((item) => item.getAttribute("aria-selected") === "true");
  choose(all[Math.max(0, Math.min(all.length - 1, now + step))]);
};
element.addEventListener("click", (event) => choose(event.target.closest("[data-exchange]")));
watch("value", () => {
  const chosen = element.querySelector('[aria-selected="true"]');
  const list = element.querySelector("ul");
  if (chosen && list) {
    const above = chosen.offsetTop - list.offsetTop;
    if (above < list.scrollTop || above + chosen.offsetHeight > list.scrollTop + list.clientHeight) {
      list.scrollTop = above - list.clientHeight / 3;
    }
  }
});
const press = (id) => document.getElementById(id)?.click();
const keys = {
  KeyJ: () => move(1),
  KeyK: () => move(-1),
  KeyA: () => press("approve"),
  KeyR: () => press("reject"),
  KeyS: () => press("skip"),
  KeyE: () => document.querySelector("#editor textarea")?.focus(),
};
const onKey = (event) => {
  if (!element.isConnected) return document.removeEventListener("keydown", onKey);
  const typing = event.target.closest?.("input:not([type=radio]), textarea, select, [contenteditable=true]");
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

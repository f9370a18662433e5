// Where the keyboard is: into a panel when it opens, back to where it was when that closes, and never nowhere.
(() => {
  let back = null;
  const message = () => document.querySelector("#message textarea");
  window.honeInto = (selector) => {
    const panel = document.querySelector(selector);
    if (!panel || !panel.checkVisibility()) return;
    if (!panel.contains(document.activeElement)) back = document.activeElement;
    panel.querySelector("input, textarea, button")?.focus();
  };
  window.honeBack = () => {
    const there = back && back.isConnected && back !== document.body && back.checkVisibility();
    (there ? back : message())?.focus();
    back = null;
  };
  // A button that was pressed is gone. Where a finger pressed it, the box would call a keyboard over half the screen.
  window.honeLost = () => {
    if (document.activeElement === document.body && matchMedia("(pointer: fine)").matches) message()?.focus();
  };
  // Two answers wait for a choice: keys are for the panel, unless a message is being written.
  const choose = { Digit1: "first", Digit2: "second", Digit3: "tie", Digit4: "neither", Escape: "skipped" };
  window.honeChoose = (tries = 20) => {
    const panel = document.getElementById("compare-panel");
    if (!panel || !document.getElementById("compare-choices")?.checkVisibility()) {
      if (tries) setTimeout(() => window.honeChoose(tries - 1), 50); // what was told is not drawn yet
      return;
    }
    panel.tabIndex = -1;
    panel.setAttribute("role", "group");
    panel.setAttribute("aria-label", document.getElementById("compare-head").textContent.trim());
    if (!message()?.value) panel.focus({ preventScroll: true });
  };
  window.honeChosen = () => {
    if (matchMedia("(pointer: fine)").matches) message()?.focus();
  };
  document.addEventListener("keydown", (event) => {
    const plain = !event.isComposing && !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey;
    if (plain && choose[event.code] && event.target.closest?.("#compare-panel")) {
      document.getElementById(`choose-${choose[event.code]}`)?.click();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing || !event.target.closest) return;
    if (event.target.closest("#rate-panel")) document.getElementById("rate-close")?.click();
    if (event.target.closest("#erase-panel")) document.getElementById("erase-keep")?.click();
  });
})();

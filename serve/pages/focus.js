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
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing || !event.target.closest) return;
    if (event.target.closest("#rate-panel")) document.getElementById("rate-close")?.click();
    if (event.target.closest("#erase-panel")) document.getElementById("erase-keep")?.click();
  });
})();

// A question before what everybody would notice, with its reason. It holds the keyboard until it is answered: Enter
// goes on, Escape leaves all as it is, and the keyboard is then where it was. A rejection is what stops the event.
(() => {
  const add = (parent, tag, id, text) => {
    const made = parent.appendChild(document.createElement(tag));
    if (id) made.id = id;
    if (text) made.textContent = text;
    return made;
  };
  window.honeAsk = (words, reason) =>
    new Promise((resolve, reject) => {
      const before = document.activeElement;
      const dialog = add(document.querySelector(".gradio-container") || document.body, "dialog", "ask");
      const form = add(dialog, "form");
      form.method = "dialog";
      add(form, "p", "ask-question", words.question);
      dialog.setAttribute("aria-labelledby", "ask-question");
      let given = null;
      if (reason !== null) {
        given = add(add(form, "label", "", words.reason), "input", "ask-reason");
        given.value = reason;
      }
      const yes = add(form, "button", "ask-yes", words.yes);
      const no = add(form, "button", "ask-no", words.no);
      no.type = "button";
      no.addEventListener("click", () => dialog.close());
      yes.value = "yes";
      dialog.addEventListener("close", () => {
        const sure = dialog.returnValue === "yes";
        dialog.remove();
        before?.focus();
        if (sure) resolve(given ? given.value : null);
        else reject(new Error("not confirmed"));
      });
      dialog.showModal();
      (given || yes).focus();
    });
})();

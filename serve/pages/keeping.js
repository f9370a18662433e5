// What is being written and where one is, over a reload that the page needs: the message box keeps its own (chat.py).
// Kept in the tab under the writer's name, and given back once.
(() => {
  const ONE_LINE = "bulk-reason gold-note";
  const MORE = "gold-instruction gold-response gold-comment gold-correction";
  const boxes = `${ONE_LINE} ${MORE}`.split(" "); // about nothing in particular: there again at once
  const box = (id) => document.querySelector(`#${id} :is(textarea, input)`);
  const value = (id) => box(id)?.value ?? "";
  const write = (id, text) => {
    if (text === undefined || !box(id) || value(id) === text) return;
    box(id).value = text;
    box(id).dispatchEvent(new Event("input", { bubbles: true }));
  };
  const all = (ids) => Object.fromEntries(ids.map((id) => [id, value(id)]).filter(([, text]) => text));
  const place = () => `kept ${location.pathname} ${document.querySelector('#header a[href="/account"]')?.textContent}`;
  const shown = (id) => document.getElementById(id)?.checkVisibility();
  const field = (name) => `assistant-${name.replaceAll("_", "-")}`;
  const read = () => Object.entries(JSON.parse(value("assistant-read") || "{}"));
  const form = (whose) => `${place()} ${whose}`;
  const ticked = (id) => document.querySelector(`#${id} :checked`)?.value ?? "";
  const when = async (done, tries = 200) => {
    while (tries-- && !done()) await new Promise((go) => setTimeout(go, 50));
    return done();
  };

  // `send` is the browser's own fetch: early.js's asks for this.
  window.honeKeep = async (send) => {
    const kept = { boxes: all(boxes) };
    if (value("editing")) Object.assign(kept, { editing: value("editing"), message: value("message") });
    if (shown("rate-panel")) {
      const reasons = [...document.querySelectorAll("#rate-reasons :checked")].map((one) => one.value);
      kept.rated = { exchange: value("rate-exchange"), reasons, ...all(["rate-comment", "rate-correction"]) };
    }
    const judged = value("review-exchange");
    if (judged) {
      kept.judged = { exchange: judged, state: ticked("review-state"), words: value("editor"), ...all(["review-reason"]) };
      if (kept.judged.words !== value("review-proposed")) {
        // On the server too, for when it is not in the list any more. Gone or not, the page goes on.
        const body = JSON.stringify({ response: kept.judged.words });
        const headers = { "content-type": "application/json" };
        await send(`/v1/reviews/${judged}/draft`, { method: "PUT", headers, body }).catch(() => null);
      }
    }
    if (value("operate-reason")) kept.operated = { assistant: value("operate-assistant"), ...all(["operate-reason"]) };
    const changed = read().filter(([name, was]) => value(field(name)).trim() !== was);
    if (changed.length) {
      const texts = changed.map(([name]) => [field(name), value(field(name))]);
      sessionStorage.setItem(form(value("assistant-whose")), JSON.stringify(Object.fromEntries(texts)));
    }
    if (Object.keys(kept.boxes).length || Object.keys(kept).length > 1) {
      sessionStorage.setItem(place(), JSON.stringify(kept));
    }
  };

  const rated = async (kept) => {
    document.getElementById("rate-more").click(); // chat.py asks for the one that honeRated names
    if (!(await when(() => value("rate-exchange") === kept.exchange && shown("rate-panel")))) return;
    for (const one of document.querySelectorAll("#rate-reasons input")) {
      if (one.checked !== kept.reasons.includes(one.value)) one.click();
    }
    for (const id of ["rate-comment", "rate-correction"]) write(id, kept[id]);
  };
  const edited = async (kept) => {
    document.getElementById("edit-last").click();
    await when(() => value("editing") === kept.editing);
    if (value("editing") === kept.editing || !value("message")) write("message", kept.message);
  };
  const judged = async (kept) => {
    if (kept.state && kept.state !== ticked("review-state")) {
      document.querySelector(`#review-state input[value="${CSS.escape(kept.state)}"]`)?.click();
    }
    const item = () => document.querySelector(`#queue [data-exchange="${CSS.escape(kept.exchange)}"]`);
    if (!(await when(item))) return;
    item().click();
    if (!(await when(() => value("review-exchange") === kept.exchange))) return;
    write("editor", kept.words);
    if (!value("review-reason")) write("review-reason", kept["review-reason"]);
  };
  // An assistant's fields are given back once they show what they were, whenever that one is chosen.
  window.honeFill = async (whose) => {
    const kept = JSON.parse(sessionStorage.getItem(form(whose)) || "null");
    if (!kept) return;
    const there = () => value("assistant-whose") === whose && read().every(([name, was]) => value(field(name)).trim() === was);
    if (!(await when(there))) return;
    Object.entries(kept).forEach(([id, text]) => write(id, text));
    sessionStorage.removeItem(form(whose));
  };
  let asked = "";
  window.honeRated = () => asked;
  window.honeReturn = async () => {
    const written = Object.keys(sessionStorage).some((key) => key.startsWith(form("")));
    if (written) document.querySelector("#assistants > button")?.click();
    const kept = JSON.parse(sessionStorage.getItem(place()) || "null");
    if (!kept) return;
    Object.entries(kept.boxes).forEach(([id, text]) => value(id) || write(id, text));
    if (kept.operated?.assistant === value("operate-assistant")) write("operate-reason", kept.operated["operate-reason"]);
    if (kept.judged) await judged(kept.judged);
    if (kept.editing) await edited(kept);
    if (kept.rated) {
      asked = kept.rated.exchange;
      await rated(kept.rated);
      asked = "";
    }
    sessionStorage.removeItem(place());
  };
})();

// Hone was not to be reached: one calm line says so, what was typed stays, and the page goes on by itself once the web
// process answers again (decision 022). Nothing here runs while all is well: it is woken by a request that failed.
(() => {
  const fetched = window.fetch;
  const HELD = ["load", "tick", "change", "blur", "then", "success", "failure"]; // what nobody pressed
  const QUICK = 1000, SLOW = 10000; // milliseconds between two questions, at first and at last
  const LONG = 30000;
  let state = "here"; // "away"; "back": it answers, and the page is brought up to date; "starting": only its engine is not there
  let tries = 0;
  let turn = 0; // the newest question, which alone counts
  let ready = true;
  let resuming = null; // the event that brings the page up to date
  const over = new Set(); // events that ended meanwhile
  const waiting = []; // events that nobody pressed, to be sent once Hone is back
  let note = ""; // what is to be said of something pressed

  let line = null;
  document.addEventListener("DOMContentLoaded", () => {
    line = document.body.appendChild(document.createElement("div"));
    line.id = "away";
    line.setAttribute("role", "status");
  });
  const say = (name) => {
    const words = WORDS;
    const told = [name, note].filter(Boolean).map((key) => words[key]).join(" ");
    if (line && line.textContent !== told) line.textContent = told;
  };
  // What is said of a press stays for a while, or until the next one has arrived.
  const read = () => {
    if (state !== "here") return;
    note = "";
    say("");
  };

  const lost = () => {
    resuming = null;
    over.clear();
    if (state === "away") return;
    state = "away";
    // A page that is being left loses its stream too, and is gone before it would say so.
    setTimeout(() => state === "away" && say("gone"), 300);
    later();
  };
  const later = () => {
    const pause = Math.min(SLOW, QUICK * 2 ** tries++) * (0.5 + Math.random());
    const mine = ++turn;
    setTimeout(() => {
      if (!document.hidden) return look(mine);
      const shown = () => document.hidden || (document.removeEventListener("visibilitychange", shown), look(mine));
      document.addEventListener("visibilitychange", shown);
    }, pause);
  };
  // Hone's own answer names the engine's state; a proxy that stands before it has another.
  const look = async (mine) => {
    if (mine !== turn) return;
    let told = null;
    try {
      const answer = await fetched("/readyz", { cache: "no-store" });
      ready = answer.ok;
      told = (await answer.json()).status;
    } catch {}
    if (mine !== turn) return; // asked anew meanwhile
    if (typeof told !== "string") {
      if (state === "starting") lost();
      else later();
    } else if (state === "starting") ended();
    else {
      state = "back";
      for (const go of waiting.splice(0)) go();
      const button = document.getElementById("catch-up");
      if (button) button.click();
      else ended();
    }
  };
  const ended = () => {
    state = ready || !document.getElementById("message") ? "here" : "starting";
    if (state === "here") tries = 0;
    say(state === "here" ? "" : "starting");
    resuming = null;
    over.clear();
    if (state === "starting") later();
    else if (note) setTimeout(read, LONG);
  };

  const kindOf = (sent) => {
    const known = window.gradio_config;
    const id = sent && JSON.parse(sent).fn_index;
    const asked = known?.dependencies.find((one) => one.id === id)?.targets ?? [];
    const button = known?.components.find((one) => one.props.elem_id === "catch-up")?.id;
    if (asked.some(([target]) => target === button)) return "resume";
    if (asked.some(([, event]) => ["submit", "retry"].includes(event))) return "answer";
    return asked.every(([, event]) => HELD.includes(event)) ? "held" : "press";
  };
  // An answer can break off after its first line; Gradio's client would take that for a lost connection.
  const whole = async (answer) => new Response(await answer.text(), answer);
  const gone = async (answer) => {
    if (![502, 503, 504].includes(answer.status)) return false;
    const told = await answer.clone().json().catch(() => null);
    return !told?.detail; // Gradio's own refusal, of a queue that is full, has it
  };
  // Taken and not done: Gradio's client takes an empty list of what is wrong for an event that ended, and says nothing.
  const refused = () => Response.json({ detail: [] }, { status: 422 });
  const join = async (resource, options) => {
    for (;;) {
      if (state !== "away") {
        try {
          const answer = await whole(await fetched(resource, options));
          if (!(await gone(answer))) {
            if (state === "back" && kindOf(options.body) === "resume") {
              resuming = answer.ok && (await answer.clone().json()).event_id;
              if (!resuming || over.has(resuming)) ended();
            } else if (note && kindOf(options.body) !== "held") read();
            return answer;
          }
        } catch (fault) {
          if (options?.signal?.aborted) throw fault;
        }
        lost();
      }
      const kind = kindOf(options.body);
      if (kind === "resume") return refused();
      if (kind !== "held") {
        note = "missed";
        say("gone");
        return refused();
      }
      await new Promise((go) => waiting.push(go));
    }
  };
  window.honeAway = {
    heard: (id) => {
      if (state === "back") over.add(id);
      if (id === resuming) ended();
    },
    // `sent`: the events that were taken, and whose end will not be heard.
    lost: (sent) => {
      if (sent.some((body) => kindOf(body) === "press")) note ||= "cut";
      lost();
    },
  };
  window.fetch = (resource, options) => {
    const url = String((resource && resource.url) || resource);
    return url.includes("/queue/join") ? join(resource, options) : fetched(resource, options);
  };
})();

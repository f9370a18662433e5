// The account's page and the people's: built from what the API tells. Texts are set as text, never as markup.
const say = (key, name) => HONE.words[key].replace("{name}", name ?? "");
const add = (parent, tag, text, attributes = {}) => {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent.append(made);
  return made;
};
const main = document.querySelector("main");

const call = async (method, path, body) => {
  const json = body ? { headers: { "content-type": "application/json" }, body: JSON.stringify(body) } : {};
  const answer = await fetch(path, { method, ...json });
  if (answer.status === 401) location.href = "/login?next=" + encodeURIComponent(location.pathname);
  const told = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) throw new Error(told.error.message);
  return told;
};
const tell = (text, alert) => {
  note.setAttribute("role", alert ? "alert" : "status");
  note.textContent = text;
};
// Do something, say what went wrong, and show what is true now.
const act = (work) => async (event) => {
  event?.preventDefault?.();
  try {
    tell("");
    await work(event);
    await show();
  } catch (fault) {
    tell(fault.message, true);
  }
};
const button = (parent, key, work) => {
  add(parent, "button", say(key), { type: "button", "data-do": key }).addEventListener("click", act(work));
};
const field = (form, key, attributes) => {
  const label = add(form, "label", say(key));
  return add(label, "input", "", { name: key, ...attributes });
};
const choice = (parent, label, options, chosen) => {
  const select = add(parent, "select", "", { "aria-label": label });
  for (const option of options) add(select, "option", option, { value: option });
  select.value = chosen;
  return select;
};
const table = (parent, keys, rows, fill) => {
  if (!rows.length) return add(parent, "p", say("none"));
  const made = add(add(parent, "div", "", { class: "scroll" }), "table");
  const head = add(add(made, "thead"), "tr");
  for (const key of keys) add(head, "th", key && say(key), { scope: "col" });
  const body = add(made, "tbody");
  for (const row of rows) fill(add(body, "tr"), row);
};
const day = (time) => (time ? new Date(time).toLocaleDateString(document.documentElement.lang) : say("never"));

const people = async (box) => {
  const users = (await call("GET", "/v1/users")).data;
  table(box, ["name", "role", "state", ""], users, (row, user) => {
    const path = "/v1/users/" + encodeURIComponent(user.name);
    add(row, "td", user.name);
    const role = choice(add(row, "td"), `${say("role")}: ${user.name}`, HONE.roles, user.role);
    role.addEventListener("change", act(() => call("PATCH", path, { role: role.value })));
    add(row, "td", say(user.suspended ? "suspended" : "active"));
    const verbs = add(row, "td");
    if (user.suspended) button(verbs, "restore", () => call("PATCH", path, { suspended: false }));
    else {
      button(verbs, "suspend", async () => {
        if (confirm(say("sure_suspend", user.name))) await call("PATCH", path, { suspended: true });
      });
      button(verbs, "reset", async () => offer("link", (await call("POST", path + "/reset")).link));
      button(verbs, "sign_out_all", async () => {
        if (confirm(say("sure_out", user.name))) await call("DELETE", path + "/sessions");
      });
    }
  });
  add(box, "h2", say("invitations"));
  const links = (await call("GET", "/v1/invitations")).data;
  table(box, ["name", "role", "until", ""], links, (row, link) => {
    add(row, "td", link.account || say("new_account"));
    add(row, "td", link.role || say("reset"));
    add(row, "td", day(link.expires_at));
    button(add(row, "td"), "withdraw", () => call("DELETE", "/v1/invitations/" + link.id));
  });
  const form = add(box, "form", "", { id: "invite" });
  const name = field(form, "invite_name", { maxlength: "32" });
  const role = choice(add(form, "label", say("role")), say("role"), HONE.roles, "user");
  add(form, "button", say("invite"));
  form.addEventListener("submit", act(async () => {
    const body = { role: role.value, ...(name.value ? { name: name.value } : {}) };
    offer("link", (await call("POST", "/v1/invitations", body)).link);
  }));
};

const password = (box) => {
  add(box, "h2", say("password"));
  const form = add(box, "form", "", { id: "password" });
  const old = field(form, "old", { type: "password", autocomplete: "current-password", required: "" });
  const fresh = field(form, "new", { type: "password", autocomplete: "new-password", minlength: "10", required: "" });
  add(form, "button", say("change"));
  form.addEventListener("submit", act(async () => {
    await call("POST", "/v1/me/password", { old: old.value, new: fresh.value });
    tell(say("changed"));
  }));
};

const account = async (box) => {
  const me = await call("GET", "/v1/me");
  add(box, "p", `${say("who")} ${me.name} (${me.role})`);
  if (me.role === "admin") add(box, "a", say("people"), { href: "/people" });
  if (HONE.password) password(box);
  button(box, "sign_out_all", () => call("DELETE", "/v1/me/sessions"));
  add(box, "h2", say("keys"));
  const keys = (await call("GET", "/v1/keys")).data;
  table(box, ["label", "role", "scopes", "until", ""], keys, (row, key) => {
    for (const text of [key.label, key.role, key.scopes.join(", "), day(key.expires_at)]) add(row, "td", text);
    button(add(row, "td"), "revoke", async () => {
      if (confirm(say("sure_revoke"))) await call("DELETE", "/v1/keys/" + key.id);
    });
  });
  const making = add(box, "form", "", { id: "key" });
  const label = field(making, "label", { maxlength: "80", required: "" });
  const role = choice(add(making, "label", say("role")), say("role"), HONE.roles.slice(0, HONE.roles.indexOf(me.role) + 1), "user");
  const scopes = add(making, "fieldset");
  add(scopes, "legend", say("scopes"));
  for (const scope of HONE.scopes) {
    const one = add(scopes, "label");
    add(one, "input", "", { type: "checkbox", name: "scope", value: scope });
    one.append(scope);
  }
  const days = field(making, "days", { type: "number", min: "1", max: "3650" });
  days.value = 90;
  add(making, "button", say("make"));
  making.addEventListener("submit", act(async () => {
    const chosen = [...scopes.querySelectorAll("input:checked")].map((box) => box.value);
    const body = { label: label.value, role: role.value, scopes: chosen, days: days.value ? Number(days.value) : null };
    offer("secret", (await call("POST", "/v1/keys", body)).secret);
  }));
};

// Shown once, above what is rebuilt.
const offer = (key, secret) => {
  told.replaceChildren();
  add(told, "p", say(key));
  add(told, "output", secret);
  told.scrollIntoView({ block: "nearest" });
};
document.title = "Hone · " + say(HONE.page);
add(main, "h1", say(HONE.page));
add(main, "a", say("chat"), { href: "/chat/" });
const note = add(main, "p", "", { role: "status" });
const told = add(main, "div", "", { id: "told" });
const box = add(main, "div");
const show = async () => {
  const fresh = document.createElement("div");
  await (HONE.page === "people" ? people : account)(fresh);
  box.replaceChildren(fresh);
};
act(async () => {})();

// Forms work without this. With it, the buttons that change a form's rows and
// names change only the part that they are in, a search answers while one types,
// and a field is checked when it is left.
"use strict";
(() => {
  const form = document.querySelector("form.object");
  if (!form || !window.htmx) return;

  const held = (at) => (/^(checkbox|radio)$/.test(at.type) ? "checked" : "value");
  const values = (part) => new Map([...part.querySelectorAll("input, select, textarea")].filter((at) => at.id).map((at) => [at.id, at[held(at)]]));

  // send posts the form as it stands, and takes one element of the answer. htmx
  // lets one request of a source wait for another, so each asks for itself. What
  // is typed into the element while the answer is on its way is newer than that.
  const send = (source, todo, id) => {
    const part = document.getElementById(id);
    const sent = values(part);
    let late = [];
    part.addEventListener("htmx:beforeSwap", () => {
      if (!/^(remove|raise)/.test(todo)) late = [...values(part)].filter(([at, value]) => value !== sent.get(at)); // rows keep their ids
    }, { once: true });
    return htmx.ajax("POST", form.getAttribute("action"), {
      source, target: "#" + CSS.escape(id), select: "#" + CSS.escape(id), swap: "outerHTML", values: { "~do": todo },
    }).then(() => late.forEach(([at, value]) => {
      const now = document.getElementById(at);
      if (now) now[held(now)] = value;
    }));
  };

  form.addEventListener("click", (event) => {
    const button = event.target.closest('button[name="~do"]');
    const part = button && button.closest(".part");
    if (!part || !/^(add|remove|raise|find)/.test(button.value)) return;
    event.preventDefault();
    document.activeElement?.blur(); // what comes says where the focus goes
    const fresh = () => document.getElementById(part.id);
    send(button, button.value, part.id).then(() => {
      if (part.open) fresh().open = true;
      if (document.activeElement && document.activeElement !== document.body) return; // somebody types already
      const next = fresh().querySelector("[data-focus]");
      if (next) next.focus();
      else focusNear(fresh(), button.value);
    });
  });

  // focusNear goes to the list that a row or name was taken out of.
  const focusNear = (part, todo) => {
    const path = todo.split(":")[1].replace(/\[\d+\]$/, "");
    const list = document.getElementById("f-" + path.replace(/[^A-Za-z0-9]/g, "-").replace(/^-+|-+$/g, ""));
    const at = list && (list.querySelector(":scope > p > button, input[type=search]") || list);
    if (at) at.focus();
  };

  // A part that cannot be had (somebody was signed out) is asked for as a page.
  document.body.addEventListener("htmx:afterRequest", (event) => {
    const source = event.detail.elt;
    if (event.detail.xhr.status === 204 && source.matches("button")) form.requestSubmit(source);
  });

  let waiting;
  form.addEventListener("input", (event) => {
    const at = event.target;
    if (!at.dataset.find) return;
    clearTimeout(waiting);
    waiting = setTimeout(() => send(at, "find:" + at.dataset.find, at.dataset.results), 200);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.dataset.find) return;
    event.preventDefault();
    if (event.target.value.trim()) event.target.closest(".find").querySelector("[data-add]").click();
  });

  const checks = new Map();
  form.addEventListener("change", (event) => {
    const at = event.target;
    const faults = at.id && document.getElementById(at.id + "-faults");
    if (!faults || at.dataset.find) return;
    // Not at once: nothing may move under a pointer that is pressing a button.
    clearTimeout(checks.get(at));
    checks.set(at, setTimeout(() => send(at, "check:" + at.name, faults.id).then(() => {
      const now = document.getElementById(faults.id);
      if (now && now.children.length) at.setAttribute("aria-invalid", "true");
      else at.removeAttribute("aria-invalid");
    }), 300));
  });
  form.addEventListener("submit", () => checks.forEach(clearTimeout));
})();

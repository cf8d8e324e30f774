// Moving, zooming, finding and pointing in the picture of the mesh. The picture is
// there without it; this file only adds to what the server drew.
(() => {
  "use strict";
  const box = document.getElementById("picture");
  const svg = box && box.querySelector("svg");
  if (!svg) return;
  const width = +svg.getAttribute("width"), height = +svg.getAttribute("height");
  const nodes = [...svg.querySelectorAll(".nodes > .node")];
  const names = nodes.map((node) => node.querySelector("title").textContent.split("\n")[0].toLowerCase());
  let scale = 1;

  // A veil and a second drawing lie over the first. What is pointed at, or found, is
  // copied up there and the veil drawn: the first, which may be large, stays as it is.
  const sheet = document.createElement("div"), veil = document.createElement("div"), above = svg.cloneNode(false);
  sheet.className = "sheet";
  veil.className = "veil";
  above.classList.add("above");
  above.removeAttribute("role");
  above.removeAttribute("aria-label");
  above.setAttribute("aria-hidden", "true");
  svg.before(sheet);
  sheet.append(svg, veil, above);

  // Zooming: the place at x, y of the box stays where it is.
  const least = () => Math.min(1, box.clientWidth / width, box.clientHeight / height) * 0.9;
  function zoom(to, x = box.clientWidth / 2, y = box.clientHeight / 2) {
    to = Math.min(3, Math.max(Math.min(0.9, least()), to));
    const rect = svg.getBoundingClientRect(), frame = box.getBoundingClientRect();
    const atX = (frame.left + box.clientLeft + x - rect.left) / scale, atY = (frame.top + box.clientTop + y - rect.top) / scale;
    scale = to;
    size();
    const now = svg.getBoundingClientRect();
    box.scrollLeft += now.left + atX * scale - (frame.left + box.clientLeft + x);
    box.scrollTop += now.top + atY * scale - (frame.top + box.clientTop + y);
  }
  // To draw a large picture in another size takes a while, to stretch it nothing: it
  // is stretched, and drawn once no further step comes.
  let drawn = 1, later = 0;
  function size() {
    clearTimeout(later);
    sheet.style.width = Math.round(width * scale) + "px";
    sheet.style.height = Math.round(height * scale) + "px";
    if (nodes.length > 150) {
      later = setTimeout(draw, 160);
      for (const one of [svg, above]) one.style.transform = `scale(${scale / drawn})`;
    } else draw();
  }
  function draw() {
    drawn = scale;
    for (const one of [svg, above]) {
      one.style.transform = "";
      one.setAttribute("width", Math.round(width * scale));
      one.setAttribute("height", Math.round(height * scale));
      one.classList.toggle("small", scale < 0.6);
      one.classList.toggle("tiny", scale < 0.3);
    }
  }
  const fit = () => zoom(Math.min(1.15, (box.clientWidth - 4) / width, (box.clientHeight - 4) / height));
  const actions = { in: () => zoom(scale * 1.3), out: () => zoom(scale / 1.3), one: () => zoom(1), fit };

  // One frame, one step: a wheel turns faster than a large picture is drawn.
  let pending = null;
  function soon(factor, x, y) {
    if (!pending) requestAnimationFrame(() => { const p = pending; pending = null; zoom(scale * p.factor, p.x, p.y); });
    pending = { factor: (pending ? pending.factor : 1) * factor, x, y };
  }
  const inside = (event) => { const frame = box.getBoundingClientRect(); return [event.clientX - frame.left, event.clientY - frame.top]; };
  box.addEventListener("wheel", (event) => {
    if (event.shiftKey) return; // moves sideways
    event.preventDefault();
    const step = event.deltaY * (event.deltaMode === 1 ? 20 : 1) * (event.ctrlKey ? 4 : 1);
    soon(Math.exp(-Math.max(-240, Math.min(240, step)) / 500), ...inside(event));
  }, { passive: false });

  // Dragging with a mouse or a pen moves; fingers move by themselves, and two of them zoom.
  const fingers = new Map();
  let drag = null, spread = 0;
  box.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") {
      fingers.set(event.pointerId, event);
      spread = 0;
    } else if (event.button === 0) {
      drag = { x: event.clientX, y: event.clientY, left: box.scrollLeft, top: box.scrollTop, far: false, id: event.pointerId };
    }
  });
  box.addEventListener("pointermove", (event) => {
    if (fingers.has(event.pointerId)) {
      fingers.set(event.pointerId, event);
      if (fingers.size !== 2) return;
      const [a, b] = [...fingers.values()];
      const now = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
      const [x, y] = inside({ clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 });
      if (spread) soon(now / spread, x, y);
      spread = now;
      return;
    }
    if (!drag || drag.id !== event.pointerId) return;
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    if (!drag.far && Math.hypot(dx, dy) > 4) {
      drag.far = true;
      box.setPointerCapture(drag.id);
      box.classList.add("moving");
      point([]);
    }
    if (drag.far) {
      box.scrollLeft = drag.left - dx;
      box.scrollTop = drag.top - dy;
    }
  });
  let moved = false;
  const drop = (event) => {
    fingers.delete(event.pointerId);
    spread = 0;
    if (drag && drag.id === event.pointerId) {
      moved = drag.far;
      drag = null;
      box.classList.remove("moving");
    }
  };
  box.addEventListener("pointerup", drop);
  box.addEventListener("pointercancel", drop);
  box.addEventListener("dragstart", (event) => event.preventDefault());
  box.addEventListener("click", (event) => { if (moved) { event.preventDefault(); event.stopPropagation(); } moved = false; }, true);

  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = { "+": actions.in, "=": actions.in, "-": actions.out, "0": fit, "1": actions.one, "/": () => find.focus() }[event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  });
  const tools = document.getElementById("tools");
  tools.addEventListener("click", (event) => {
    const button = event.target.closest("[data-zoom]");
    if (button) actions[button.dataset.zoom]();
  });

  // Pointing at a node shows it, its neighbours and the calls between.
  let beside = null; // by node: the paths of its calls
  function calls(node) {
    if (!beside) {
      beside = nodes.map(() => []);
      for (const path of svg.querySelectorAll(".edges path[data-e]")) {
        const [from, to] = path.dataset.e.split(" ").map(Number);
        beside[from].push(path);
        if (to !== from) beside[to].push(path);
      }
    }
    return beside[node];
  }
  const copy = (element) => {
    const one = element.cloneNode(true);
    one.removeAttribute("id");
    one.removeAttribute("href");
    return one;
  };
  function show(paths, which, hits) {
    const fresh = document.createDocumentFragment();
    const groups = new Map();
    for (const path of paths) {
      let group = groups.get(path.parentNode);
      if (!group) {
        group = path.parentNode.cloneNode(false);
        group.setAttribute("fill", "none");
        groups.set(path.parentNode, group);
        fresh.append(group);
      }
      group.append(copy(path));
    }
    for (const i of which) {
      const one = copy(nodes[i]);
      if (hits) one.classList.add("hit");
      fresh.append(one);
    }
    above.replaceChildren(fresh);
    veil.classList.toggle("drawn", which.length > 0);
  }
  let hits = [], hit = -1, pointed = -1;
  function point(at) {
    const node = at.length ? at[0] : -1;
    if (node === pointed) return;
    pointed = node;
    if (node < 0) return show([], hits, true);
    const paths = calls(node);
    show(paths, [...new Set([node, ...paths.flatMap((path) => path.dataset.e.split(" ").map(Number))])], false);
  }
  const nodeAt = (event) => { const one = event.target.closest(".nodes > .node"); return one ? [+one.id.slice(1)] : []; };
  box.addEventListener("pointerover", (event) => { if (event.pointerType !== "touch" && !drag?.far) point(nodeAt(event)); });
  box.addEventListener("pointerleave", () => point([]));
  box.addEventListener("focusin", (event) => point(nodeAt(event)));
  box.addEventListener("focusout", () => point([]));

  // Finding.
  const find = document.getElementById("find"), found = document.getElementById("found");
  function centre(i, closer) {
    if (closer && scale < 0.7) zoom(0.9);
    const at = nodes[i].getBoundingClientRect(), frame = box.getBoundingClientRect();
    box.scrollLeft += at.left + at.width / 2 - frame.left - frame.width / 2;
    box.scrollTop += at.top + at.height / 2 - frame.top - frame.height / 2;
  }
  function look() {
    const text = find.value.trim().toLowerCase();
    hits = text ? names.flatMap((name, i) => (name.includes(text) ? [i] : [])) : [];
    hit = -1;
    pointed = -1;
    show([], hits, true);
    found.textContent = !text ? "" : hits.length === 0 ? "nothing" : hits.length + " found, Enter goes there";
  }
  find.addEventListener("input", look);
  find.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      find.value = "";
      look();
      box.focus();
    } else if (event.key === "Enter" && hits.length) {
      event.preventDefault();
      hit = (hit + (event.shiftKey ? hits.length - 1 : 1)) % hits.length;
      centre(hits[hit], true);
      found.textContent = `${hit + 1} of ${hits.length}`;
    }
  });

  // What is only of use with this file is shown by it.
  tools.hidden = false;
  document.getElementById("hint").hidden = false;
  box.classList.add("live");
  const level = Math.min(1.15, (box.clientWidth - 4) / width); // at which it is as wide as the box
  box.style.height = Math.min(Math.max(420, innerHeight * 0.72), Math.max(280, height * level + 40)) + "px";
  fit();
  draw();
  if (nodes.length <= 60 && scale < 0.8) { // readable rather than whole
    zoom(0.8);
    box.scrollLeft = 0;
  }
  const focus = nodes.findIndex((node) => node.classList.contains("focus"));
  if (focus >= 0) centre(focus, false);
  new ResizeObserver(() => { if (scale < least()) fit(); }).observe(box);
})();

// Zoom and pan of the picture of a graph, by wheel, drag, pinch, keys and buttons.

"use strict";

// Lets the <svg> inside `container` fill it, and be moved. Returns `fit()`, which shows everything,
// and `reveal(elements)`, which moves the picture until they are visible. The viewBox is moved, so
// the picture is sharp at any size. What is revealed has at least the scale `least`, in pixels per
// unit, until the reader chooses one.
function zoomable(container, least = 0) {
  const svg = container.querySelector("svg");
  const { x, y, width, height } = svg.viewBox.baseVal;
  const whole = { left: x, top: y, right: x + width, bottom: y + height };
  const natural = 4 / 3; // Graphviz measures in points
  const margin = 12; // in pixels, around what is fitted or revealed

  let view = { x: 0, y: 0, scale: natural }; // the centre, and pixels per unit
  let fitted = true; // whether everything is shown
  let revealed = []; // the elements that were revealed last
  let chosen = false; // whether the reader has chosen the scale
  let frame = 0;

  // The frame of a notebook may have no size at first.
  const hasSize = () => container.clientWidth > 0 && container.clientHeight > 0;

  // ---------------------------------------------------------------------- showing a view

  function paint(next) {
    view = next;
    const [w, h] = [container.clientWidth / view.scale, container.clientHeight / view.scale];
    svg.setAttribute("viewBox", `${view.x - w / 2} ${view.y - h / 2} ${w} ${h}`);
  }

  function glide(target) {
    cancelAnimationFrame(frame);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return paint(target);
    const [from, start] = [view, performance.now()];
    const step = (now) => {
      const part = Math.min(1, Math.max(0, (now - start) / 250));
      const eased = part * (2 - part);
      const between = (key) => from[key] + (target[key] - from[key]) * eased;
      paint({ x: between("x"), y: between("y"), scale: between("scale") });
      if (part < 1) frame = requestAnimationFrame(step);
    };
    frame = requestAnimationFrame(step);
  }

  function jump(target) {
    cancelAnimationFrame(frame);
    [fitted, chosen] = [false, true];
    paint(target);
  }

  // The largest scale, up to `most`, at which a part of the picture fits.
  function scaleFor(part, most) {
    const across = (container.clientWidth - 2 * margin) / (part.right - part.left || 1);
    const down = (container.clientHeight - 2 * margin) / (part.bottom - part.top || 1);
    return Math.max(0.01, Math.min(across, down, most));
  }

  function viewOf(part, most) {
    const [x, y] = [(part.left + part.right) / 2, (part.top + part.bottom) / 2];
    return { x, y, scale: scaleFor(part, most) };
  }

  const viewOfAll = () => viewOf(whole, 1.5 * natural);

  function fit() {
    [fitted, chosen] = [true, true];
    glide(viewOfAll());
  }

  function reveal(elements) {
    revealed = elements;
    if (!elements.length || !hasSize()) return;
    const target = viewRevealing(elements);
    if (["x", "y", "scale"].every((key) => Math.abs(target[key] - view[key]) < 1e-6)) return;
    fitted = false;
    glide(target);
  }

  // The view that is nearest to this one and shows all of some elements.
  function viewRevealing(elements) {
    const bounds = container.getBoundingClientRect();
    const boxes = Array.from(elements, (element) => element.getBoundingClientRect());
    const middle = { x: bounds.left + bounds.width / 2, y: bounds.top + bounds.height / 2 };
    const part = {
      left: view.x + (Math.min(...boxes.map((box) => box.left)) - middle.x) / view.scale,
      top: view.y + (Math.min(...boxes.map((box) => box.top)) - middle.y) / view.scale,
      right: view.x + (Math.max(...boxes.map((box) => box.right)) - middle.x) / view.scale,
      bottom: view.y + (Math.max(...boxes.map((box) => box.bottom)) - middle.y) / view.scale,
    };
    const scale = scaleFor(part, chosen ? view.scale : Math.max(view.scale, least));
    // The smallest move that brings the part inside.
    const nearest = (centre, low, high, length) => {
      const reach = (length / 2 - margin) / scale;
      return Math.min(low + reach, Math.max(high - reach, centre));
    };
    return {
      x: nearest(view.x, part.left, part.right, container.clientWidth),
      y: nearest(view.y, part.top, part.bottom, container.clientHeight),
      scale,
    };
  }

  // Shows for the size of the container what was shown, once it has one and when it changes.
  function layOut() {
    if (!hasSize()) return;
    cancelAnimationFrame(frame);
    paint(fitted || !chosen ? viewOfAll() : view);
    if (!chosen && revealed.length) paint(viewRevealing(revealed));
  }

  // ---------------------------------------------------------------------- moving it

  // The view scaled by a factor around a point of the window, which stays where it is.
  function zoomAt(factor, clientX, clientY) {
    const bounds = container.getBoundingClientRect();
    const scale = Math.min(40, Math.max(0.02, view.scale * factor));
    const shift = 1 / view.scale - 1 / scale;
    return {
      x: view.x + (clientX - bounds.left - bounds.width / 2) * shift,
      y: view.y + (clientY - bounds.top - bounds.height / 2) * shift,
      scale,
    };
  }

  function zoomAtCentre(factor) {
    const bounds = container.getBoundingClientRect();
    [fitted, chosen] = [false, true];
    glide(zoomAt(factor, bounds.left + bounds.width / 2, bounds.top + bounds.height / 2));
  }

  container.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      // A pinch on a touch pad arrives as a wheel with Ctrl, in small steps.
      const speed = event.ctrlKey ? 0.01 : 0.0015;
      jump(zoomAt(Math.exp(-event.deltaY * lines * speed), event.clientX, event.clientY));
    },
    { passive: false },
  );

  // One pointer drags; with two, their midpoint drags and their distance zooms.
  const pointers = new Map();
  let dragging = false;

  function gesture() {
    const points = [...pointers.values()];
    const mean = (key) => points.reduce((sum, point) => sum + point[key], 0) / points.length;
    const [first, second] = points;
    const spread = second ? Math.hypot(first.x - second.x, first.y - second.y) : 1;
    return { x: mean("x"), y: mean("y"), spread: spread || 1 };
  }

  container.addEventListener("pointerdown", (event) => {
    if (event.button || event.target.closest("button, a, input")) return;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (pointers.size > 1) dragging = true;
  });

  container.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const after = { x: event.clientX, y: event.clientY };
    if (!dragging && Math.hypot(after.x - before.x, after.y - before.y) < 4) return;
    dragging = true;
    // Not before it is a drag: the click of a captured pointer does not reach the node under it.
    container.setPointerCapture(event.pointerId);
    const held = gesture();
    pointers.set(event.pointerId, after);
    const now = gesture();
    const next = zoomAt(now.spread / held.spread, held.x, held.y);
    next.x -= (now.x - held.x) / next.scale;
    next.y -= (now.y - held.y) / next.scale;
    jump(next);
  });

  for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
    container.addEventListener(end, (event) => {
      if (end === "pointerleave" && dragging) return;
      pointers.delete(event.pointerId);
      if (!pointers.size) dragging = false;
    });
  }

  // A click must not move the focus here, where the arrow keys pan; the Tab key does.
  container.addEventListener("mousedown", (event) => {
    if (event.target.closest("button, a, input")) return;
    event.preventDefault();
    document.activeElement?.blur();
  });

  const keys = { "+": 1.25, "=": 1.25, "-": 0.8 };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) return;
    if (event.key === "0") fit();
    else if (event.key in keys) zoomAtCentre(keys[event.key]);
    else return;
    event.preventDefault();
  });

  const arrows = {
    ArrowLeft: [-60, 0], ArrowRight: [60, 0], ArrowUp: [0, -60], ArrowDown: [0, 60],
  };
  container.addEventListener("keydown", (event) => {
    const way = arrows[event.key];
    if (event.target !== container || !way) return;
    event.preventDefault();
    event.stopPropagation();
    jump({ ...view, x: view.x + way[0] / view.scale, y: view.y + way[1] / view.scale });
  });

  // ---------------------------------------------------------------------- the container

  function button(text, label, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.title = label;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  }

  const buttons = document.createElement("div");
  buttons.className = "zoom";
  buttons.append(
    button("+", "Zoom in (key +)", () => zoomAtCentre(1.25)),
    button("−", "Zoom out (key −)", () => zoomAtCentre(0.8)),
    button("⤢", "Show everything (key 0)", fit),
  );
  container.append(buttons);
  container.classList.add("zoomable");
  container.tabIndex = 0;
  // Only the viewBox decides the size.
  svg.removeAttribute("width");
  svg.removeAttribute("height");

  new ResizeObserver(layOut).observe(container);
  addEventListener("beforeprint", () => svg.setAttribute("viewBox", `${x} ${y} ${width} ${height}`));
  addEventListener("afterprint", () => paint(view));
  layOut();

  return { fit, reveal };
}

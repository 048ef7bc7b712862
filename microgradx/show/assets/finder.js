// A field to find nodes by their names or ops, with a list of those found.

"use strict";

const mostFound = 12;

// `nodes` have a name, an op and a place, which `goTo` is called with.
function finder(field, list, nodes, goTo) {
  let found = [];
  let active = 0; // of those found

  function find() {
    const wanted = field.value.trim().toLowerCase();
    const matches = ({ name, op }) => `${name}\n${op}`.toLowerCase().includes(wanted);
    found = wanted ? nodes.filter(matches).slice(0, mostFound) : [];
    active = 0;
    draw();
  }

  function draw() {
    list.hidden = !found.length;
    field.setAttribute("aria-expanded", !list.hidden);
    list.replaceChildren(...found.map(option));
    if (found.length) field.setAttribute("aria-activedescendant", list.children[active].id);
    else field.removeAttribute("aria-activedescendant");
  }

  function option({ name, op, place }, i) {
    const where = [op, `step ${place + 1}`].filter(Boolean).join(", ");
    const made = element("li", "", element("b", "", name), element("small", "", where));
    made.id = `${list.id}-${i}`;
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", i === active);
    return made;
  }

  function choose(i) {
    if (!found[i]) return;
    goTo(found[i].place);
    field.value = "";
    field.blur();
  }

  field.addEventListener("input", find);
  field.addEventListener("focus", find);
  field.addEventListener("blur", () => (list.hidden = true));
  field.addEventListener("keydown", (event) => {
    const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter") choose(active);
    else if (event.key === "Escape") field.blur();
    else if (way && found.length) {
      active = (active + way + found.length) % found.length;
      draw();
    } else return;
    event.preventDefault();
  });
  // Not a click: by then the field has lost the focus, and the list is gone.
  list.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    choose([...list.children].indexOf(event.target.closest("li")));
  });
}

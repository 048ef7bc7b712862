// A field to search for Tensors by name or op, with a list of matches.

"use strict";

const maxMatches = 12;

// `tensors` have a name, an op, and the position of their first step, which is passed to `goTo`.
function addSearch(field, list, tensors, goTo) {
  let matches = [];
  let active = 0; // the position of the selected match

  function search() {
    const wanted = field.value.trim().toLowerCase();
    const isMatch = ({ name, op }) => `${name}\n${op}`.toLowerCase().includes(wanted);
    matches = wanted ? tensors.filter(isMatch).slice(0, maxMatches) : [];
    active = 0;
    draw();
  }

  function draw() {
    list.hidden = !matches.length;
    field.setAttribute("aria-expanded", !list.hidden);
    list.replaceChildren(...matches.map(option));
    if (matches.length) field.setAttribute("aria-activedescendant", list.children[active].id);
    else field.removeAttribute("aria-activedescendant");
  }

  function option({ name, op, position }, i) {
    const where = [op, `step ${position + 1}`].filter(Boolean).join(", ");
    const made = element("li", "", element("b", "", name), element("small", "", where));
    made.id = `${list.id}-${i}`;
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", i === active);
    return made;
  }

  function choose(i) {
    if (!matches[i]) return;
    goTo(matches[i].position);
    field.value = "";
    field.blur();
  }

  field.addEventListener("input", search);
  field.addEventListener("focus", search);
  field.addEventListener("blur", () => (list.hidden = true));
  field.addEventListener("keydown", (event) => {
    const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter") choose(active);
    else if (event.key === "Escape") field.blur();
    else if (way && matches.length) {
      active = (active + way + matches.length) % matches.length;
      draw();
    } else return;
    event.preventDefault();
  });
  // Not on click: by then the field has lost the focus, and the list is hidden.
  list.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    choose([...list.children].indexOf(event.target.closest("li")));
  });
}

// Who knows whom: of the person that is chosen, the acquaintances light up, and what they are to this person is named beside the graph.
// A pointer chooses by resting on somebody, a finger by a tap (the second tap opens the page), the keyboard by the focus. What is named
// comes from attributes and is written as text.
"use strict";
for (const graph of document.querySelectorAll(".graph")) {
  const DWELL_MS = 120;   // so that a pointer on its way chooses nobody
  const svg = graph.querySelector("svg"), ties = graph.querySelector(".ties");
  const hint = ties?.firstElementChild;
  const nodes = new Map([...svg.querySelectorAll("[data-node]")].map((node) => [node.dataset.node, node]));
  const lines = [...svg.querySelectorAll("line")];
  let chosen = null, pressed = null, timer;

  // The acquaintances of a person: by key, what they are to them.
  const known = (key) => new Map(lines.flatMap(({ dataset: { one, other, oneIs, otherIs } }) =>
    one === key ? [[other, otherIs]] : other === key ? [[one, oneIs]] : []));

  function choose(key) {
    clearTimeout(timer);
    if (key === chosen) return;
    chosen = key;
    const others = key ? known(key) : new Map();
    svg.classList.toggle("pointed", Boolean(key));
    for (const line of lines) line.classList.toggle("on", [line.dataset.one, line.dataset.other].includes(key));
    for (const [one, node] of nodes) {
      node.classList.toggle("on", one === key || others.has(one));
      node.classList.toggle("chosen", one === key);
    }
    ties?.replaceChildren(...(key ? named(key, others) : [hint]));
  }

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [attribute, value] of Object.entries(attributes)) if (value != null) made.setAttribute(attribute, value);
    made.append(...children);
    return made;
  }

  function named(key, others) {
    const { relations, dir } = ties.dataset, lang = ties.dataset.lang || null;
    const person = (one, ...more) => {
      const face = nodes.get(one).querySelector("image")?.getAttribute("href");
      return element("a", { href: nodes.get(one).getAttribute("href") },
        element("span", { class: "avatar" }, face ? element("img", { src: face, alt: "" }) : nodes.get(one).querySelector(".letters").textContent),
        element("span", { dir, lang }, element("b", {}, nodes.get(one).dataset.name), ...more));
    };
    const list = [...others].map(([one, isToThem]) => element("li", {}, person(one, element("span", {}, isToThem))));
    const title = element("p", { class: "quiet" }, `${relations}: ${list.length}`);
    return [element("p", { class: "of" }, person(key)), title, element("ul", {}, ...list)];
  }

  svg.addEventListener("pointerdown", (event) => { pressed = { touch: event.pointerType !== "mouse", before: chosen }; });
  for (const [key, node] of nodes) {
    node.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "mouse") timer = setTimeout(choose, DWELL_MS, key);
    });
    node.addEventListener("pointerleave", () => clearTimeout(timer));
    node.addEventListener("focus", () => choose(key));
    node.addEventListener("click", (event) => {
      if (!pressed?.touch || pressed.before === key || !ties) return;
      event.preventDefault();
      choose(key);
    });
  }
  svg.addEventListener("click", (event) => { if (!event.target.closest("[data-node]")) choose(null); });
  graph.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse" && !graph.contains(document.activeElement)) choose(null); });
  graph.addEventListener("focusout", (event) => { if (!graph.contains(event.relatedTarget)) choose(null); });
}

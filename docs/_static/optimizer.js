// Letters and options: pointing at one, focusing or tapping it marks all that it stands for.
"use strict";
(() => {
  const article = document.querySelector("article") || document;
  const key = (element, prefix) =>
    [...element.classList].find((name) => name.startsWith(prefix))?.slice(prefix.length);
  const options = new Map();  // from an option to its entry in the list of parameters
  for (const name of article.querySelectorAll("dl.field-list dd dl dt > strong")) {
    for (const option of name.textContent.split(", ")) options.set(option, name.parentElement);
  }
  let pinned = null;
  const mark = (elements) => {
    for (const old of article.querySelectorAll(".marked")) old.classList.remove("marked");
    for (const element of elements) element.classList.add("marked");
  };
  const of = (letter) => {
    const name = key(letter, "sym-"), option = key(letter, "of-");
    const found = [...article.querySelectorAll(`.sym-${CSS.escape(name)}`)];
    if (options.has(option)) found.push(options.get(option));
    return found;
  };
  const ofOption = (option) =>
    [...article.querySelectorAll(`.of-${CSS.escape(option)}`), options.get(option)];

  const bind = (element, elements) => {
    const show = () => mark(elements());
    const hide = () => mark(pinned ? pinned() : []);
    element.addEventListener("pointerenter", show);
    element.addEventListener("pointerleave", hide);
    element.addEventListener("focus", show);
    element.addEventListener("blur", hide);
    const pin = () => {
      pinned = pinned === elements ? null : elements;
      hide();
    };
    element.addEventListener("click", (event) => { event.stopPropagation(); pin(); });
    element.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pin(); }
    });
  };
  // By keyboard: the letters of the first formula, each once, and the options.
  const reached = new Set();
  for (const letter of article.querySelectorAll(".sym")) {
    const name = key(letter, "sym-"), elements = () => of(letter);
    bind(letter, elements);
    if (letter.closest(".katex") && !reached.has(name)) {
      reached.add(name);
      letter.tabIndex = 0;
      letter.setAttribute("role", "button");
      letter.setAttribute("aria-label", `${letter.textContent}: ${key(letter, "of-") || name}`);
    }
  }
  for (const [option, entry] of options) {
    if (!article.querySelector(`.of-${CSS.escape(option)}`)) continue;
    entry.classList.add("bound");
    entry.tabIndex = 0;
    bind(entry, () => ofOption(option));
  }
  document.addEventListener("click", () => { pinned = null; mark([]); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { pinned = null; mark([]); }
  });
})();

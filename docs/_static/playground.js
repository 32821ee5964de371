// Sliders and pictures of a page of an optimizer. Without this script the pictures are there, still.
"use strict";
(() => {
  const WIDTH = 400, HEIGHT = 300, LOSS = 80;
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element[name] = value;
    element.append(...children);
    return element;
  };
  const short = (x) => (x === 0 ? "0" : Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5
    ? x.toExponential().replace("e+", "e") : String(x));

  // From where a slider is, 0 to 1, to a number, and back.
  const numberAt = ({ kind, low, high, zero }, position) => {
    if (zero && position <= 0) return 0;
    if (kind === "fraction") {
      const [from, to] = [-Math.log10(1 - low), -Math.log10(1 - high)];
      const x = 1 - 10 ** -(from + position * (to - from));
      return Number(x.toFixed(x < 0.9 ? 2 : x < 0.99 ? 3 : x < 0.999 ? 4 : 5));
    }
    return Number((low * (high / low) ** position).toPrecision(2));
  };
  const positionOf = ({ kind, low, high, zero }, x) => {
    if (kind === "fraction") {
      const [from, to] = [-Math.log10(1 - low), -Math.log10(1 - high)];
      return (-Math.log10(1 - Math.min(x, high)) - from) / (to - from);
    }
    return zero && x <= 0 ? 0 : Math.log(Math.max(x, low) / low) / Math.log(high / low);
  };

  const placed = (land, [x, y]) => {
    const [left, right, bottom, top] = land.window;
    return [(x - left) / (right - left) * WIDTH, (top - y) / (top - bottom) * HEIGHT];
  };
  const trail = (pixels) => {
    const inside = pixels.findIndex(([x, y]) =>
      !(x !== null && Math.abs(x) < 10 * WIDTH && y !== null && Math.abs(y) < 10 * WIDTH));
    const shown = inside < 0 ? pixels : pixels.slice(0, inside);
    return shown.length ? "M" + shown.map(([x, y]) => x.toFixed(1) + " " + y.toFixed(1)).join("L")
      : "";
  };
  const lossTrail = (land, losses) => {
    const [low, high] = land.span, parts = [];
    for (const [i, loss] of losses.entries()) {
      const above = loss === null ? NaN : loss - land.lowest;
      if (!Number.isFinite(above)) break;
      const y = (high - Math.log10(Math.max(above, 1e-300))) / (high - low) * LOSS;
      const x = i / Math.max(losses.length - 1, 1) * WIDTH;
      parts.push(x.toFixed(1) + " " + Math.min(Math.max(y, 0), LOSS).toFixed(1));
    }
    return parts.length ? "M" + parts.join("L") : "";
  };

  class Playground {
    constructor(room) {
      this.room = room;
      this.data = JSON.parse(room.querySelector("script").textContent);
      this.steps = this.data.steps;
      this.options = Object.fromEntries(this.data.controls.map((x) => [x.name, x.value]));
      this.variant = 0;
      this.figures = new Map();
      for (const figure of room.querySelectorAll(".landscape")) this.addFigure(figure);
      this.addControls();
      this.choose("quadratic");
      room.classList.add("running");
    }

    addFigure(figure) {
      const name = figure.dataset.name, land = this.data.landscapes[name];
      const find = (selector) => figure.querySelector(selector);
      const parts = {
        figure, land, start: [...land.start], lr: land.options.lr, svg: find(".land"),
        walk: find(".land .walk"), beside: find(".land .beside"), dot: find(".start"),
        loss: find(".loss .walk"), lossBeside: find(".loss .beside"), made: find(".made"),
      };
      this.figures.set(name, parts);
      figure.addEventListener("click", () => this.choose(name));
      if (this.data.rule) this.movable(parts, name);
    }

    movable(parts, name) {
      const { dot, svg, land } = parts, [left, right, bottom, top] = land.window;
      const set = ([x, y]) => {
        parts.start = [Math.min(Math.max(x, left), right), Math.min(Math.max(y, bottom), top)]
          .map((z) => Number(z.toFixed(3)));
        this.draw(name);
      };
      dot.setAttribute("tabindex", "0");
      dot.setAttribute("role", "button");
      dot.setAttribute("aria-label", "Start point: move it with the arrow keys, or drag it");
      dot.addEventListener("keydown", (event) => {
        const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
        const move = way[event.key];
        if (!move) return;
        event.preventDefault();
        const size = (right - left) / 50;
        set([parts.start[0] + move[0] * size, parts.start[1] + move[1] * size]);
      });
      const from = (event) => {
        const box = svg.getBoundingClientRect();
        set([left + (event.clientX - box.left) / box.width * (right - left),
          top - (event.clientY - box.top) / box.height * (top - bottom)]);
      };
      dot.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        dot.setPointerCapture(event.pointerId);
        this.choose(name);
        dot.onpointermove = from;
      });
      dot.addEventListener("pointerup", () => { dot.onpointermove = null; });
      dot.addEventListener("pointercancel", () => { dot.onpointermove = null; });
    }

    addControls() {
      const room = this.room.querySelector(".controls");
      const chooser = make("select", { onchange: () => this.choose(chooser.value) },
        ...[...this.figures].map(([name, { figure }]) =>
          make("option", { value: name }, figure.querySelector("b").textContent.replace(/\.$/, ""))));
      this.chooser = chooser;
      room.append(this.labelled("landscape", chooser));
      if (!this.data.rule) return this.addWalked(room);
      for (const control of this.data.controls) room.append(this.control(control));
      const steps = { name: "steps", kind: "log", low: 10, high: 400, value: this.steps };
      room.append(this.slider(steps, () => this.steps, (x) => { this.steps = Math.round(x); }));
      room.append(make("button", { type: "button", onclick: () => this.reset() }, "reset"));
    }

    // The walks that were taken beforehand: choose among them.
    addWalked(room) {
      const { variants, rates } = this.data;
      const select = make("select", {
        onchange: () => { this.variant = select.selectedIndex; this.drawAll(); },
      }, ...variants.map((text) => make("option", {}, text)));
      room.append(this.labelled("options", select));
      if (rates.length < 2) return;
      const output = make("output");
      this.rate = make("input", { type: "range", min: 0, max: rates.length - 1, step: 1 });
      this.rate.oninput = () => {
        this.figures.get(this.chosen).lr = rates[this.rate.value];
        this.draw(this.chosen);
        output.textContent = short(rates[this.rate.value]);
      };
      this.sync = () => {
        this.rate.value = rates.indexOf(this.figures.get(this.chosen).lr);
        output.textContent = short(rates[this.rate.value]);
      };
      room.append(this.labelled("lr", this.rate, output));
    }

    labelled(text, input, ...more) {
      const label = make("label", { className: "control" },
        make("span", { className: "name" }, text), input, ...more);
      return label;
    }

    control(control) {
      const { name, kind } = control;
      if (kind === "switch") {
        const box = make("input", { type: "checkbox", checked: control.value });
        box.onchange = () => { this.options[name] = box.checked; this.drawAll(); };
        control.sync = () => { box.checked = this.options[name]; };
        return this.labelled(name, box);
      }
      if (name === "lr") {
        const lr = () => this.figures.get(this.chosen);
        return this.slider(control, () => (this.chosen ? lr().lr : control.value),
          (x) => { lr().lr = x; }, () => this.draw(this.chosen));
      }
      return this.slider(control, () => this.options[name], (x) => { this.options[name] = x; });
    }

    slider(control, get, set, draw = () => this.drawAll()) {
      const input = make("input", { type: "range", min: 0, max: 1, step: "any" });
      const output = make("output");
      control.sync = () => {
        input.value = positionOf(control, get());
        output.textContent = short(get());
        input.setAttribute("aria-valuetext", output.textContent);
      };
      input.oninput = () => {
        const began = performance.now();
        set(numberAt(control, Number(input.value)));
        output.textContent = short(get());
        input.setAttribute("aria-valuetext", output.textContent);
        draw();
        this.room.dataset.milliseconds = (performance.now() - began).toFixed(1);
      };
      input.onkeydown = (event) => {  // a twentieth at a time
        const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
        if (!way) return;
        event.preventDefault();
        input.value = Number(input.value) + way / 20;
        input.oninput();
      };
      (this.sliders ||= []).push(control);
      const [name, part] = control.name.split(".");
      return this.labelled(part === undefined ? name : `${name}[${part}]`, input, output);
    }

    reset() {
      for (const control of this.data.controls) this.options[control.name] = control.value;
      this.steps = this.data.steps;
      for (const parts of this.figures.values()) {
        parts.start = [...parts.land.start];
        parts.lr = parts.land.options.lr;
      }
      this.drawAll();
      this.syncAll();
    }

    syncAll() {
      for (const control of this.data.controls) control.sync?.();
      for (const control of this.sliders || []) control.sync();
      if (this.sync) this.sync();
    }

    choose(name) {
      if (this.chosen === name) return;
      const first = !this.chosen;
      this.chosen = name;
      for (const [other, { figure }] of this.figures) {
        figure.classList.toggle("chosen", other === name);
      }
      this.chooser.value = name;
      this.syncAll();
      if (first) this.drawAll();
    }

    // The chosen one at once, the others when there is time.
    drawAll() {
      this.draw(this.chosen);
      const waiting = [...this.figures.keys()].filter((name) => name !== this.chosen);
      clearTimeout(this.timer);
      const next = () => {
        if (!waiting.length) return;
        this.draw(waiting.shift());
        this.timer = setTimeout(next);
      };
      this.timer = setTimeout(next, 30);
    }

    // Plain SGD from this start, computed once.
    besideOf(parts, steps) {
      const key = [parts.start, steps].join();
      if (parts.key !== key) {
        const { rule, options } = this.data.beside, { land } = parts;
        const found = optimkitRule.run(rule, { ...options, ...land.beside }, land.problem,
          parts.start, steps, this.data.noise);
        parts.key = key;
        parts.beside.setAttribute("d", trail(found.points.map((point) => placed(land, point))));
        parts.lossBeside.setAttribute("d", lossTrail(land, found.losses));
      }
    }

    draw(name) {
      const parts = this.figures.get(name), { land } = parts;
      let points, losses;
      if (this.data.rule) {
        const options = { ...this.options, ...("lr" in this.options ? { lr: parts.lr } : {}) };
        const wrong = optimkitRule.complaint(this.data.rule, options);
        this.room.querySelector(".message").textContent = wrong;
        if (wrong) return;
        const found = optimkitRule.run(
          this.data.rule, options, land.problem, parts.start, this.steps, this.data.noise);
        points = found.points.map((point) => placed(land, point));
        losses = found.losses;
      } else {
        const rate = Math.max(this.data.rates.indexOf(parts.lr), 0);
        ({ points, losses } = this.data.walks[name][this.variant][rate]);
      }
      this.besideOf(parts, losses.length - 1);
      parts.walk.setAttribute("d", trail(points));
      parts.loss.setAttribute("d", lossTrail(land, losses));
      const [x, y] = placed(land, parts.start);
      parts.dot.setAttribute("cx", x);
      parts.dot.setAttribute("cy", y);
      const last = losses[losses.length - 1];
      const ends = last === null || !Number.isFinite(last) ? "leaves every number behind"
        : `ends at ${short(Number(last.toPrecision(2)))}`;
      parts.made.textContent = (parts.lr === undefined ? "" : `lr=${short(parts.lr)}, `) + ends;
    }
  }

  for (const room of document.querySelectorAll(".playground")) new Playground(room);
})();

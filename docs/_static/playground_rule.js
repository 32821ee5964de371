// Runs a rule that was recorded as data (docs/generate/playground_rule.py), in float64: the same
// operations in the same order as the rule itself, each rounded once as IEEE 754 has it.
"use strict";
const optimkitRule = (() => {
  // Sums and products in two numbers, high and low, about 106 bits.
  const sum = (a, b) => {
    const s = a + b, z = s - a;
    return [s, a - (s - z) + (b - z)];
  };
  const split = (a) => {
    const c = 134217729 * a, high = c - (c - a);
    return [high, a - high];
  };
  const product = (a, b) => {
    const p = a * b, [ah, al] = split(a), [bh, bl] = split(b);
    return [p, ah * bh - p + ah * bl + al * bh + al * bl];
  };
  const plus = ([a, b], [c, d]) => {
    const [s, e] = sum(a, c), [t, f] = sum(b, d), [u, v] = sum(s, e + t);
    return sum(u, v + f);
  };
  const times = ([a, b], [c, d]) => {
    const [p, e] = product(a, c);
    return sum(p, e + (a * d + b * c));
  };
  const over = (x, n) => {
    const q = x[0] / n, p = product(q, n);
    return sum(q, (x[0] - p[0] - p[1] + x[1]) / n);
  };
  const LN2 = [0.6931471805599453, 2.3190468138462996e-17];
  const exp = (x) => {  // a double-double from one
    const k = Math.round(x[0] / LN2[0]);
    let r = over(plus(x, times([-k, 0], LN2)), 512), term = r, total = r;
    for (let i = 2; i < 12; i++) {
      term = over(times(term, r), i);
      total = plus(total, term);
    }
    for (let i = 0; i < 9; i++) total = plus(times([2, 0], total), times(total, total));
    const [high, low] = plus([1, 0], total);
    return [high, low, k];
  };
  const log = (x) => {  // from a double
    const guess = Math.log(x), [high, low, k] = exp([-guess, 0]);
    const scale = 2 ** (k >> 1), rest = 2 ** (k - (k >> 1));
    const ratio = times([high * scale * rest, low * scale * rest], [x, 0]);
    const d = plus(ratio, [-1, 0]);  // log(1 + d), d below 1e-15
    return plus([guess, 0], plus(d, times([-0.5, 0], times(d, d))));
  };
  // Rounded correctly, which Math.pow need not be.
  const power = (x, y) => {
    const rough = Math.pow(x, y);
    if (!(x > 1e-290 && x < 1e290 && rough > 1e-290 && rough < 1e290) || rough === 1) return rough;
    if (Number.isInteger(y) && y > 0 && y < 1024) {  // by squaring
      let result = [1, 0], square = [x, 0];
      for (let n = y; ; square = times(square, square)) {
        if (n & 1) result = times(result, square);
        if (!(n >>= 1)) return result[0] + result[1];
      }
    }
    const [high, low, k] = exp(times(log(x), [y, 0]));
    return (high + low) * 2 ** (k >> 1) * 2 ** (k - (k >> 1));
  };
  const sign = (x) => (x > 0 ? 1 : x < 0 ? -1 : x === 0 ? 0 : x);
  const larger = (a, b) => (a >= b || a !== a ? a : b);
  const smaller = (a, b) => (a <= b || a !== a ? a : b);
  const OPERATIONS = {
    add: (a, b) => a + b, subtract: (a, b) => a - b, multiply: (a, b) => a * b,
    divide: (a, b) => a / b, maximum: larger, minimum: smaller, power,
    negative: (a) => -a, abs: Math.abs, sqrt: Math.sqrt, sign, float32: Math.fround,
    floor: Math.floor, ceil: Math.ceil, trunc: Math.trunc, fill: (a) => a, positive: (a) => a,
    where: (c, a, b) => (c ? a : b),
    less: (a, b) => a < b, less_equal: (a, b) => a <= b, greater: (a, b) => a > b,
    greater_equal: (a, b) => a >= b, equal: (a, b) => a === b, not_equal: (a, b) => a !== b,
    isnan: (a) => a !== a, isinf: (a) => Math.abs(a) === Infinity, isfinite: Number.isFinite,
    logical_and: (a, b) => a && b, logical_or: (a, b) => a || b, logical_xor: (a, b) => a !== b,
    logical_not: (a) => !a,
  };

  const at = (x, i) => (typeof x === "object" ? x[i] : x);  // an element; a number is for all

  // Evaluates the nodes that are asked for, each once.
  const reader = (nodes, inputs) => {
    const found = new Array(nodes.length);
    const value = (place) => {
      if (found[place] !== undefined) return found[place];
      const node = nodes[place], name = node[0];
      if (name === "input") return (found[place] = inputs[node[1]]);
      if (name === "number") return (found[place] = node[1]);
      const operation = OPERATIONS[name], a = value(node[1]);
      const b = node.length > 2 ? value(node[2]) : 0, c = node.length > 3 ? value(node[3]) : 0;
      const array = [a, b, c].find((x) => typeof x === "object");
      if (array === undefined) return (found[place] = operation(a, b, c));
      const result = new Array(array.length);
      for (let i = 0; i < result.length; i++) result[i] = operation(at(a, i), at(b, i), at(c, i));
      return (found[place] = result);
    };
    return value;
  };
  const leafOf = (tree, value) => {
    while (Array.isArray(tree)) tree = tree[value(tree[0]) ? 1 : 2];
    return tree;
  };

  // What is wrong with the options; empty if nothing is.
  const complaint = (rule, options) => {
    const text = leafOf(rule.checks, reader(rule.nodes, options));
    return text.replace(/{([^}]*)}/g, (_, name) => String(options[name]));
  };

  // Value and gradient of a problem; the noise is that of the step.
  const evaluate = (problem, [x, y], noise) => {
    const value = reader(problem.nodes, { x, y, u: noise[0], v: noise[1] });
    return [value(problem.value), problem.gradient.map(value)];
  };

  // The points of so many steps and the values of the problem there.
  const run = (rule, options, problem, start, steps, noise) => {
    let param = [...start];
    const points = [param], losses = [], state = new Set(), inputs = { ...options };
    const take = (tree, grad, step) => {
      Object.assign(inputs, { param, grad, step });
      const value = reader(rule.nodes, inputs), leaf = leafOf(tree, value), next = [];
      for (const name in leaf.arrays) {
        const x = value(leaf.arrays[name]);
        next.push([name, typeof x === "object" ? x : param.map(() => x)]);
      }
      for (const name in leaf.numbers) next.push([name, value(leaf.numbers[name])]);
      param = value(leaf.param);
      for (const [name, x] of next) {
        inputs["state." + name] = x;
        state.add(name);
      }
    };
    take(rule.init);
    for (let step = 1; step <= steps; step++) {
      const [loss, grad] = evaluate(problem, param, noise[(step - 1) % noise.length]);
      losses.push(loss);
      take(rule.updates[[...state].sort().join()], grad, step);
      points.push(param);
    }
    losses.push(evaluate(problem, param, [0, 0])[0]);
    return { points, losses };
  };
  return { run, power, complaint, evaluate };
})();

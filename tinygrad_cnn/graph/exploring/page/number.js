// One number, taken apart: the terms that it is the sum of, and the way to it.
import { digits, entryName, formulaView, h, plural } from "./elements.js";
import { chooseRow, question } from "./quiz.js";
import { bind, largestFirst, sumOf, termsOf } from "./formula.js";

/** What a number is called. */
export const nameOf = ({ node, kind, index }) =>
  `${kind === "gradient" ? "∂L/∂" : ""}${entryName(node.name, index)}`;

/** The parts of a number: {operation, formula, terms, input}; input is "y" for a value. */
export function partsOf(run, { node, kind, index }) {
  const uses = kind === "value" ? (node.operation ? [{ by: node, input: "y" }] : []) : run.parts(node);
  return uses.map(({ by, input }) => {
    const formula = by.formulas[input];
    const at = by.row_major ? [node.value.offset(index)] : index;
    const terms = formula ? termsOf(formula, run.arraysOf(by), at) : null;
    return { operation: by, input, formula, terms, index: at, said: by.said[input] || "" };
  });
}

/** The number that a reference in a term of an operation means; null for what it kept. */
export function target(run, operation, ref) {
  const meaning = run.meaning(operation, ref.name);
  if (!meaning || !meaning.node[meaning.kind]) return null;
  const index = operation.row_major ? meaning.node.value.index(ref.index[0]) : ref.index;
  return { ...meaning, index };
}

const SHOWN = 12;

export class NumberPanel {
  constructor(state) {
    this.state = state;
    this.all = false;
    this.element = h("section.number", { id: "number", ariaLabel: "one number", hidden: true });
  }

  show() {
    const { selected, run, stop } = this.state;
    this.element.hidden = !selected;
    if (!selected) return;
    const key = nameOf(selected);
    if (key !== this.key) Object.assign(this, { all: false, asked: {}, told: false });
    this.key = key;
    const { node, kind, index } = selected;
    const known = run.known(node, kind, stop);
    const whole = kind === "value" || run.knownParts(node, stop).known === run.knownParts(node, stop).all;
    const title = h("h2", { tabIndex: -1 }, nameOf(selected), " = ",
      known && this.hides ? h("strong", "?") : known ? h("strong", digits(known.at(index), 5)) : h("span.unknown.word", "not yet"));
    this.element.replaceChildren(this.trail(), title, this.links(selected),
      ...(known && whole ? this.body(selected) : [this.wait(selected, known)]));
  }

  /** Whether results are not to be seen. */
  get hides() {
    return this.state.quiz && !this.told;
  }

  /** The way from the first number that was opened to this one. */
  trail() {
    const { state } = this;
    const way = [...state.path, state.selected];
    const step = (one, k) => {
      const last = k === way.length - 1;
      const go = () => state.open(one.node, one.kind, one.index, state.path.slice(0, k));
      return h("li", last ? h("span", { ariaCurrent: "step" }, nameOf(one)) : h("button.link", { onclick: go }, nameOf(one)));
    };
    return h("nav.trail", { ariaLabel: "the way to this number" }, h("ol", way.map(step)));
  }

  /** To the other number of the same entry. */
  links({ node, kind, index }) {
    const other = kind === "value" ? "gradient" : "value";
    const what = node.operation ? `result of ${node.operation}` : node.kind;
    return h("p.quiet", `${what}, entry ${index.join(", ") || "—"} of ${node.value.shape.join(" × ") || "one number"}`,
      node.module ? ` in ${node.module}` : "", node.where ? `, ${node.where}` : "", ". ",
      node[other] ? this.link({ node, kind: other, index }, other === "value" ? "its value" : "its gradient") : null);
  }

  link(to, text) {
    const go = () => this.state.follow(to.node, to.kind, to.index);
    return h("button.link", { onclick: go, title: nameOf(to) }, text);
  }

  wait({ node, kind }, known) {
    const { run } = this.state;
    const stop = run.stopOf(node, kind);
    const { known: some, all } = run.knownParts(node, this.state.stop);
    const go = () => this.state.update({ stop });
    const text = known ? `${some} of ${all} contributions have arrived.` : "The player has not come here.";
    return h("p", text, " ", h("button", { onclick: go }, `Go to stop ${stop}`));
  }

  body(selected) {
    const { run } = this.state;
    const { node, kind, index } = selected;
    if (kind === "gradient" && node === run.loss) {
      return [h("p", "The way back begins here: L changes by 1 where L changes by 1.")];
    }
    const parts = partsOf(run, selected);
    if (!parts.length) {
      const text = kind === "value" ? `No operation made it: it is ${node.kind === "parameter" ? "a parameter" : "an input"}.`
        : "No operation that leads to the loss used it: its gradient is 0.";
      return [h("p", text)];
    }
    const several = parts.length > 1 ? [h("p", `Used ${parts.length} times, so that as many sums add up.`)] : [];
    const sections = parts.map((part) => this.part(part, kind));
    const sums = parts.map((part) => part.terms && sumOf(part.terms));
    const total = sums.some((sum) => sum === null) ? null : sums.reduce((a, b) => a + b, 0);
    const value = node[kind].at(index);
    const gap = total === null ? "" : `, which differs by ${digits(Math.abs(total - value), 1)}${run.digits < 7 ? " (the page has rounded numbers)" : ""}`;
    const sum = total === null ? "" : `Sum of all terms: ${digits(total, 7)}. `;
    if (this.hides) return [...several, ...sections];
    return [...several, ...sections, h("p.total", sum, `The engine computed ${digits(value, 7)}${gap}.`)];
  }

  part({ operation, input, formula, terms, index, said }, kind) {
    const isGradient = kind === "gradient";
    const head = h("h3", isGradient ? `as ${input} of ` : "by ", h("button.link", {
      onclick: () => this.state.update({ operation }),
    }, operation.name), ` (${operation.operation})`);
    if (!terms) {
      return h("div.part", head, h("div.formula", said), h("p.quiet",
        "This formula is not executed on the page; explain() of tinygrad_cnn lists its terms."));
    }
    const { ranges, ...letters } = bind(formula, index);
    const rows = largestFirst(terms);
    const shown = this.all ? rows : rows.slice(0, SHOWN);
    const most = Math.max(...rows.map((term) => Math.abs(term.product)).filter(Number.isFinite), 0);
    const asked = isGradient && this.hides ? (this.asked[operation.place] ??= chooseRow(shown)) : -1;
    let running = 0;
    const lines = shown.map((term, k) => {
      if (!term.chosen || term.won) running += term.product;
      return this.row(term, k, operation, most, running, isGradient, k === asked);
    });
    const zero = terms.filter((term) => term.product === 0);
    const byG = zero.filter((term) => term.g && term.g.value === 0).length;
    const aside = isGradient && zero.length ? `, ${zero.length} of them 0${byG ? ` (${byG} because g is 0)` : ""}` : "";
    const more = rows.length > shown.length
      ? h("button", { onclick: () => { this.all = true; this.show(); } }, `Show all ${rows.length}`) : null;
    const heads = isGradient ? ["", "g", "∂y/∂" + input, "product", "", "running sum"]
      : ["", "factors", "", "term", "", "running sum"];
    return h("div.part", head, formulaView(formula, isGradient), formulaView(formula, isGradient, letters),
      this.legend(operation, formula),
      h("div.scroll", { tabIndex: 0, role: "region", ariaLabel: "terms" }, h("table.terms",
        h("thead", h("tr", heads.map((text) => h("th", { scope: "col" }, text)))), h("tbody", lines))),
      h("p", `${plural(terms.length, terms.some((t) => t.chosen) ? "candidate" : "term")}${aside}. `, more),
      asked >= 0 ? question(asked, rows[asked], () => { this.told = true; this.show(); }) : null);
  }

  /** What the letters of the arrays mean. */
  legend(operation, formula) {
    const { run } = this.state;
    const words = formula.arrays.map((letter) => {
      if (letter === "g") return `g: ∂L/∂ the result of ${operation.name}, which came back to it`;
      const meaning = run.meaning(operation, letter);
      return `${letter}: ${meaning ? meaning.node.name : "kept by the forward pass"}`;
    });
    if (operation.row_major) words.push("k counts the values row by row");
    return h("p.quiet", words.join("; "), ".");
  }

  row(term, k, operation, most, running, isGradient, asked) {
    const { run } = this.state;
    const ref = (one) => {
      const to = target(run, operation, one);
      const text = `${entryName(one.name, one.index)} = ${digits(one.value, 4)}`;
      return to ? this.link(to, text) : h("span", text);
    };
    const others = term.refs.filter((one) => one !== term.g);
    const plain = others.length === 1 && others[0].value === term.slope;
    const slope = isGradient && !plain ? h("span", digits(term.slope ?? NaN, 4)) : null;
    const factors = others.slice(0, 4).flatMap((one, i) => [i || slope ? h("br") : null, ref(one)]);
    const bar = term.product !== 0 && h("span.bar", { className: `bar ${term.product < 0 ? "negative" : "positive"}` });
    if (bar) bar.style.width = `${most ? Math.round((60 * Math.abs(term.product)) / most) : 0}px`;
    const first = isGradient ? h("td", term.g ? ref(term.g) : "") : h("td", others[0] ? ref(others[0]) : "");
    const second = isGradient ? h("td", slope, factors) : h("td", others.slice(1, 4).flatMap((one, i) => [i ? h("br") : null, ref(one)]));
    return h("tr", { className: term.won ? "won" : "" }, h("th", { scope: "row" }, term.won ? `${k + 1} won` : String(k + 1)),
      first, second, h("td.figure", asked ? "?" : digits(term.product, 4)), h("td", asked ? null : bar),
      h("td.figure", this.hides ? "" : digits(running, 4)));
  }
}

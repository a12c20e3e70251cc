// Finds a number, an operation, or what is remarkable.
import { entryName, h, plural } from "./elements.js";

const WORDS = ["largest |g|", "nan", "dead"];

export class Search {
  constructor(state) {
    this.state = state;
    this.said = h("output.quiet", { ariaLive: "polite" });
    this.input = h("input", { type: "search", placeholder: "conv1.weight[0,0,1,2], nan, dead …", ariaLabel: "search" });
    this.input.setAttribute("list", "names");
    const names = [...WORDS, ...state.run.nodes.map((node) => node.name)];
    const go = (event) => { event.preventDefault(); this.said.textContent = this.find(this.input.value.trim()); };
    this.element = h("form.search", { role: "search", onsubmit: go }, this.input, h("button", "Find"),
      h("datalist", { id: "names" }, names.map((value) => h("option", { value }))), this.said);
  }

  /** Goes to what a text means; what there is to say of it. */
  find(text) {
    const { state } = this, { run } = state, word = text.toLowerCase();
    if (!word) return "";
    if (word === "nan") return this.notFinite();
    if (word.startsWith("largest")) return this.largest();
    if (word === "dead") return this.dead();
    const number = state.find(text);
    if (number && (number.index.length || text.includes("["))) {
      state.open(number.node, number.kind, number.index);
      return "";
    }
    const node = run.byName.get(text) || run.nodes.find((one) =>
      [one.name, one.operation, one.module].some((name) => name && name.toLowerCase().includes(word)));
    if (!node) return "Nothing here is called that.";
    state.update({ operation: node.operation ? node : run.parts(node)[0]?.by || node.uses[0]?.by, selected: null, path: [] });
    return "";
  }

  largest() {
    const { run } = this.state;
    let best = null, most = -1;
    for (const node of run.nodes) {
      if (node.kind !== "parameter" || !node.gradient) continue;
      node.gradient.values.forEach((v, k) => { if (Math.abs(v) > most) [most, best] = [Math.abs(v), [node, k]]; });
    }
    if (!best) return "No parameter has a gradient.";
    const [node, k] = best;
    this.state.open(node, "gradient", node.value.index(k));
    return `The largest gradient of a parameter is at ${entryName(node.name, node.value.index(k))}.`;
  }

  notFinite() {
    const back = [...this.state.run.nodes].reverse();
    for (const [nodes, kind] of [[this.state.run.nodes, "value"], [back, "gradient"]]) {
      for (const node of nodes) {
        const k = node[kind] ? node[kind].values.findIndex((v) => !Number.isFinite(v)) : -1;
        if (k < 0) continue;
        this.state.open(node, kind, node.value.index(k));
        return `The first ${kind} that is not finite.`;
      }
    }
    return "Every value and every gradient is finite.";
  }

  dead() {
    const { run } = this.state;
    const found = run.operations.filter((node) => node.operation === "ReLU").map((node) => {
      const all = node.value.values.length, zero = node.value.values.filter((v) => v === 0).length;
      return { node, all, zero, share: zero / all };
    }).sort((a, b) => b.share - a.share);
    if (!found.length) return "There is no ReLU.";
    const { node, all, zero } = found[0];
    this.state.update({ operation: node, selected: null, path: [] });
    return `${node.name} blocks ${zero.toLocaleString("en")} of ${plural(all, "value")}, the largest share.`;
  }
}
